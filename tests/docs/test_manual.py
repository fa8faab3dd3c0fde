"""
The manual pages are those of the commands as they are, and are formatted without a complaint.

After a change of a command: `NSCTL_UPDATE_DOCS=1 scripts/test tests/docs`, and review the difference.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from nsctl.engine.cli.commands import COMMANDS
from tests.docs.generated import command, modes
from tests.docs.manual import FOLDER, pages

PAGES = pages()
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
needs_man = pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
needs_mandoc = pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")


def test_the_pages_are_up_to_date() -> None:
    if os.environ.get("NSCTL_UPDATE_DOCS"):
        for path in FOLDER.iterdir():
            if path.name not in PAGES:
                path.unlink()
        for name, text in PAGES.items():
            if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text:
                (FOLDER / name).write_text(text)
    there = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert there == PAGES, "NSCTL_UPDATE_DOCS=1 scripts/test tests/docs brings them up to date"


def test_every_command_and_every_mode_has_a_page() -> None:
    expected = {"nsctl.1", *(f"nsctl-{name}.1" for name in COMMANDS), *(f"nsctl-up-{name}.1" for name in modes())}
    assert set(PAGES) == expected


@pytest.mark.parametrize("name", PAGES)
def test_page_and_help_name_the_same_options(name: str) -> None:
    words = name.removesuffix(".1").split("-", 2)[1:]
    under = getattr(command(words[0]), "commands", {}) if words else {}
    helped: set[str] = set()
    for more in ([], *([word] for word in under)):
        argv = [sys.executable, "-I", "-m", "nsctl", *words, *more, "--help"]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        shown = [line[:30] for line in done.stdout.splitlines() if line.startswith("  -")]
        helped |= {flag for line in shown for flag in FLAG.findall(line)}
    entries = re.findall(r"^\.TP\n\\fB(\\-.*)\\fR$", PAGES[name], re.MULTILINE)
    paged = {flag for entry in entries for flag in FLAG.findall(entry.replace("\\-", "-"))}
    assert paged | {"-h", "--help"} == helped | {"-h", "--help"}
    assert entries or words[:1] in (["up"], ["run"])


@needs_man
@pytest.mark.parametrize("name", PAGES)
def test_man_has_nothing_to_complain_of(name: str) -> None:
    env = os.environ | {"LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MANWIDTH": "80"}
    argv = ["man", "--warnings", "-l", str(FOLDER / name)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env=env)
    assert done.stderr == ""
    title = name.removesuffix(".1")
    assert f"{title.upper()}(1)" in done.stdout
    assert re.search(rf"^ +{title} +- +\S", done.stdout, re.MULTILINE)


@needs_mandoc
def test_mandoc_has_nothing_to_complain_of() -> None:
    done = subprocess.run(
        ["mandoc", "-Tlint", *sorted(FOLDER.glob("*.1"))], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


@needs_man
def test_apropos_gets_a_line_of_each_page() -> None:
    done = subprocess.run(["lexgrog", *sorted(FOLDER.glob("*.1"))], check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == len(PAGES)
