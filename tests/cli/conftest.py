from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nsctl.engine.cli import main, out


@dataclass(frozen=True)
class Done:
    """What a command line came to."""

    status: int
    stdout: str
    stderr: str

    @property
    def refusal(self) -> str:
        """The line that says what is wrong; there is exactly one, and at most one hint below it."""
        lines = self.stderr.splitlines()
        assert lines[0].startswith("nsctl: "), self.stderr
        assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: ")), self.stderr
        assert self.stdout == ""
        return lines[0]


Nsctl = Callable[..., Done]


@pytest.fixture
def nsctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Nsctl]:
    """Runs nsctl in this process, with state and audit trail of its own."""
    monkeypatch.setenv("NSCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("NSCTL_AUDIT_LOG", str(tmp_path / "audit" / "audit.jsonl"))
    monkeypatch.setenv("TERM", "dumb")
    umask = os.umask(0o022)
    os.umask(umask)

    def run(*words: str) -> Done:
        capsys.readouterr()
        before = sys.path[:]
        status = main(words)
        sys.path[:] = before
        return Done(status, *capsys.readouterr())

    yield run
    os.umask(umask)
    out.verbose = 0
