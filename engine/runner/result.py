"""The result of a command that has run."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Result"]


class Result(Struct):
    """
    What came of a command.

    Args:
        status: The exit status; -n where signal n ended it.
        duration: Seconds.
        timed_out: It was killed at its deadline.
        not_executed: The program of a `Spawn` never ran; the status is the shell's, 126 or 127.
    """

    status: int
    stdout: str = ""
    stderr: str = ""
    executable: str = ""
    duration: float = 0.0
    timed_out: bool = False
    not_executed: bool = False
