"""A thread that has ended takes no signal: the kernel has it for a moment longer than whoever joins it waits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from nsctl.engine.host.netlink import _in_thread
from nsctl.engine.runner.workers import Pool


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The signals that each thread blocks as it ends."""
    found: list[set[int]] = []

    class Told(threading.Thread):
        def run(self) -> None:
            super().run()
            found.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, [])))

    monkeypatch.setattr(threading, "Thread", Told)
    return found


def pool() -> None:
    Pool(lambda _: [], force=False).close(0, 0)


def visit() -> None:
    _in_thread(list, "visitor")


def visit_and_fail() -> None:
    def fail() -> None:
        raise OSError("nothing there")

    with pytest.raises(OSError, match="nothing there"):
        _in_thread(fail, "visitor")


@pytest.mark.parametrize("work", [pool, visit, visit_and_fail], ids=lambda work: work.__name__)
def test_a_thread_that_ends_blocks_every_signal(work: Callable[[], None], masks: list[set[int]]) -> None:
    work()
    stoppable = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    assert masks
    assert all(mask >= stoppable for mask in masks)
