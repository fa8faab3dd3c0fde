"""Lab files: the host is brought to what a file says, as one plan."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from nsctl.engine.app import plan_of
from nsctl.engine.app.context import settled
from nsctl.engine.app.existing import check_as_made, has_ended
from nsctl.engine.app.promises import broken_promises, forecast_promises
from nsctl.engine.app.requests import UpRequest
from nsctl.engine.app.settings import of_lab_file
from nsctl.engine.labfiles import STDIN, Difference, Lab, Reserved, compare, read_lab
from nsctl.engine.model.errors import Conflict, NotExecuted, Refused, StepFailed
from nsctl.engine.planning.forecast import extend

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.app.requests import Execution
    from nsctl.engine.model.commands import AnyCommand
    from nsctl.engine.model.diagnostics import Diagnostic
    from nsctl.engine.model.facts import Facts
    from nsctl.engine.model.mode import Mode
    from nsctl.engine.model.plan import Plan, Step
    from nsctl.hooks.manager import Plugins

__all__ = ["Applied", "LabPlan", "PlannedLab", "apply", "plan", "read", "source_of", "undo_commands"]


class LabPlan(NamedTuple):
    """
    One of the plans of a lab.

    Args:
        plan: The plan.
        present: The keys of its steps that are in place when its turn comes.
    """

    plan: Plan
    present: frozenset[str]


class PlannedLab(NamedTuple):
    """
    What `apply` would do.

    Args:
        change: Which sandboxes are made, changed, taken down and left.
        plans: The plans, in order.
        undone: The steps that are undone first, last applied first.
        diagnostics: What the sandboxes would lack of what they are promised.
    """

    change: Difference
    plans: Sequence[LabPlan]
    undone: Sequence[Step]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def steps(self) -> dict[str, Step]:
        """All steps of the plans by their keys, those that several share once."""
        return {step.key: step for one in self.plans for step in one.plan.steps}

    @property
    def present(self) -> frozenset[str]:
        """The keys of the steps that are in place before anything is done."""
        return _present(self.plans)


class Applied(NamedTuple):
    """
    What `apply` did.

    Args:
        change: Which sandboxes were made, changed, taken down and left.
        ended: Those of which the workload has ended by itself by now.
        diagnostics: What those that were made lack of what they are promised.
    """

    change: Difference
    ended: Sequence[str] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def read(path: str, text: str, plugins: Plugins) -> Lab:
    """
    Read a lab file.

    Args:
        path: Where it lies, for messages; `-` is standard input.
        text: What stands in it.
        plugins: All plugins: their modes are those that it may name.

    Raises:
        Invalid: Something of it is wrong.
    """
    found = plugins.modes()

    def mode_of(name: str) -> Mode | None:
        return found[name].mode if name in found else None

    return read_lab(path, text, mode_of, lambda: list(found), of_lab_file)


def source_of(path: str) -> str:
    """The mark on the sandboxes that a lab file makes, by which it knows them again."""
    return STDIN if path == STDIN else os.path.realpath(path)


def apply(ctx: AppContext, lab: Lab, source: str, plugins: Plugins, how: Execution | None = None) -> Applied:
    """
    Bring the host to what a lab file says, all of it or nothing.

    Args:
        ctx: The context.
        lab: The file.
        source: See `source_of`.
        plugins: The plugins that were loaded: each may veto a plan, and hears of every step.
        how: How steps are carried out.

    Raises:
        Refused: Nothing was changed.
        Drifted: The host is as the file says, but for what others have changed since.
        StepFailed, Interrupted: Everything was undone.
        RollbackFailed: Something is left, for `recover`.
    """
    with ctx.open_for_change("apply", plugins, how) as session:
        change = compare(lab, session.sandboxes(), source, lambda row: session.pid(row) is None)
        if change.nothing:
            check_as_made(session, change.same)
            return Applied(change)
        going = change.take_down()
        facts = session.facts(without=going)
        with session.planning():
            plans = [one.plan for one in _plans(ctx, lab, change, facts, plugins)]
        try:
            rows = session.up(plans, replace=going, source=source)
        except NotExecuted as e:  # of one among several: 126 and 127 are said of a command that stands alone
            raise StepFailed(e.message, hint=e.hint) from e
        return Applied(change, [row.name for row in rows if has_ended(session, row)], broken_promises(session, plans))


def plan(ctx: AppContext, lab: Lab, source: str, plugins: Plugins) -> PlannedLab:
    """
    Plan what `apply` would do; needs no root, which then is noted.

    Raises:
        Refused: It would be refused.
    """
    ctx.note_hidden()
    with ctx.open_readonly() as session:
        up = settled(ctx, session)
        if session is None:
            change, undone = compare(lab, up, source), []
            facts = ctx.facts(None)
        else:
            change = compare(lab, up, source, lambda row: session.pid(row) is None)
            going = change.take_down()
            facts = session.facts(without=[*going, *(n for n in session.sandboxes() if n not in up)])
            undone = session.plan_down(going, force=True) if going else []
        plans = _plans(ctx, lab, change, facts, plugins)
        lacking = forecast_promises([one.plan for one in plans], facts, _present(plans))
        return PlannedLab(change, plans, undone, lacking)


def undo_commands(steps: Sequence[Step]) -> list[AnyCommand]:
    """The commands that undo steps, as the executor would run them one by one."""
    from nsctl.engine.runner.batches import undo_items

    return [item.command for item in undo_items(steps)]


def _present(plans: Sequence[LabPlan]) -> frozenset[str]:
    there: set[str] = set()
    made: set[str] = set()
    for one in plans:
        there |= one.present - made
        made |= {step.key for step in one.plan.steps} - one.present
    return frozenset(there)


def _plans(ctx: AppContext, lab: Lab, change: Difference, facts: Facts, plugins: Plugins) -> list[LabPlan]:
    # An address that one of them asks for is kept for it until its turn comes.
    plans = []
    wanted = change.make(lab)
    chosen: dict[str, str] = {}
    for one in wanted:
        if one.address:
            chosen.setdefault(one.address, one.request.name)
    for one in wanted:
        name = one.request.name
        if chosen.get(one.address) == name:
            del chosen[one.address]
        kept = replace(facts, claims=Reserved(facts.claims, "address", chosen)) if chosen else facts
        try:
            made = plan_of(ctx, UpRequest(one.mode, one.request), kept, plugins)
            there = frozenset(s.key for s in made.steps if s.key in facts.steps)
            _check_shared(made, there, facts)
        except Refused as e:
            raise lab.source.wrong(f"{name}: {e.message}", one.table, None, e.hint) from e
        plans.append(LabPlan(made, there))
        facts = extend(facts, made)
    return plans


def _check_shared(plan: Plan, there: frozenset[str], facts: Facts) -> None:
    for step in plan.steps:
        if step.key in there and not step.same_work(facts.steps[step.key]):
            raise Conflict(
                f"it would make {step.key} another way than what is planned or in place",
                hint="choose another name or ifname for one of the two, or the same settings",
            )
