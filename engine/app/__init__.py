"""
The service layer: nsctl's operations, from a typed request to a typed result.

Nothing here prints, asks or reads a command line. A refusal or a failure is an `NsctlError` with its hint. Warnings and
notes are `Diagnostic`s: those about a result are in it, those that come up on the way are reported to the context.

    up, down        below, the whole way: lock, plan, review, carry out, look
    running.py      a sandbox that lives as long as one command
    saved.py        saved plans, and what scripts have made
    labs.py         lab files
    maintenance.py  check, repair, recover, confirm
    sandboxes.py    what is up
    entering.py     a command in a sandbox
    requests.py     what is asked for, and what comes of it
    context.py      the places, and what surrounds a change

Each function imports what it needs when it is called: to list sandboxes, no planner is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.app.requests import DownRequest, Execution, Planned, Up, UpRequest
    from nsctl.engine.executor import Session
    from nsctl.engine.model.facts import Facts
    from nsctl.engine.model.plan import Plan, Step
    from nsctl.engine.store import SandboxRow
    from nsctl.hooks.manager import Plugins

__all__ = [
    "down",
    "make",
    "plan_down",
    "plan_of",
    "plan_up",
    "up",
    "with_free_name",
]


def up(ctx: AppContext, request: UpRequest, plugins: Plugins, how: Execution | None = None) -> Up:
    """
    Make a sandbox, all of it or nothing.

    One that is up already as asked for is compared with the kernel and left; one that has ended is made anew.

    Args:
        ctx: The places, and who hears of what happens.
        request: The sandbox.
        plugins: The plugins that were loaded: each may veto the plan, and hears of every step.
        how: How steps are carried out.

    Raises:
        Refused: Nothing was changed.
        Drifted: It is up already, and not as it was made.
        StepFailed, Interrupted: Everything was undone.
        RollbackFailed: Something is left, for `recover`.
    """
    from nsctl.engine.app.existing import ended_names, has_ended
    from nsctl.engine.app.promises import broken_promises
    from nsctl.engine.app.requests import Up

    with ctx.open_for_change("up", plugins, how) as session:  # the lock is held, and what a killed nsctl left is undone
        ended: list[str] = []
        if request.named:
            name = request.request.name
            ended = ended_names(ctx, session, name)
            row = session.sandboxes().get(name)
            if row is not None and not ended:
                return _up_already(session, row, request)
        plan, row = make(ctx, session, request, plugins, ended)
        return Up(row, plan, has_ended(session, row), broken_promises(session, [plan]))


def make(
    ctx: AppContext,
    session: Session,
    request: UpRequest,
    plugins: Plugins,
    replace: Sequence[str] = (),
    *,
    ephemeral: bool = False,
) -> tuple[Plan, SandboxRow]:
    """
    Plan a sandbox and carry the plan out, in place of sandboxes that have ended.

    Args:
        ctx: The context.
        session: A locked session.
        request: The sandbox.
        plugins: The plugins that have a say.
        replace: Sandboxes that are taken down first, and brought back if anything fails.
        ephemeral: It is taken down by `recover` once this process is gone.
    """
    from nsctl.engine.app.existing import hint_of_adopt

    facts = session.facts(without=replace)
    with hint_of_adopt(session, request.request.name):
        with session.planning():  # a signal ends it at once: there is nothing to undo yet
            plan = plan_of(ctx, with_free_name(ctx, session, request, facts), facts, plugins)
        # Journal, steps, and a last look at the kernel; undone as a whole if anything fails.
        [row] = session.up([plan], replace=replace, confirm=request.confirm, ephemeral=ephemeral)
    return plan, row


def plan_of(ctx: AppContext, request: UpRequest, facts: Facts, plugins: Plugins) -> Plan:
    """
    Plan a sandbox, and have every plugin review the plan.

    Raises:
        Refused: The mode, the planner or a plugin says no.
    """
    from nsctl.engine.kit.port_filter import unfiltered
    from nsctl.engine.planning import planner

    # A mode is a plugin's code: what it prints must not end up among the data on stdout.
    with redirect_stdout(sys.stderr):
        plan = planner.plan(request.mode, request.request, facts)
    plugins.review(plan)
    for line in unfiltered(plan, facts):
        ctx.warn(line)
    return plan


def with_free_name(ctx: AppContext, session: Session | None, request: UpRequest, facts: Facts) -> UpRequest:
    """The request with a name that is free, where none was chosen."""
    if request.named:
        return request
    from msgspec.structs import replace

    from nsctl.engine.app.free_names import first_free, names_in_use
    from nsctl.engine.model.names import check_name

    name = check_name(first_free(request.request.name, names_in_use(session, ctx.state_dir, facts)))
    return request._replace(request=replace(request.request, name=name))


def plan_up(ctx: AppContext, request: UpRequest, plugins: Plugins) -> Planned:
    """
    Plan what `up` would do; needs no root, which then is noted.

    Raises:
        Refused: The mode, the planner or a plugin says no.
    """
    from nsctl.engine.app.promises import forecast_promises
    from nsctl.engine.app.requests import Planned

    ctx.note_hidden()
    with ctx.open_readonly() as session:
        facts = ctx.facts(session)
        plan = plan_of(ctx, with_free_name(ctx, session, request, facts), facts, plugins)
        # While the store is open: the facts read it when they are asked.
        present = frozenset(step.key for step in plan.steps if step.key in facts.steps)
        return Planned(plan, present, forecast_promises([plan], facts, present))


def _up_already(session: Session, row: SandboxRow, request: UpRequest) -> Up:
    from nsctl.engine.app.existing import check_as_made, check_same
    from nsctl.engine.app.requests import Up
    from nsctl.engine.model.errors import Conflict

    check_same(row, request.mode, request.request)
    if request.confirm is not None:
        raise Conflict(
            f"'{row.name}' is up already, and stays: --confirm is for what is made now",
            hint=f"leave it out, or take the sandbox down first: nsctl down {row.name}",
        )
    check_as_made(session, [row.name])
    return Up(row)


def down(ctx: AppContext, request: DownRequest, how: Execution | None = None) -> list[str]:
    """
    Take sandboxes down: undo what only they hold, last applied first.

    Returns:
        The names of those that are down now, sharers included.

    Raises:
        Invalid: There is no such sandbox.
        Conflict: Others share the network of one of them.
        RollbackFailed: Something is left, for `recover`.
        Interrupted: A signal came; they are down.
    """
    with ctx.open_for_change("down", how=how) as session:
        # Only now: what a killed nsctl left has been taken down or brought back.
        names = request.chosen(session.sandboxes())
        return session.down(names, force=request.force or request.every) if names else []


def plan_down(ctx: AppContext, request: DownRequest) -> tuple[list[str], list[Step]]:
    """
    The sandboxes that `down` would take down, and the steps that it would undo, last applied first.

    Raises:
        Invalid: There is no such sandbox.
        Conflict: Others share the network of one of them.
        Refused: The state is root's.
    """
    from nsctl.engine.app.context import no_sandbox, settled

    if ctx.hidden:
        ctx.need_root()
    with ctx.open_readonly() as session:
        rows = settled(ctx, session)
        for name in request.names:
            if name not in rows:
                raise no_sandbox(name, rows)
        names = request.chosen(rows)
        steps = session.plan_down(names, force=request.force or request.every) if session is not None and names else []
    return names, steps
