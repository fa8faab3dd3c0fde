"""
Commit-confirm: a detached process that takes a sandbox down unless `nsctl confirm` comes in time.

It sleeps in sh and then runs `nsctl recover`, which finds the deadline in the store; so does every other mutating
command.
A terminal that died does not matter: the process has a session of its own.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from nsctl.engine.executor.context import Context
from nsctl.engine.plan import Spawn
from nsctl.engine.probe.process import command_of, pid_in

__all__ = ["start", "stop"]

_GRACE = 0.2
"""Seconds added, so that the deadline has surely passed when the watcher looks."""


def start(ctx: Context, name: str, seconds: float) -> None:
    """
    Start the watcher of a sandbox.
    """
    state_dir = ctx.journal.state_dir
    audit = os.environ.get("NSCTL_AUDIT_LOG", "")
    argv = (
        "env",
        f"NSCTL_STATE_DIR={state_dir}",
        *([f"NSCTL_AUDIT_LOG={audit}"] if audit else []),
        "sh",
        "-c",
        'sleep "$1"; shift; exec "$@"',
        f"nsctl-confirm-{name}",
        f"{seconds + _GRACE:.3f}",
        sys.executable,
        "-I",
        "-m",
        "nsctl",
        "recover",
    )
    ctx.runner.spawn(Spawn(argv, pidfile=str(_pidfile(state_dir, name)), log=os.devnull))


def stop(state_dir: Path, name: str) -> None:
    """
    End the watcher of a sandbox, if there is one, and it is not what runs this.
    """
    pidfile = _pidfile(state_dir, name)
    pid = pid_in(str(pidfile))
    if pid is None:
        return
    try:
        if pid != os.getpid() and f"nsctl-confirm-{name}" in command_of(pid):
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    with suppress(OSError):
        pidfile.unlink()


def _pidfile(state_dir: Path, name: str) -> Path:
    return state_dir / f"confirm-{name}.pid"
