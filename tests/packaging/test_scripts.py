"""The shell scripts, checked as programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [path for path in (*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run") if path.is_file()]
SHELL = [path for path in SCRIPTS if path.read_bytes().split(b"\n", 1)[0].endswith(b"sh")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_can_be_started(script: Path) -> None:
    assert os.access(script, os.X_OK)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    found = subprocess.run(["shellcheck", "-x", script], check=False, cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == ""


def test_setup_refuses_what_it_does_not_know() -> None:
    refused = subprocess.run([ROOT / "scripts" / "setup", "everything"], check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == "usage: scripts/setup [run|dev]\n"
