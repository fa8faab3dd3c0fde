"""Transactions: all of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nsctl.engine.executor import confirm_timer
from nsctl.engine.executor.apply import apply, interrupted
from nsctl.engine.executor.context import Context, boot_time, new_transaction_id
from nsctl.engine.executor.new_rows import attached, new_row, tell_sharers
from nsctl.engine.executor.pending import Pending, keep_adopted, prepare
from nsctl.engine.executor.postconditions import all_in_place
from nsctl.engine.executor.replaced import kept, restore
from nsctl.engine.executor.undo import Undone, tear_down, undo_rows
from nsctl.engine.host.process import start_of
from nsctl.engine.model.attachment import sandbox_of
from nsctl.engine.model.errors import Interrupted, NsctlError, Refused, RollbackFailed, StepFailed
from nsctl.engine.model.events import PlanFinished, PlanStarted
from nsctl.engine.model.names import listed
from nsctl.engine.model.plan import Plan
from nsctl.engine.store import Damaged, SandboxRow, StepRow, Transaction, Unwritable
from nsctl.engine.store.rows import INTENT, STARTED

__all__ = ["confirm", "down", "everything_undone", "left_over", "up"]

_AS_BEFORE = "everything was undone"
_SHOWN = 5
"""Left-over steps that a message names."""


def up(
    ctx: Context,
    plans: Sequence[Plan],
    *,
    operation: str,
    replace: Sequence[str] = (),
    ephemeral: bool = False,
    confirm: float | None = None,
    source: str = "",
) -> list[SandboxRow]:
    """Carry out plans as one transaction; see `Session.up`."""
    pending = prepare(ctx, plans, replace)
    opened = Transaction(new_transaction_id(), operation, kept(ctx, replace))
    owner = (os.getpid(), start_of(os.getpid()) or 0) if ephemeral else None
    deadline = boot_time() + confirm if confirm is not None else None
    rows = [new_row(p, owner=owner, confirm_by=deadline, source=source) for p in plans if not p.existing]
    names = [name for p in plans for name in ([a.name for a in p.attachments] if p.existing else [p.name])]
    tell_sharers(ctx, rows)
    sandbox = plans[0].name if len(plans) == 1 else ""
    todo = pending.in_order(plans)
    if ctx.signals.caught is not None:
        raise interrupted(ctx.signals.caught)
    ctx.emit(PlanStarted(opened.id, sandbox, operation, plans[0].mode if sandbox else "", todo))
    try:
        if replace:
            ctx.journal.begin(opened, [], [], [], replace)
            undone = tear_down(ctx, replace, opened.id)
            if undone.left:  # the transaction stays open: recovery tries again, and then brings them back
                left = undone.lines
                ctx.emit_safely(PlanFinished(opened.id, sandbox, operation, "left", tuple(left)))
                raise left_over(f"{', '.join(replace)} could not be taken down completely", left)
            ctx.journal.build(rows, pending.written(), pending.held, attached(plans))
        else:
            ctx.journal.begin(opened, rows, pending.written(), pending.held, (), attached(plans))
        keep_adopted(ctx, pending)
    except (Unwritable, Damaged):
        if replace:
            _roll_back(ctx, opened, [], Pending(), sandbox)
        ctx.emit_safely(PlanFinished(opened.id, sandbox, operation, "refused"))
        raise
    try:
        apply(ctx, todo, opened.id, sandbox)
        all_in_place(ctx, plans, pending)
        _finish(ctx, names, opened.id, confirm)
    except BaseException as e:
        left = _roll_back(ctx, opened, names, pending, sandbox)
        ctx.emit_safely(PlanFinished(opened.id, sandbox, operation, "left" if left else "undone", tuple(left)))
        if left:
            raise left_over(str(e), left) from e
        if (failure := everything_undone(e)) is not None:
            raise failure from e
        raise
    ctx.emit_safely(PlanFinished(opened.id, sandbox, operation, "done"))
    for row in rows:
        row.state = "up"
    return rows


def _finish(ctx: Context, names: Sequence[str], transaction: str, confirm: float | None) -> None:
    # Before it is said to be up: if nsctl is killed in between, the watcher still finds what to undo.
    if confirm is not None:
        for name in names:
            confirm_timer.start(ctx, name, confirm)
    if ctx.signals.caught is not None:  # the last chance: once it is up, signals change nothing
        raise interrupted(ctx.signals.caught)
    ctx.journal.finish(names, transaction)


def down(ctx: Context, names: Sequence[str], *, operation: str) -> None:
    """Take sandboxes, or attachments, down, as one transaction that only goes forward."""
    opened = Transaction(new_transaction_id(), operation)
    rows = ctx.journal.held_only_by(names)
    steps = tuple(row.step for row in rows)
    sandbox = sandbox_of(names[0]) if len(names) == 1 else ""
    # An undo is never stopped by an audit trail that can't be written.
    ctx.emit_safely(PlanStarted(opened.id, sandbox, operation, "", steps))
    with ctx.undoing():
        ctx.journal.begin(opened, [], [], [], names)
        try:
            undone = tear_down(ctx, names, opened.id, rows)
            ctx.journal.finish(transaction=opened.id)
            left = undone.lines
        except NsctlError as e:  # found on the way: something has been undone, so this is no refusal any more
            left = [_told(e)]
    ctx.emit_safely(PlanFinished(opened.id, sandbox, operation, "left" if left else "done", tuple(left)))
    if left:
        raise left_over(f"{', '.join(names)} could not be taken down completely", left)
    if ctx.signals.caught is not None:
        raise Interrupted(ctx.signals.caught, f"{', '.join(names)} is down; a signal came meanwhile")


def everything_undone(error: BaseException) -> StepFailed | None:
    """Say so in an error, or by another one: a refusal of the store or the system is a failure by now."""
    if isinstance(error, (StepFailed, Interrupted)):
        error.message = f"{error.message}; {_AS_BEFORE}"
    elif isinstance(error, (Refused, OSError)):
        what = error.message if isinstance(error, Refused) else f"the system refused: {error.strerror or error}"
        return StepFailed(f"{what}; {_AS_BEFORE}", hint=getattr(error, "hint", ""))
    return None


def left_over(what: str, left: Sequence[str]) -> RollbackFailed:
    """The error that names what is left."""
    return RollbackFailed(
        f"{what}; left over: {listed(left, _SHOWN, '; ')}", hint="try again to undo it: nsctl recover"
    )


def confirm(ctx: Context, name: str) -> None:
    """The sandbox stays."""
    ident = new_transaction_id()
    ctx.emit(PlanStarted(ident, name, "confirm", "", ()))
    ctx.journal.confirm(name)
    confirm_timer.stop(ctx.journal.state_dir, name)
    ctx.emit_safely(PlanFinished(ident, name, "confirm", "done"))


def _roll_back(ctx: Context, opened: Transaction, names: Sequence[str], pending: Pending, sandbox: str) -> list[str]:
    with ctx.undoing():
        try:
            try:
                undone = tear_down(ctx, names, opened.id)
            except (Unwritable, Damaged) as e:
                ctx.warnings.append(f"undone from memory, since {e.message}")
                undone = _from_memory(ctx, pending, opened, sandbox)
            left = undone.lines
            if opened.restore and not left:
                _, left = restore(ctx, opened.restore, opened.id)
            if not left:
                ctx.journal.finish(transaction=opened.id)
        except NsctlError as e:
            left = [_told(e)]
        return left


def _told(error: NsctlError) -> str:
    return f"the store: {error.message}" if isinstance(error, (Unwritable, Damaged)) else error.message


def _from_memory(ctx: Context, pending: Pending, opened: Transaction, sandbox: str) -> Undone:
    rows = [StepRow(0, step, STARTED if step.key in ctx.begun else INTENT) for step in reversed(pending.new)]
    return undo_rows(ctx, rows, opened.id, sandbox, record=False, planned=True)
