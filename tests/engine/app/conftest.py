from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab

DRIVER = Path(__file__).with_name("driver.py")


@dataclass(frozen=True)
class Answer:
    """What came of a call."""

    value: Any
    diagnostics: Sequence[dict[str, str]]
    events: Sequence[str]
    error: str
    message: str
    hint: str
    held: bool


class Service:
    """A process on a lab host that calls nsctl's operations, and has neither a terminal nor a command line."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._process = lab.popen([sys.executable, "-I", str(DRIVER)], stdin=subprocess.PIPE)

    def ask(self, call: str, **arguments: Any) -> Answer:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"call": call, **arguments}) + "\n")
        stdin.flush()
        return Answer(**json.loads(stdout.readline()))

    def __call__(self, call: str, **arguments: Any) -> Any:
        """What a call that has to succeed returns."""
        answer = self.ask(call, **arguments)
        assert answer.error == "", answer
        return answer.value


@pytest.fixture
def service(lab: Lab) -> Service:
    return Service(lab)
