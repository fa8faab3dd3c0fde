"""For whom this process works: a child of the resident process is neither its caller's child nor in its group."""

from __future__ import annotations

import os

__all__ = ["group", "group_of_caller", "parent", "parent_of_caller"]

parent: int | None = None
"""The parent of the process that asked, where it is another one that works."""
group: int | None = None
"""Its process group, likewise."""


def parent_of_caller() -> int:
    """The process that called nsctl."""
    return os.getppid() if parent is None else parent


def group_of_caller() -> int:
    """The process group that nsctl was called in."""
    return os.getpgrp() if group is None else group
