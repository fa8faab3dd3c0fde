"""
Entering a network namespace, in a thread of its own.

`setns` in the spawning thread, then the plain command, is the cheapest way in (`ip -n` copies the mount table).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["enter", "entered"]

CLONE_NEWNET = 0x40000000


def enter(fd: int) -> None:
    """
    Put the calling thread into the network namespace of an open descriptor.

    Never call it in the main thread: the rest of nsctl lives there.

    Raises:
        OSError: The kernel refused.
    """
    if sys.version_info >= (3, 12):
        os.setns(fd, CLONE_NEWNET)
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


@contextmanager
def entered(name: str | None) -> Iterator[None]:
    """
    The calling thread is in the namespace of that name, and back afterwards.

    Raises:
        OSError: There is no such namespace.
    """
    if name is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)
