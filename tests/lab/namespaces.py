"""
Threads that live in other namespaces.

Every thread has namespaces of its own as far as the kernel is concerned. One that has entered a lab's starts processes,
opens sockets and reads files *there*, without a process in between: that is what makes labs cheap.
"""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

# From <linux/sched.h>.
CLONE_FS = 0x00000200
NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWPID = 0x20000000
NEWNET = 0x40000000
EVERYTHING = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET

# From <linux/mount.h>.
MS_BIND = 0x1000
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def setns(fd: int, flags: int) -> None:
    """
    Move the calling thread into the namespace `fd`, or into those `flags` of the process that the pidfd `fd` names.
    """
    _check(_libc.setns(fd, flags), "setns")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2), in the mount namespace of the calling thread."""
    arguments = [os.fsencode(text) or None for text in (source, target, fstype)]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), os.fsencode(data) or None), f"mount {target}")


def umount(target: str) -> None:
    """Lazy umount2(2), in the mount namespace of the calling thread."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def _enter_process(pid: int, flags: int) -> None:
    if flags & NEWNS:
        # A mount namespace can only be entered with a root and working directory of one's own, which threads share.
        _check(_libc.unshare(CLONE_FS), "unshare")
    fd = os.pidfd_open(pid)
    try:
        setns(fd, flags)
    finally:
        os.close(fd)


class NamespaceThread:
    """One thread in namespaces of the process `pid`; what is handed to `call` runs there, one at a time."""

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
