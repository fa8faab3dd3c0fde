"""
Who lives in what nsctl made, though it is not to be found where nsctl put it.

A network namespace outlives its name, and without a PID namespace what a workload has started outlives its init.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from nsctl.engine.executor.context import Context
from nsctl.engine.host.process import Hideout
from nsctl.engine.model.effects import NetnsIs, ProcessIs
from nsctl.engine.model.names import mask_of
from nsctl.engine.runner.writes import processes_in, stop_and_wait
from nsctl.engine.store.rows import INTENT, StepRow

__all__ = ["end_all", "exorcise", "inhabitant", "living"]


def inhabitant(ctx: Context, row: StepRow) -> int | None:
    """
    The PID of a process in the namespace that a step made, whatever its name leads to by now; None for nobody.

    Args:
        ctx: The context.
        row: The step, with its identity.
    """
    effect, identity = row.step.effect, row.identity or {}
    if isinstance(effect, NetnsIs) and "inode" in identity and not effect.is_joined:
        return ctx.kernel.someone_in_inode(identity["inode"], identity.get("cookie"))
    if isinstance(effect, ProcessIs):
        return next((pid for hideout in _left_by(ctx, row) for pid in hideout.pids), None)
    return None


def _left_by(ctx: Context, row: StepRow) -> list[Hideout]:
    # What an init has left: there, nsctl has hidden its directory last of all, under the sandbox's name.
    if row.state == INTENT:
        return []
    source, place = mask_of(row.step.key.partition("/")[2]), f"{ctx.journal.state_dir}/"
    return [
        hideout
        for hideout in ctx.kernel.hideouts()
        if f"{hideout.source}:".startswith(f"{source}:") and place.startswith(f"{hideout.place.rstrip('/')}/")
    ]


def exorcise(ctx: Context, rows: Sequence[StepRow]) -> None:
    """
    End all that lives in namespaces which are not found by their names, or whose init is gone.

    Args:
        ctx: The context.
        rows: The steps that made them; see `inhabitant`.
    """
    inodes: dict[str, set[int]] = {}
    for row in rows:
        identity = row.identity or {}
        if isinstance(row.step.effect, ProcessIs):
            inodes.setdefault("mnt", set()).update(hideout.inode for hideout in _left_by(ctx, row))
        else:
            inodes.setdefault("net", set()).add(identity["inode"])
    pids = {pid for kind, numbers in inodes.items() for pid in processes_in(numbers, kind)}
    if pids:
        end_all(ctx, living(ctx, pids), inodes, time.monotonic() + ctx.runner.timeout)


def end_all(ctx: Context, watched: dict[int, int], inodes: dict[str, set[int]], deadline: float) -> None:
    """
    Kill processes, until nobody is left in their namespaces: who forks meanwhile has children that were not seen.

    Args:
        ctx: The context.
        watched: PIDs and start times.
        inodes: The numbers of the namespaces, by kind.
        deadline: Of the monotonic clock.
    """
    while watched and stop_and_wait(watched, deadline) and time.monotonic() < deadline:
        ctx.kernel.forget_processes()
        watched = living(ctx, {p for kind, numbers in inodes.items() for p in processes_in(numbers, kind)})


def living(ctx: Context, pids: Iterable[int]) -> dict[int, int]:
    """Of these processes those that live, with their start times."""
    return {pid: start for pid in pids if (start := ctx.kernel.process(pid)) is not None}
