"""
Every command that a document shows is run, in a lab, and prints what the document says.

After a change of what nsctl prints: `NSCTL_UPDATE_DOCS=1 scripts/test tests/docs`, and review the difference.
"""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks, name_of
from tests.docs.transcripts import ELSEWHERE, agrees, commands_of, is_a_fault, rewrite, run_page
from tests.lab import Lab, needs

UPDATE = bool(os.environ.get("NSCTL_UPDATE_DOCS"))
RUN = [page for page in PAGES if any(b.language in {"console", "sh"} for b in blocks(page))]


@pytest.mark.slow
@needs("bridge", "iptables", "ping")
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_every_command_prints_what_the_page_shows(page: Path, lab: Lab) -> None:
    results = run_page(lab, blocks(page))
    if UPDATE:
        rewrite(page, results)
    wrong = []
    for command, status, printed in results:
        agreed = status == 0 if command.must_succeed else agrees(command.output, printed)
        if not agreed:
            change = unified_diff(command.output, printed, "shown", "printed", lineterm="", n=1)
            wrong.append("\n".join([f"{name_of(page)}:{command.line}: {command.text}", *change]))
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_is_a_file_or_says_why_not(page: Path) -> None:
    idle = [
        f"{name_of(page)}:{block.line}"
        for block in blocks(page)
        if block.language not in {"console", "sh"} and not (block.noted("file") or block.noted("not run"))
    ]
    assert idle == []


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_no_page_shows_a_fault_of_nsctl(page: Path) -> None:
    assert not is_a_fault(line for block in blocks(page) for line in block.lines)


def test_what_the_tests_do_not_run_is_there_to_be_run() -> None:
    for text in ELSEWHERE:
        assert os.access(ROOT / text.removeprefix("sudo "), os.X_OK)


def test_a_transcript_is_taken_apart() -> None:
    block = Block("console", 10, ["$ cat <<E", "> # a", "> E", "# a", "$ true", "$ echo b", "b"])
    found = [(c.line, c.text, c.output) for c in commands_of(block)]
    assert found == [(10, "cat <<E\n# a\nE", ("# a",)), (14, "true", ()), (15, "echo b", ("b",))]


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        (["a"], ["a"], True),
        (["a"], ["b"], False),
        (["a", "…", "z"], ["a", "z"], True),
        (["a", "…", "z"], ["a", "b", "c", "z"], True),
        (["a", "…"], ["b"], False),
        (["a … z"], ["a b c z"], True),
        (["a.c"], ["abc"], False),
        (["web   bridge  10.0.3.2/24  nsbr0    18   up     0s"], ["web bridge 10.0.3.2/24 nsbr0 70007 up 2m"], True),
        (["web   bridge  10.0.3.2/24  nsbr0    18   up     0s"], ["web bridge 10.0.3.2/24 nsbr0 - dead 2m"], False),
        ([], ["something"], False),
    ],
)
def test_what_differs_from_run_to_run_does_not_count(shown: list[str], printed: list[str], *, expected: bool) -> None:
    assert agrees(tuple(shown), printed) is expected
