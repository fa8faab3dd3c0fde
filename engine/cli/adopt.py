"""`adopt`: what a script of nsctl's has made becomes nsctl's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.apply import read_text
from nsctl.engine.cli.complete import plan_files
from nsctl.engine.cli.present import all_as_made
from nsctl.engine.cli.up import described, has_ended
from nsctl.engine.model.errors import Conflict, Invalid
from nsctl.engine.model.names import display
from nsctl.engine.planning.carried import carried_by

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.executor import Session
    from nsctl.engine.model.plan import Plan

__all__ = ["adopt"]


def adopt(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A script that --dry-run --format sh printed, or a plan (- is stdin).",
            autocompletion=plan_files,
        ),
    ],
) -> int:
    """
    Take over what a script of --dry-run --format sh has made, as if up had made it.

    Every step of its plan is compared with the kernel. If something is missing, or is somebody else's, nothing is taken
    over.
    """
    from nsctl.engine.executor import adopting
    from nsctl.engine.executor.authority import check_kept
    from nsctl.engine.planning import planner
    from nsctl.hooks.manager import Plugins

    world: AppContext = ctx.obj
    text = read_text(file)
    try:
        carried = carried_by(text)
    except Invalid as e:
        raise Invalid(f"{display(file)}: {e.message}", hint=e.hint) from e
    plugins = Plugins.load("")
    out.warnings_of(plugins)
    for plan in carried.plans:
        planner.validate(plan)
        check_kept(plan, str(world.state_dir))  # what `down` would not run is not taken over
        plugins.review(plan)
    with world.open_for_change("adopt", plugins) as session:
        there = session.sandboxes()
        known = [plan for plan in carried.plans if plan.name in there]
        if known and all(plan.name in there and _is_held(session, plan) for plan in carried.plans):
            all_as_made(session, [plan.name for plan in known])
            for plan in known:
                out.done(f"{described(there[plan.name])} (already)")
            return 0
        for plan in known:
            raise Conflict(f"'{plan.name}' is up already", hint=f"take it down first: nsctl down {plan.name}")
        facts = session.facts()
        for plan in carried.plans:
            planner.check_fit(plan, facts, in_place=True)
        rows = adopting.adopt(session.ctx, carried.plans, operation="adopt", source=carried.source)
        ended = {row.name: has_ended(session, row) for row in rows}
    for row in rows:
        out.done(described(row, ended=ended[row.name]))
    return 0


def _is_held(session: Session, plan: Plan) -> bool:
    rows = {row.step.key: row.step for row in session.steps(plan.name)}
    return rows.keys() == {step.key for step in plan.steps} and all(rows[s.key].same_work(s) for s in plan.steps)
