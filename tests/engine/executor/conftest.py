from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from nsctl.engine.model.plan import Plan
from tests.lab import Lab

DRIVER = Path(__file__).with_name("driver.py")


@dataclass(frozen=True)
class Answer:
    """What came of a request; `killed` is the status of a process that gave no answer."""

    error: str = ""
    message: str = ""
    exit: int = 0
    value: Any = None
    events: Sequence[Sequence[str]] = ()
    warnings: Sequence[str] = ()
    recovered: Sequence[str] = ()
    killed: int | None = None

    def good(self) -> Answer:
        assert (self.error, self.killed) == ("", None), self
        return self


class Executor:
    """nsctl's executor on a lab host."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._process = lab.popen([sys.executable, "-I", str(DRIVER)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, operation: str, *names: str, plans: Sequence[Plan] = (), **request: Any) -> Answer:
        data = {"operation": operation, "names": names, "plans": [p.to_json() for p in plans], **request}
        self._pipe(self._process.stdin).write(json.dumps(data) + "\n")
        self._pipe(self._process.stdin).flush()
        return Answer(**json.loads(self._pipe(self._process.stdout).readline()))

    def up(self, *plans: Plan, **request: Any) -> Answer:
        return self.ask("up", plans=plans, **request)

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@pytest.fixture
def executor(lab: Lab) -> Executor:
    # IPv6 gives links addresses on its own, some time after they came up: no two snapshots would be the same.
    lab.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], check=True)
    return Executor(lab)
