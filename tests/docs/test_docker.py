"""The session beside Docker's commands works, from top to bottom."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.docs.pages import ROOT
from tests.lab import Lab, assert_back, needs, nsctl_argv, snapshot

PAGE = ROOT / "docs" / "docker.md"
ROW = re.compile(r"^\| (`docker .+?) \| `(nsctl .+?)`.* \|$", re.MULTILINE)
LAB = '[sandbox.one]\nmode = "none"\n'
MAY_DRIFT = {"nsctl doctor": {0, 4}}
"""Commands whose exit status is the host's: a lab is not every host."""


@pytest.mark.system
@needs("bridge", "veth", "iptables")
def test_every_row_of_the_table_works_in_its_turn(lab: Lab) -> None:
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) > 20
    lab.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "root", "/root"], check=True)
    lab.write("/root/lab.toml", LAB)
    before = snapshot(lab)
    failed = []
    for docker, command in rows:
        done = lab.run(nsctl_argv(*shlex.split(command)[1:]), cwd="/root")
        if done.returncode not in MAY_DRIFT.get(command, {0}):
            failed.append((docker, command, done.returncode, done.stderr))
    assert failed == []
    lab.run(["rm", "-rf", "/var/log/nsctl"], check=True)
    assert_back(lab, before)


def test_every_row_is_one_that_the_test_runs() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `docker")]
    assert len(rows) == len(ROW.findall(PAGE.read_text()))


def test_the_readmes_rows_are_rows_of_the_page() -> None:
    rows = ROW.findall((ROOT / "README.md").read_text())
    assert len(rows) >= 5
    assert [row for row in rows if row not in ROW.findall(PAGE.read_text())] == []


def test_the_readme_says_at_once_whom_it_is_for() -> None:
    first = (ROOT / "README.md").read_text().partition("```")[0]
    assert "It is for whoever" in first
