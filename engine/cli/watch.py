"""
`watch`.

What waits is a process of its own kind: this one has read the command line, and becomes it (`watching.py`), so that
nothing stays in memory but what waiting needs.
"""

from __future__ import annotations

import fcntl
import os
import sys
from typing import TYPE_CHECKING

import typer

from nsctl.engine.app.watch import prepare
from nsctl.engine.model.errors import Conflict, Refused
from nsctl.engine.model.names import display

if TYPE_CHECKING:
    from pathlib import Path

    from nsctl.engine.app.context import AppContext

__all__ = ["watch"]


def watch(ctx: typer.Context) -> int:
    """
    Follow the kernel, and put back within a second what was flushed or taken away, until it is stopped.

    It does what `repair` does, but for processes: a workload that has ended is not started again.
    TERM and INT end it; HUP has it look once.
    """
    context: AppContext = ctx.obj
    prepare(context)
    lock = _only_one(context.state_dir)
    os.set_inheritable(lock, True)  # noqa: FBT003 - its only form
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    argv = [sys.executable, "-I", "-m", "nsctl.engine.cli.watching", str(context.state_dir), str(lock)]
    os.execve(sys.executable, argv, environment)  # noqa: S606 - no shell wanted


def _only_one(state_dir: Path) -> int:
    """
    The lock of whoever watches over a state directory.

    Raises:
        Conflict: Another process has it.
        Refused: It can't be opened.
    """
    path = state_dir / "watch.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise Refused(f"the lock {display(str(path))} can't be opened: {e.strerror}") from e
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        word = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        who = f"another nsctl watch (PID {word})" if word.isdigit() else "another nsctl watch"
        raise Conflict(f"{who} looks after {display(str(state_dir))} already", hint="one is enough") from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
