"""The sandboxes that are up, for `ls`, `inspect`, `networks` and `logs`. It loads no more than the store."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nsctl.engine.app.context import sandbox_in
from nsctl.engine.model.errors import Refused

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.executor.reading import Reading
    from nsctl.engine.store import SandboxRow
    from nsctl.engine.store.sandboxes import Cable

__all__ = ["inspect", "ls", "names", "natural", "network_names", "networks", "open_output"]


def ls(ctx: AppContext) -> list[dict[str, Any]]:
    """
    The sandboxes, in the order of their names.

    Raises:
        Refused: The process is not root's, or the store can't be read.
    """
    ctx.need_root()
    with ctx.read() as session:
        if session is None:
            return []
        rows = sorted(session.sandboxes().values(), key=lambda row: natural(row.name))
        return [_summary(session, row) for row in rows]


def names(ctx: AppContext) -> list[str]:
    """The names of the sandboxes, in the order in which they were made."""
    with ctx.read() as session:
        return [] if session is None else list(session.sandboxes())


def inspect(ctx: AppContext, name: str, *, verbose: bool = False) -> dict[str, Any]:
    """
    What is known of a sandbox, as plain data.

    Args:
        ctx: The context.
        name: The sandbox.
        verbose: Each step with its commands, its undo and all it writes, values of variables among them.

    Raises:
        Invalid: There is no such sandbox.
    """
    from nsctl.engine.model.plan import step_to_json

    ctx.need_root()
    with ctx.read() as session:
        store, row = sandbox_in(session, name)
        return _summary(store, row) | {
            "isolate": list(row.isolate),
            "options": row.options,
            "command": list(row.command),
            # Values of variables may be secrets, and what `inspect` prints is pasted into reports.
            "settings": row.settings | {"env": sorted(row.settings.get("env", ()))},
            "gateway": row.gateway,
            "shares": row.shares,
            "attachments": [_attachment(cable) for cable in row.attachments],
            "log": row.log,
            "lab": row.source or None,
            "steps": [
                step_to_json(s.step) | {"state": s.state, "identity": s.identity, "tools": s.tools}
                if verbose
                else {"key": s.step.key, "state": s.state, "why": s.step.why}
                for s in store.steps(name)
            ],
        }


def _attachment(cable: Cable) -> dict[str, Any]:
    return {
        "name": cable.name,
        "interface": cable.interface,
        "mode": cable.mode,
        "options": cable.options,
        "addresses": list(cable.addresses),
        "gateway": cable.gateway,
        "network": cable.network,
        "bridge": cable.link,
        "mac": cable.mac,
    }


def networks(ctx: AppContext) -> list[dict[str, Any]]:
    """
    The networks that sandboxes share, and their sandboxes, in the order of their names.

    Raises:
        Refused: The process is not root's, or the store can't be read.
    """
    ctx.need_root()
    found = sorted(_networks(ctx), key=lambda one: natural(one["name"]))
    for one in found:
        one["sandboxes"].sort(key=natural)
    return found


def network_names(ctx: AppContext) -> list[str]:
    """The names of the networks."""
    return [one["name"] for one in _networks(ctx)]


def _networks(ctx: AppContext) -> list[dict[str, Any]]:
    with ctx.read() as session:
        if session is None:
            return []
        from nsctl.engine.executor.inventory import networks as known

        return [one._asdict() for one in known(session.store[0])]


def open_output(ctx: AppContext, name: str) -> tuple[int, int | None]:
    """
    Open the file with the output of a sandbox's workload, and the process that writes to it; None where that has ended.

    Once both are open, whatever becomes of the sandbox can't make them others'. The caller closes the descriptors.

    Raises:
        Invalid: There is no such sandbox.
        Refused: Nothing in it prints.
    """
    from nsctl.engine.host.process import start_of

    ctx.need_root()
    with ctx.read() as session:
        store, row = sandbox_in(session, name)
        path = row.log
        if path is None or (not row.command and row.init == f"init/{name}"):
            raise Refused(
                f"'{name}' has no workload whose output is kept",
                hint="nsctl up MODE -- CMD... makes one; what exec, shell and run start prints where they are called",
            )
        pid = store.pid(row)
        start = None if pid is None else start_of(pid)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as e:
        raise Refused(f"the output of '{name}' can't be read: {e.strerror}: {path}", hint=f"nsctl check {name}") from e
    if pid is not None and start is not None:
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            if start_of(pid) == start:
                return fd, pidfd
            os.close(pidfd)
    return fd, None


def natural(name: str) -> list[tuple[int, str]]:
    """A key to sort names by, with client-2 before client-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split("([0-9]+)", name)]


def _summary(session: Reading, row: SandboxRow) -> dict[str, Any]:
    pid = session.pid(row)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    state = row.state
    if state == "up" and row.init is not None and pid is None:
        state = "dead"
    elif state == "up" and row.confirm_by is not None:
        state = f"unconfirmed ({max(0, row.confirm_by - now):.0f}s left)"
    return {
        "name": row.name,
        "mode": row.mode,
        "addresses": list(row.addresses),
        "network": row.network,
        "bridge": row.link,
        "pid": pid,
        "state": state,
        "created": row.created,
        "age_seconds": round(max(0.0, now - row.created_boot), 1),
    }
