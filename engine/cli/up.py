"""`up` and `run`: a mode's plan, shown or carried out."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.mode_group import mode_group
from nsctl.engine.cli.parameters import Common, UpCommon, split
from nsctl.engine.cli.parsers import namespaces, seconds
from nsctl.engine.cli.present import all_as_made, none_to_confirm, of_no_store
from nsctl.engine.cli.root import words_after_dashes
from nsctl.engine.cli.settings import of_command_line
from nsctl.engine.cli.warnings import looked_after, warn, warn_of_plans
from nsctl.engine.kit.port_filter import unfiltered
from nsctl.engine.model.errors import Conflict, Invalid
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.names import check_name, display
from nsctl.engine.model.options import to_plain
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning.comparison import differences
from nsctl.engine.planning.sharing import Sharing
from nsctl.hooks.manager import Plugins

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.executor import Session
    from nsctl.engine.store import SandboxRow

__all__ = ["Wish", "described", "has_ended", "plan_of", "run", "up"]


class Wish(NamedTuple):
    """
    What the command line asks for, checked.

    Args:
        mode: The mode.
        request: What to ask it for.
        options: Its options as plain data.
        named: A name was given; else the request's is the mode's, and `with_free_name` finds one.
    """

    mode: Mode
    request: Request
    options: dict[str, Any]
    named: bool = True


def wish(mode: Mode, given: dict[str, Any], command: tuple[str, ...], common_type: type[Common]) -> tuple[Wish, Any]:
    """
    What the command line asks for.

    Raises:
        Invalid: Something of it is wrong.
    """
    options, common = split(given, mode.options, common_type)
    if common.format is not None and not common.dry_run:
        raise Invalid("--format says how a dry run is shown", hint="add --dry-run")
    for word in command:
        if "\0" in word:
            raise Invalid("the command holds a NUL character")
        if not word.isascii() and any("\ud800" <= c <= "\udfff" for c in word):
            raise Invalid(
                f"the command holds bytes that are no UTF-8 text: '{display(word)}'",
                hint="a plan is text; nsctl exec passes any bytes on",
            )
    settings = of_command_line(common, os.environ)
    isolate = mode.isolate if common.isolate is None else namespaces(common.isolate)
    name = check_name(mode.name if common.name is None else common.name)
    request = Request(name, options, isolate, command, settings)
    return Wish(mode, request, to_plain(options), common.name is not None), common


def with_free_name(want: Wish, world: AppContext, session: Session | None, facts: Facts) -> Wish:
    """The same with a name that is free, where none was given."""
    if want.named:
        return want
    from nsctl.engine.cli.free_names import first_free, names_in_use

    name = check_name(first_free(want.request.name, names_in_use(session, world.state_dir, facts)))
    return want._replace(request=replace(want.request, name=name))


def plan_of(want: Wish, facts: Facts, plugins: Plugins) -> Plan:
    """
    The plan, which every plugin has looked at.

    Raises:
        Refused: The mode, the planner or a plugin says no.
    """
    from nsctl.engine.planning import planner

    # A mode is a plugin's code: what it prints must not end up among the data on stdout.
    with redirect_stdout(sys.stderr):
        plan = planner.plan(want.mode, want.request, facts)
    plugins.review(plan)
    for line in unfiltered(plan, facts):
        out.warning_once(line)
    return plan


def described(row: SandboxRow, *, ended: bool = False) -> str:
    """A sandbox that is up, in one line; or that was made, and whose workload has ended since."""
    if ended:
        return f"{row.name} was made; its command has ended already, see: nsctl logs {row.name}"
    info = row.info
    parts = [", ".join(info.get("addresses", ()))]
    if info.get("network"):
        parts[0] += f" on {info['network']}" if parts[0] else f"a link on {info['network']}, without an address"
    if info.get("gateway"):
        parts.append(f"gateway {info['gateway']}")
    if info.get("shares"):
        parts.append(f"the network of {info['shares']}")
    if not any(parts):
        parts = ["a network of its own, without an address" if info.get("netns") else "the host's network"]
    return f"{row.name} is up: {', '.join(p for p in parts if p)}"


def _show(world: AppContext, plugins: Plugins, want: Wish, form: str | None) -> None:
    from nsctl.engine.planning import render

    world.note_hidden()
    with world.open_readonly() as session:
        facts = world.facts(session)
        plan = plan_of(with_free_name(want, world, session, facts), facts, plugins)
        shown = {"text": render.text, "sh": render.sh, "json": render.json}[form or "text"](plan, facts.steps)
    out.data(shown.removesuffix("\n"), exact=form == "sh")
    warn_of_plans([plan], facts, facts.steps)


def _up(plugins: Plugins, mode: Mode, ctx: typer.Context, given: dict[str, Any]) -> int:
    world: AppContext = ctx.obj
    want, common = wish(mode, given, words_after_dashes(ctx), UpCommon)
    timeout = seconds(common.step_timeout, "--step-timeout")
    confirm = None if common.confirm is None else seconds(common.confirm, "--confirm")
    out.warnings_of(plugins)
    if common.dry_run:
        _show(world, plugins, want, common.format)
        return 0
    with world.open_for_change("up", plugins, step_timeout=timeout, fuse=not common.no_batch) as session:
        ended: list[str] = []
        if want.named:
            row = session.sandboxes().get(want.request.name)
            ended = ended_names(session, want.request.name)
            if row is not None and not ended:
                _same(row, want)
                none_to_confirm(row.name, confirm)
                all_as_made(session, [row.name])
                out.done(f"{described(row)} (already)")
                return 0
        plan, row = _made(world, session, want, plugins, ended, confirm=confirm)
        over, found = has_ended(session, row), looked_after(session, [plan])
    out.done(described(row, ended=over))
    warn([plan], found)
    if confirm is not None:
        out.note(f"hint: it goes down again in {confirm:g} s unless: nsctl confirm {row.name}")
    return 0


def ended_names(session: Session, name: str) -> list[str]:
    """
    The sandbox, if it is there and its init, or its workload, has ended: then it can be made anew, which is said.

    Raises:
        Conflict: Others share its network.
    """
    rows = session.sandboxes()
    row = rows.get(name)
    if row is None or not row.info.get("init") or session.pid(row) is not None:
        return []
    sharers = Sharing(rows).sharers(name)
    if sharers:
        raise Conflict(
            f"'{name}' has ended, and {', '.join(sharers)} shares its network",
            hint=f"take them down first: nsctl down {' '.join([name, *sharers])}",
        )
    out.note(f"note: '{name}' had ended; it is made anew")
    return [name]


def has_ended(session: Session, row: SandboxRow) -> bool:
    """Whether the workload of a sandbox that was just made has ended by itself."""
    return bool(row.command) and session.pid(row) is None


def _made(
    world: AppContext,
    session: Session,
    want: Wish,
    plugins: Plugins,
    ended: list[str],
    *,
    confirm: float | None = None,
    ephemeral: bool = False,
) -> tuple[Plan, SandboxRow]:
    # What is asked for, planned and carried out, in place of those that have ended.
    facts = session.facts(without=ended)
    with of_no_store(session, want.request.name):
        with session.planning():
            plan = plan_of(with_free_name(want, world, session, facts), facts, plugins)
        [row] = session.up([plan], replace=ended, confirm=confirm, ephemeral=ephemeral)
    return plan, row


def _same(row: SandboxRow, want: Wish) -> None:
    differs = differences(row, want.mode.name, want.options, want.request)
    if differs:
        raise Conflict(
            f"'{row.name}' is up already, with other options: {differs}",
            hint=f"take it down first (nsctl down {row.name}), or use another --name",
        )


def _run(plugins: Plugins, mode: Mode, ctx: typer.Context, given: dict[str, Any]) -> int:
    world: AppContext = ctx.obj
    command = words_after_dashes(ctx)
    if not command:
        raise Invalid("which command?", hint=f"nsctl run {mode.name} -- CMD...")
    # The command is no workload: it runs in the foreground, in a sandbox that has nothing but its init.
    want, common = wish(mode, given, (), Common)
    timeout = seconds(common.step_timeout, "--step-timeout")
    out.warnings_of(plugins)
    if common.dry_run:
        _show(world, plugins, want, common.format)
        return 0
    from nsctl.engine.cli.foreground import run_in

    return run_in(world, plugins, want, command, step_timeout=timeout, fuse=not common.no_batch)


def started(world: AppContext, session: Session, want: Wish, plugins: Plugins) -> SandboxRow:
    """
    A sandbox that ends with this nsctl.

    Raises:
        Conflict: One of that name is up.
    """
    name = want.request.name
    ended = ended_names(session, name) if want.named else []
    if want.named and name in session.sandboxes() and not ended:
        raise Conflict(f"'{name}' is up already", hint="use another --name, or leave it out")
    plan, row = _made(world, session, want, plugins, ended, ephemeral=True)
    warn([plan], looked_after(session, [plan]))
    return row


up = mode_group("up", "Make a sandbox, with CMD as its workload or with nothing but its init.", UpCommon, _up)
run = mode_group(
    "run",
    "Make a sandbox, run CMD in it with the terminal, and take it down. The exit status is CMD's.",
    Common,
    _run,
)
