"""
Commit-confirm: a detached process that takes a sandbox down unless `nsctl confirm` comes in time.

It sleeps in sh and then runs `nsctl recover`, which finds the deadline in the store; so does every other mutating
command. Where that fails (another nsctl holds the lock), it tries again until it has worked.
A terminal that died does not matter: the process has a session of its own. A watcher that was killed is missed by
`check` and started again by the next command that changes something.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from nsctl.engine.executor.context import Context
from nsctl.engine.host.caller import group_of_caller
from nsctl.engine.host.process import command_of, pid_in, start_of
from nsctl.engine.model.commands import Spawn

__all__ = ["alive", "start", "stop"]

_GRACE = 0.2
"""Seconds added, so that the deadline has surely passed when the watcher looks."""
_TRY = 'sleep "$1"; shift; n=1; until "$@"; do sleep $n; [ $n -ge 60 ] || n=$((n * 2)); done'
"""With longer and longer pauses, up to two minutes: what keeps it from working may last."""


def start(ctx: Context, name: str, seconds: float) -> None:
    """Start the watcher of a sandbox."""
    state_dir = ctx.journal.state_dir
    audit = os.environ.get("NSCTL_AUDIT_LOG", "")
    argv = (
        "env",
        f"NSCTL_STATE_DIR={state_dir}",
        *([f"NSCTL_AUDIT_LOG={audit}"] if audit else []),
        "sh",
        "-c",
        _TRY,
        f"nsctl-confirm-{name}",
        f"{seconds + _GRACE:.3f}",
        sys.executable,
        "-I",
        "-m",
        "nsctl",
        "recover",
    )
    ctx.runner.spawn(Spawn(argv, pidfile=str(_pidfile(state_dir, name)), log=os.devnull))


def alive(state_dir: Path, name: str) -> bool:
    """Whether the watcher of a sandbox runs."""
    pid = pid_in(str(_pidfile(state_dir, name)))
    return pid is not None and _is_watcher(pid, name)


def _is_watcher(pid: int, name: str) -> bool:
    # The PID may be another process's by now: the watcher has its own name as a word.
    return start_of(pid) is not None and f"\0nsctl-confirm-{name}\0" in command_of(pid)


def stop(state_dir: Path, name: str) -> None:
    """End the watcher of a sandbox, if there is one, and it is not what runs this."""
    pidfile = _pidfile(state_dir, name)
    pid = pid_in(str(pidfile))
    if pid is None:
        return
    try:
        # Nor what runs this: a watcher's `recover` is a child of it.
        if group_of_caller() != pid and _is_watcher(pid, name):
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    with suppress(OSError):
        pidfile.unlink()


def _pidfile(state_dir: Path, name: str) -> Path:
    return state_dir / f"confirm-{name}.pid"
