"""
Every error nsctl raises on purpose.

    NsctlError                  exit status   what the host looks like afterwards
    ├── Refused                 2             as before: nothing was changed
    │   ├── Invalid             2             an option, name, address or file is wrong
    │   ├── Conflict            2             something of that name is there, or is held otherwise
    │   └── Busy                2             another nsctl holds the lock
    ├── StepFailed              1             as before: everything was undone
    │   └── NotExecuted         126, 127      as before: everything was undone
    ├── Drifted                 4             as before: what was asked for is there, and not as it was made
    ├── RollbackFailed          3             what is left is named and kept for `nsctl recover`
    └── Interrupted             128 + n       as before: everything was undone
"""

from __future__ import annotations

__all__ = [
    "Busy",
    "Conflict",
    "Drifted",
    "Interrupted",
    "Invalid",
    "NotExecuted",
    "NsctlError",
    "Refused",
    "RollbackFailed",
    "StepFailed",
]


class NsctlError(Exception):
    """
    The root of nsctl's errors.

    Args:
        message: What is wrong, and where, in one line.
        hint: What to do next, in one line, or nothing.
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class Refused(NsctlError):
    """nsctl would not start: nothing was changed."""

    exit_status = 2


class Invalid(Refused):
    """An option, a name, an address or a file is wrong."""


class Conflict(Refused):
    """What the plan wants to make is already there, and not as the plan needs it."""


class Busy(Refused):
    """Another nsctl holds the lock, and went on holding it."""


class StepFailed(NsctlError):
    """A step failed; everything was undone."""


class NotExecuted(StepFailed):
    """
    The workload can't be executed, or was not found; everything was undone.

    Args:
        message: What is wrong.
        status: 126 or 127, as shells have it.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.exit_status = status


class Drifted(NsctlError):
    """What was asked for is there already, but somebody has changed it since: nothing was done."""

    exit_status = 4


class RollbackFailed(NsctlError):
    """A step failed, and an undo failed too: what is left is kept in the store."""

    exit_status = 3


class Interrupted(NsctlError):
    """
    A signal came; everything was undone.

    Args:
        signum: The signal's number.
        message: What was interrupted.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum
        self.exit_status = 128 + signum
