from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nsctl.engine.testing.namespaces import NEWNET, NEWNS, NamespaceThread
from tests.lab import Lab


@pytest.fixture
def inside(lab: Lab) -> Iterator[NamespaceThread]:
    """
    A thread in the lab's network and among its files, which can start threads itself.

    One that has entered a PID namespace, as those of `lab.call` have, can not.
    """
    thread = NamespaceThread(lab.pid, NEWNET | NEWNS)
    yield thread
    thread.close()


@pytest.fixture
def ip(lab: Lab) -> Callable[..., None]:
    """Runs lines of `ip -batch` in the lab."""

    def run(*lines: str) -> None:
        lab.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", check=True)

    return run
