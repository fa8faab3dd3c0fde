"""
Entering a network namespace, in a thread of its own.

`setns` in the spawning thread, then the plain command, is the cheapest way in (`ip -n` copies the mount table).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from nsctl.engine.namespaces import NETNS_DIR, NEWNET, setns

__all__ = ["entered"]


@contextmanager
def entered(name: str | None) -> Iterator[None]:
    """
    The calling thread is in the namespace of that name, and back afterwards.

    Never in the main thread: the rest of nsctl lives there.

    Raises:
        OSError: There is no such namespace.
    """
    if name is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"{NETNS_DIR}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there, NEWNET)
        finally:
            os.close(there)
        try:
            yield
        finally:
            setns(home, NEWNET)
    finally:
        os.close(home)
