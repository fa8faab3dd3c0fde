"""Making again what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nsctl.engine.executor.apply import apply
from nsctl.engine.executor.authority import NOT_OURS, refused
from nsctl.engine.executor.context import Context, new_transaction_id
from nsctl.engine.executor.drift import chosen, observations
from nsctl.engine.executor.flows import drop_flows
from nsctl.engine.executor.late_zones import hold, late_zones
from nsctl.engine.executor.lost_names import give_names, name_again
from nsctl.engine.executor.mending import mending
from nsctl.engine.executor.own_files import put_back, renewed, stale
from nsctl.engine.executor.undo import undo_rows
from nsctl.engine.model.commands import RenameLink
from nsctl.engine.model.effects import (
    State,
)
from nsctl.engine.model.errors import Interrupted, NsctlError, RollbackFailed, StepFailed
from nsctl.engine.model.events import PlanFinished, PlanStarted
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Step
from nsctl.engine.store import StepRow
from nsctl.engine.store.rows import DONE

__all__ = ["repair"]

_STAYS = "(what was mended before it stays)"


def _settle(ctx: Context, seen: Iterable[tuple[StepRow, Observation | None]]) -> bool:
    # What a killed repair put in place is done; whether there was any.
    there = [
        (r.step.key, ctx.identity(r.step), r.tools or ctx.tools(r.step.tool))
        for r, s in seen
        if r.state != DONE and r.step.effect is not None and s is not None and s.state is State.OURS and not s.drift
    ]
    if there:
        ctx.journal.done(there)
    return bool(there)


def repair(
    ctx: Context, names: Sequence[str], *, dry_run: bool, operation: str = "repair", ended: bool = True
) -> list[Step]:
    """
    Make again exactly what is missing, packet filters first, so that isolation never weakens.

    A stranger's thing is never overwritten, and what runs is never restarted.
    A namespace that only lost its name gets it back first: then what is in it can be looked at.

    Args:
        ctx: The context.
        names: The sandboxes; all, if empty.
        dry_run: Only say what would be done.
        operation: What the trail calls it.
        ended: Whether processes that have ended, and what has gone with them, are made again, too.
    """
    ctx.looked = None
    seen = observations(ctx, ctx.journal.steps(*names))
    named = [
        step for row, observed in seen if observed is not None and (step := name_again(ctx, row, observed)) is not None
    ]
    if named:
        if dry_run:
            return named
        give_names(ctx, named, operation)
        return named + repair(ctx, names, dry_run=False, operation=operation, ended=ended)
    settled = not dry_run and _settle(ctx, seen)
    late = list(late_zones(ctx, [row for row, _ in seen]))
    todo, restart, backend, look_again = mending(ctx, seen, [one.step for one in late], ended=ended)
    refusals = {s.key: why for s in todo if (why := refused(ctx, s, s.commands[:1]))}
    todo = [s for s in todo if s.key not in refusals]
    restart = [r for r in restart if r.step.key not in refusals]
    files = list(stale(ctx, chosen(ctx, names)))
    renewing = {one.row.step.key for one in files if one.pid is None}
    todo = [s for s in todo if s.key not in renewing]  # their content is another from now on
    if dry_run:
        return todo + [renewed(one) for one in files]
    again = put_back(ctx, files, operation) if files else []
    if not (todo or refusals):
        ctx.looked = None if again or settled else seen
        return again
    ident = new_transaction_id()
    ctx.emit(PlanStarted(ident, names[0] if len(names) == 1 else "", operation, "", tuple(todo)))
    hold(ctx, [one for one in late if one.step.key not in refusals])
    try:
        if restart:
            undone = undo_rows(ctx, list(reversed(restart)), ident, "", record=False)
            if undone.left:
                raise StepFailed(f"{undone.left[0][0].step.key} can't be undone: {undone.left[0][1]}")
        apply(ctx, todo, ident, "", backend=backend)
        drop_flows(ctx, todo)
    except (NsctlError, OSError) as e:
        ctx.emit_safely(PlanFinished(ident, "", operation, "left"))
        if isinstance(e, Interrupted):
            e.message = f"{e.message} {_STAYS}"
            raise
        what = e.message if isinstance(e, NsctlError) else f"the system refused: {e.strerror or e}"
        raise StepFailed(f"{what} {_STAYS}", hint="see: nsctl check") from e
    ctx.emit_safely(PlanFinished(ident, "", operation, "left" if refusals else "done", tuple(refusals)))
    if refusals:
        left = "; ".join(f"{key}: {why}" for key, why in refusals.items())
        raise RollbackFailed(f"not everything could be put back; left over: {left}", hint=NOT_OURS)
    if look_again or any(isinstance(s.do, RenameLink) for s in todo):
        # under its name, a link's properties can be looked at
        todo += repair(ctx, names, dry_run=False, operation=operation, ended=ended)
    return todo + again
