"""Plans from outside: `apply` of a saved one, and `adopt` of what a script has made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nsctl.engine.app.requests import Up

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.app.requests import Execution
    from nsctl.engine.executor import Session
    from nsctl.engine.model.plan import Plan
    from nsctl.engine.planning.carried import Carried
    from nsctl.hooks.manager import Plugins

__all__ = ["adopt", "apply", "validate"]


def validate(ctx: AppContext, plan: Plan) -> None:
    """
    Check a plan as data.

    Raises:
        Refused: It is no plan that nsctl could have made.
    """
    from nsctl.engine.executor.authority import check_kept
    from nsctl.engine.planning import planner

    planner.validate(plan)
    check_kept(plan, str(ctx.state_dir))  # what `down` would not run is not begun


def apply(ctx: AppContext, plan: Plan, plugins: Plugins, how: Execution | None = None) -> Up:
    """
    Carry out a saved plan, step for step.

    Args:
        ctx: The context.
        plan: The plan.
        plugins: The plugins that were loaded: each may veto it, and hears of every step.
        how: How steps are carried out.

    Raises:
        Refused: It is no plan that nsctl could have made, or the host no longer fits it.
        StepFailed, Interrupted: Everything was undone.
        RollbackFailed: Something is left, for `recover`.
    """
    from nsctl.engine.app.existing import ended_names, has_ended, hint_of_adopt, up_already
    from nsctl.engine.app.promises import broken_promises
    from nsctl.engine.planning import planner

    validate(ctx, plan)
    plugins.review(plan)
    with ctx.open_for_change("apply", plugins, how) as session:
        ended = ended_names(ctx, session, plan.name)
        if plan.name in session.sandboxes() and not ended:
            raise up_already(plan.name)
        facts = session.facts(without=ended)
        planner.validate(plan, facts)
        with hint_of_adopt(session, plan.name):
            planner.check_fit(plan, facts)
            [row] = session.up([plan], replace=ended)
        return Up(row, plan, has_ended(session, row), broken_promises(session, [plan]))


def adopt(ctx: AppContext, carried: Carried, plugins: Plugins) -> list[Up]:
    """
    Take over what a script of a dry run has made, as if `up` had made it.

    Args:
        ctx: The context.
        carried: The plans that the script carries.
        plugins: The plugins that were loaded: each may veto a plan.

    Raises:
        Refused: A plan is none that nsctl could have made, or a resource is missing or foreign: nothing is taken over.
        Drifted: It was taken over before, and is not as it was made.
    """
    from nsctl.engine.app.existing import check_as_made, has_ended, up_already
    from nsctl.engine.executor import adopting
    from nsctl.engine.planning import planner

    for plan in carried.plans:
        validate(ctx, plan)
        plugins.review(plan)
    with ctx.open_for_change("adopt", plugins) as session:
        there = session.sandboxes()
        known = [plan.name for plan in carried.plans if plan.name in there]
        if known and _all_held(session, carried.plans):
            check_as_made(session, known)
            return [Up(there[name]) for name in known]
        for name in known:
            raise up_already(name)
        facts = session.facts()
        for plan in carried.plans:
            planner.check_fit(plan, facts, in_place=True)
        rows = adopting.adopt(session.ctx, carried.plans, operation="adopt", source=carried.source)
        return [Up(row, plan, has_ended(session, row)) for row, plan in zip(rows, carried.plans, strict=True)]


def _all_held(session: Session, plans: Sequence[Plan]) -> bool:
    # Whether the store holds each of them exactly as it is, under its name.
    there = session.sandboxes()
    return all(plan.name in there and _is_held(session, plan) for plan in plans)


def _is_held(session: Session, plan: Plan) -> bool:
    rows = {row.step.key: row.step for row in session.steps(plan.name)}
    return rows.keys() == {step.key for step in plan.steps} and all(rows[s.key].same_work(s) for s in plan.steps)
