"""Nothing of a lab outlives the test session."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from nsctl.engine.testing.lab import TOKEN


def leftovers(token: str = TOKEN, *, within: float = 5.0) -> list[str]:
    """
    Processes and mounts of this test process's labs that are on the machine.

    Args:
        token: What marks them.
        within: How long to wait for their end, in seconds.
    """
    deadline = time.monotonic() + within
    while (found := [*_processes(token), *_mounts(token)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _processes(token: str) -> Iterator[str]:
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            # A process in a lab sees the lab's mounts: so those without the token in their command line are found, too.
            with open(f"/proc/{number}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="backslashreplace")
            with open(f"/proc/{number}/mountinfo", "rb") as file:
                inside = token.encode() in file.read()
        except OSError:
            continue  # ended meanwhile
        if token in command or inside:
            yield f"process {number}: {command}"


def _mounts(token: str) -> Iterator[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="backslashreplace") as file:
        yield from (f"mount {line.split()[4]}" for line in file if token in line)
