"""What a transaction takes down to put something else in its place: kept as plans, and brought back if it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nsctl.engine.executor import confirm_timer
from nsctl.engine.executor.apply import apply
from nsctl.engine.executor.authority import check_kept
from nsctl.engine.executor.context import Context, boot_time
from nsctl.engine.executor.jumps import Jumps
from nsctl.engine.executor.new_rows import new_row, tell_sharers
from nsctl.engine.executor.pending import keep_adopted, prepare
from nsctl.engine.executor.postconditions import all_in_place
from nsctl.engine.executor.reading import pid_of
from nsctl.engine.executor.undo import tear_down
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning.sharing import Sharing

__all__ = ["kept", "restore"]


def kept(ctx: Context, names: Sequence[str]) -> list[dict[str, Any]]:
    """What is written down of sandboxes before they are taken down, so that they can be brought back."""
    if not names:
        return []
    rows = ctx.journal.sandboxes()
    out = []
    for name in Sharing(rows).owners_first(names):
        row = rows[name]
        if row.init is not None and pid_of(ctx.journal, row) is None:
            continue  # what had ended is not started again
        steps = tuple(r.step for r in ctx.journal.steps(name))
        cables = tuple(each.attachment for each in ctx.journal.attachments(name))
        plan = Plan(row.mode, name, row.options, steps, row.isolate, row.command, row.settings, cables)
        out.append(
            {
                "plan": plan.to_json(),
                "held": ctx.journal.held(name),
                "source": row.source,
                "created": row.created,
                "created_boot": row.created_boot,
                "confirm_by": row.confirm_by,
            }
        )
    return out


def restore(ctx: Context, kept: Sequence[dict[str, Any]], transaction: str) -> tuple[list[str], list[str]]:
    """Bring back the sandboxes that a rolled back transaction took down; their names, and what failed."""
    back, left = [], []
    present = ctx.journal.sandboxes()
    for data in kept:
        plan = Plan.from_json(data["plan"])
        if plan.name in present:
            continue
        row = new_row(plan, owner=None, confirm_by=data.get("confirm_by"), source=data["source"])
        row.created, row.created_boot = data["created"], data["created_boot"]
        tell_sharers(ctx, [row])
        try:
            check_kept(plan, str(ctx.journal.state_dir))
            pending = prepare(ctx, [plan])
            pending.held = [(key, holder) for key, holder in data["held"]]
            pending.new = list(Jumps(ctx).again(pending.new))  # the host's own rules may be others by now
            with ctx.undoing(best_effort=False):
                ctx.journal.build([row], pending.written(), pending.held, plan.attachments)
                keep_adopted(ctx, pending)
                apply(ctx, pending.in_order([plan]), transaction, plan.name)
                all_in_place(ctx, [plan], pending)
            if row.confirm_by is not None:
                confirm_timer.start(ctx, plan.name, max(0.0, row.confirm_by - boot_time()))
        except NsctlError as e:
            tear_down(ctx, [plan.name], transaction)
            left.append(f"sandbox {plan.name} could not be brought back: {e}")
        else:
            ctx.journal.keep([plan.name])
            back.append(plan.name)
    return back, left
