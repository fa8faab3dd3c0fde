"""Messages for people that stop nothing: warnings and notes, as data."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Diagnostic"]


class Diagnostic(NamedTuple):
    """
    A message beside a result.

    Args:
        level: How much it matters; a `detail` is of interest only to who asked for details, and `recovered` is what
            a killed nsctl had left and this one cleaned up first.
        message: One line.
        hint: What to do about it, in one line, or nothing.
    """

    level: Literal["warning", "note", "recovered", "detail"]
    message: str
    hint: str = ""
