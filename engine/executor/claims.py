"""Claims beside the stores of this host: each has one holder, and is let go when nothing of its holder's is left."""

from __future__ import annotations

from collections.abc import Container, Sequence

from nsctl.engine.executor.context import Context
from nsctl.engine.model.claims import is_anothers
from nsctl.engine.model.plan import Plan
from nsctl.engine.store import StepRow

__all__ = ["kept_claims", "refuse_claimed"]


def refuse_claimed(ctx: Context, plans: Sequence[Plan], going: Container[str] = ()) -> None:
    """
    Refuse plans that claim what another sandbox has, of this store, of another one, or of these plans.

    Args:
        ctx: The context.
        plans: The plans.
        going: The keys of the steps that are undone before, in the same transaction.

    Raises:
        Conflict: It is another's.
    """
    first: dict[str, str] = {}
    for plan in plans:
        for step in plan.steps:
            if not step.is_claim:
                continue
            if first.setdefault(step.key, plan.name) != plan.name:
                raise is_anothers(step, first[step.key])
            # One that nobody holds is a row that a full disk did not let go.
            if step.key not in going and (holders := ctx.journal.holders(step.key)):
                raise is_anothers(step, holders[0])
            if (held := ctx.others.get(step.key)) is not None:
                raise is_anothers(step, str(held))


def kept_claims(ctx: Context, rows: Sequence[StepRow], left: Sequence[StepRow]) -> set[str]:
    """
    The keys of the claims that stay, since something of their holder's could not be undone, and may be in use.

    Args:
        ctx: The context.
        rows: The steps that were to be undone.
        left: Those of them that could not be.
    """
    stuck = {name for row in left for name in ctx.journal.held_by(row.step.key)}
    claims = [row.step.key for row in rows if row.step.is_claim] if stuck else []
    return {key for key in claims if not stuck.isdisjoint(ctx.journal.held_by(key))}
