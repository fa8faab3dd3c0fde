"""
Entering a network namespace, in a thread of its own.

`setns` in the spawning thread, then the plain command, is the cheapest way in (`ip -n` copies the mount table).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nsctl.engine.host.setns import NETNS_DIR, NEWNET, setns

__all__ = ["NetnsReturnError", "entered"]

_ATTEMPTS = 10
"""To come back, in a second."""


class NetnsReturnError(Exception):
    """The thread could not come back from a namespace: it must do nothing more."""


@contextmanager
def entered(name: str | None) -> Iterator[None]:
    """
    The calling thread is in the namespace of that name, and back afterwards.

    Never in the main thread: the rest of nsctl lives there.

    Raises:
        OSError: There is no such namespace.
        NetnsReturnError: There is no way back.
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
            _go_home(home, name)
    finally:
        os.close(home)


def _go_home(home: int, name: str) -> None:
    # It takes memory, which may be short for a moment.
    for attempt in range(_ATTEMPTS):
        try:
            setns(home, NEWNET)
        except OSError as e:
            if attempt == _ATTEMPTS - 1:
                raise NetnsReturnError(f"no way back from network namespace {name}: {e.strerror}") from e
            time.sleep(0.001 * 2**attempt)
        else:
            return
