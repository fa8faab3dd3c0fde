"""What the resident process has to do with the rest: its directory, how it is, and the libraries that commands need."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsctl.engine.resident import wire
from nsctl.engine.resident.standing import LOCK, changed_since, holder, somebody_listens, state_of

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.doctor.finding import Finding

__all__ = ["finding", "load_libraries", "prepare"]


def prepare(context: AppContext) -> None:
    """
    See to the directory that its socket is in.

    Raises:
        Refused: The caller is not root, or it is not root's alone.
    """
    context.need_root()
    from nsctl.engine.store.files import HOST_DIR, ensure_private_dir

    ensure_private_dir(HOST_DIR)


def finding() -> Finding:
    """Whether one runs, and whether it is of use; it is not asked, which would start one that systemd listens for."""
    from nsctl.engine.doctor.finding import OK, WARN, Finding

    if os.geteuid() != 0:
        return Finding(OK, "a resident process is root's affair")
    found = holder()
    if found is not None:
        return _of_one_that_runs(*found)
    if not os.path.lexists(wire.SOCKET):
        return Finding(OK, "none runs: each command loads its code")
    if somebody_listens():
        return Finding(OK, "systemd starts it when it is first asked")
    what = f"the resident process was killed, and {wire.SOCKET} is left: commands run without it"
    return Finding(WARN, what, "nsctl resident start")


def _of_one_that_runs(pid: int, by_systemd: bool) -> Finding:  # noqa: FBT001 - as `holder` tells it
    from nsctl.engine.doctor.finding import OK, WARN, Finding

    if state_of(pid) in {"T", "t"}:
        what = f"the resident process (PID {pid}) is stopped: commands run without it"
        return Finding(WARN, what, f"kill -CONT {pid}")
    if changed_since(os.stat(LOCK).st_mtime):
        what = f"code has changed since the resident process (PID {pid}) loaded it: it ends when it is next asked"
        again = (
            "systemctl restart nsctl-resident.service" if by_systemd else "nsctl resident stop; nsctl resident start"
        )
        return Finding(WARN, what, again)
    return Finding(OK, f"PID {pid} waits for commands")


def load_libraries() -> None:
    """Load what commands import when they first need it."""
    from nsctl.engine.lazy_imports import load_structlog
    from nsctl.engine.runner.process import load_plumbum

    load_structlog()  # it asks about colours, for a console that nsctl does not have
    load_plumbum()  # it copies all variables, and is made to forget them whenever it is used
