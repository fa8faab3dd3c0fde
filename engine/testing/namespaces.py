"""
Threads that live in other namespaces.

Every thread has namespaces of its own as far as the kernel is concerned.
One that has entered a lab's starts processes, opens sockets and reads files *there*, without a process in between: that
is what makes labs cheap.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from nsctl.engine.host.setns import NEWNET, NEWPID, setns, unshare

__all__ = ["EVERYTHING", "NEWIPC", "NEWNET", "NEWNS", "NEWPID", "NEWUTS", "NamespaceThread", "setns"]

P = ParamSpec("P")
R = TypeVar("R")

# From <linux/sched.h>.
CLONE_FS = 0x00000200
NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
EVERYTHING = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET


class NamespaceThread:
    """
    One thread in namespaces of a process; what is handed to `call` runs there, one at a time.

    Args:
        pid: The process.
        flags: Which of its namespaces: `NEWNET | NEWNS`, …
    """

    def __init__(self, pid: int, flags: int) -> None:
        self._pool = ThreadPoolExecutor(1, f"in-{pid}", _enter_process, (pid, flags))

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run it in the thread, and go on meanwhile."""
        return self._pool.submit(function, *args, **kwargs)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it in the thread and return, or raise, what it does."""
        return self.submit(function, *args, **kwargs).result()

    def close(self) -> None:
        """End the thread; namespaces that only it kept go with it."""
        self._pool.shutdown()


def _enter_process(pid: int, flags: int) -> None:
    if flags & NEWNS:
        # A mount namespace can only be entered with a root and working directory of one's own, which threads share.
        unshare(CLONE_FS)
        os.umask(0o022)  # its own from here on; nsctl, called in the test process, changes that one's
    fd = os.pidfd_open(pid)
    try:
        setns(fd, flags)
    finally:
        os.close(fd)
