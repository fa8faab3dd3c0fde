"""What undoing runs: processes are ended first, then the undo of each step, whatever fails on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Sequence

from nsctl.engine.executor.context import Context
from nsctl.engine.executor.inhabitants import end_all, living
from nsctl.engine.host.process import init_of, pid_in
from nsctl.engine.model.commands import DeleteLink
from nsctl.engine.model.effects import NetnsIs, ProcessIs
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.plan import Step
from nsctl.engine.runner.batch import BatchItem
from nsctl.engine.runner.batches import batches_of, undo_items
from nsctl.engine.runner.carry_out import Event, carry_out
from nsctl.engine.runner.writes import own_namespaces, processes_in, stop_and_wait
from nsctl.engine.store.rows import StepRow

__all__ = ["undoing"]


def undoing(
    ctx: Context, rows: Sequence[StepRow], steps: Sequence[Step], going: set[str]
) -> Generator[Event, None, None]:
    """
    Run the undo of steps; what happens, as `carry_out` tells it.

    Args:
        ctx: The context.
        rows: The steps as they were journalled, last applied first.
        steps: The same as they are by now; also those that need nothing, for others may be linked by them only.
        going: The keys of those that are undone.
    """
    inodes: dict[str, set[int]] = {}
    watched = _processes(ctx, rows, [s for s in steps if s.key in going], inodes)
    backends = {row.step.key: row.tools.get("iptables", "") for row in rows}
    deadline = time.monotonic() + ctx.runner.timeout
    # Processes first: a namespace with a process in it outlives its name.
    items = undo_items(steps, going)
    if ctx.fuse:
        end_all(ctx, watched, inodes, deadline)
        ended_here = {s.key for s in steps if isinstance(s.effect, ProcessIs | NetnsIs)}
        items = [i for i in items if not (i.key in ended_here and i.command.ends_processes)]
    # All of one sandbox's rules were made with one back end, and nsctl refuses to mix them.
    backend = next((b for i in items if (b := backends[i.key])), "")
    batches = batches_of(items, fuse=ctx.fuse)
    yield from carry_out(batches, ctx.runner, force=True, backend=backend, group=_unused_group(ctx, items))
    if watched and not ctx.fuse:
        stop_and_wait(watched, deadline, kill=False)


def _unused_group(ctx: Context, items: Sequence[BatchItem]) -> int | None:
    # For deleting several links at once: a number that no link has, so that nobody else's is taken along.
    if not ctx.fuse or sum(isinstance(i.command, DeleteLink) for i in items) <= 1:
        return None
    try:
        taken = {link.group for link in ctx.kernel.links().values()}
    except NsctlError:  # they keep changing while they are read: then one by one
        return None
    return next(n for n in iter(lambda: int.from_bytes(os.urandom(3)) + 2**24, -1) if n not in taken)


def _processes(
    ctx: Context, rows: Sequence[StepRow], steps: Iterable[Step], inodes: dict[str, set[int]]
) -> dict[int, int]:
    # What the undo of these steps ends, with start times: inits with their first child, and whatever runs in a
    # namespace that nsctl made. These namespaces are added to `inodes`, by kind.
    pids: set[int] = set()
    identities = {row.step.key: row.identity or {} for row in rows}
    for step in steps:
        if isinstance(step.effect, ProcessIs):
            identity = identities[step.key]
            # Somebody else may have written to the pidfile since; and start times count only in hundredths of a second.
            for pid in {identity["pid"] if "pid" in identity else pid_in(step.effect.pidfile)}:
                if pid is not None and ("start" not in identity or ctx.kernel.process(pid) == identity["start"]):
                    init = init_of(pid)
                    pids |= {pid, init}
                    # Without a PID namespace the others do not die with it: they are found by the namespaces it holds.
                    for kind in ("mnt", "uts", "ipc") if init == pid else ():
                        inodes.setdefault(kind, set()).update(own_namespaces(pid, kind))
        elif isinstance(step.effect, NetnsIs) and any(c.ends_processes for c in step.undo):
            inode = ctx.kernel.netns_inode(step.effect.name) or identities[step.key].get("inode")
            if inode is not None:
                inodes.setdefault("net", set()).add(inode)
    for kind, numbers in inodes.items():
        pids.update(processes_in(numbers, kind))
    return living(ctx, pids)
