"""
Steps that no sandbox holds: done as one transaction, and then forgotten, since what they make outlives the journal.

While they are being done, they are in the journal as any others: what a killed nsctl has begun, the next one undoes.
"""

from __future__ import annotations

from collections.abc import Sequence

from nsctl.engine.executor.apply import apply
from nsctl.engine.executor.context import Context, new_transaction_id
from nsctl.engine.executor.transaction import everything_undone, left_over
from nsctl.engine.executor.undo import undo_rows
from nsctl.engine.model.effects import State
from nsctl.engine.model.errors import NsctlError, RollbackFailed, StepFailed
from nsctl.engine.model.events import PlanFinished, PlanStarted
from nsctl.engine.model.plan import Step
from nsctl.engine.store import StepRow, Transaction
from nsctl.engine.store.rows import DONE

__all__ = ["do", "undo"]


def do(ctx: Context, steps: Sequence[Step], operation: str) -> None:
    """
    Do all of them, or nothing.

    Args:
        ctx: The context.
        steps: The steps; none of their results is there yet.
        operation: What the trail calls it.

    Raises:
        StepFailed, Interrupted: Everything was undone.
        RollbackFailed: Something is left.
    """
    opened = Transaction(new_transaction_id(), operation)
    ctx.emit(PlanStarted(opened.id, "", operation, "", tuple(steps)))
    try:
        ctx.journal.begin(opened, [], steps, [], ())
    except NsctlError:
        ctx.emit_safely(PlanFinished(opened.id, "", operation, "refused"))
        raise
    try:
        apply(ctx, steps, opened.id, "")
        _all_in_place(ctx, steps)
        ctx.journal.undone([step.key for step in steps])
        ctx.journal.finish(transaction=opened.id)
    except BaseException as e:
        left = _roll_back(ctx, opened, operation)
        if left:
            raise left_over(str(e), left) from e
        if (failure := everything_undone(e)) is not None:
            raise failure from e
        raise
    ctx.emit_safely(PlanFinished(opened.id, "", operation, "done"))


def _roll_back(ctx: Context, opened: Transaction, operation: str) -> list[str]:
    with ctx.undoing():
        undone = undo_rows(ctx, ctx.journal.held_only_by([]), opened.id, "")
        left = undone.lines
        if not left:
            ctx.journal.finish(transaction=opened.id)
    ctx.emit_safely(PlanFinished(opened.id, "", operation, "left" if left else "undone", tuple(left)))
    return left


def _all_in_place(ctx: Context, steps: Sequence[Step]) -> None:
    ctx.kernel.forget()
    for number, step in enumerate(steps, 1):
        observed = step.effect.observe(ctx.kernel) if step.effect is not None else None
        if observed is not None and (observed.state is not State.OURS or observed.drift):
            raise StepFailed(
                f"step {number} of {len(steps)} ({step.why}) was done, and is not in place at the end: {observed.found}"
            )


def undo(ctx: Context, steps: Sequence[Step], operation: str) -> None:
    """
    Undo them, last first, as far as their results are in place; what fails does not stop the others.

    Raises:
        RollbackFailed: Something is left.
    """
    ident = new_transaction_id()
    ctx.emit_safely(PlanStarted(ident, "", operation, "", tuple(reversed(steps))))
    rows = [StepRow(0, step, DONE) for step in reversed(steps)]
    undone = undo_rows(ctx, rows, ident, "", record=False, planned=True)
    left = undone.lines
    ctx.emit_safely(PlanFinished(ident, "", operation, "left" if left else "done", tuple(left)))
    if left:
        raise RollbackFailed(f"not everything could be undone; left over: {'; '.join(left)}", hint="try it again")
