"""What is written about the faults that are tried is what is tried, and the tests that reproduce a defect exist."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.docs.pages import ROOT, prose

PAGE = ROOT / "tests" / "faults" / "README.md"
_NODE = re.compile(r"`(tests/[^`]+\.py::test_[^`]+)`")
_KIND = re.compile(r"""tally\.(?:sweep|note)\(\s*f?"([^"]+)\"""")


def rows(chapter: str) -> list[str]:
    """The lines of a chapter's table, without its head."""
    text = prose(PAGE).partition(f"## {chapter}\n")[2].partition("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


def test_every_class_of_faults_has_a_row_and_every_row_is_of_a_class() -> None:
    sources = sorted(PAGE.parent.glob("test_*.py"))
    kinds = {kind for path in sources for kind in _KIND.findall(path.read_text(encoding="utf-8"))}
    told = [row.split("|")[1].strip() for row in rows("What is tried")]
    # What a test fills in by itself is told by `…`, or written out.
    made = {kind: re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(kind))) for kind in kinds}
    known = {row: re.compile(re.escape(row).replace("…", ".+")) for row in told}
    fits = {(k, r) for k in kinds for r in told if made[k].fullmatch(r) or known[r].fullmatch(k)}
    assert sorted(kinds - {k for k, _ in fits}) == []
    assert sorted(set(told) - {r for _, r in fits}) == []


def test_every_defect_names_tests_that_exist() -> None:
    lines = [*rows("What it found"), *rows("What the tests missed")]
    assert len(lines) > 20
    assert [line for line in lines if not _NODE.search(line) and "`scripts/" not in line] == []
    named = sorted({node for line in lines for node in _NODE.findall(line)})
    words = ["-m", "pytest", "--collect-only", "-q", "--no-header", "-p", "no:cacheprovider", *named]
    done = subprocess.run([sys.executable, *words], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
