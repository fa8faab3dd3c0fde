"""`check`, `repair`, `recover` and `confirm`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import asdict

from nsctl.engine.app import maintenance, ways_out
from nsctl.engine.cli import out
from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nsctl.engine.app.context import AppContext
    from nsctl.engine.model.plan import Step
    from nsctl.engine.reach.model import Cause

__all__ = ["DRIFT", "check", "confirm", "recover", "repair"]

DRIFT = 4
"""The exit status of `check` when something is not as it was made."""

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME...]",
        help="The sandboxes; all, if none is named.",
        autocompletion=sandbox_names,
        show_default=False,
    ),
]


def check(
    ctx: typer.Context,
    names: Names = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.", show_default=False)] = False,
) -> int:
    """
    Compare what nsctl made with the kernel: one line for each thing that is not as it was made, and exit status 4.

    Sandboxes that were promised a way out and have none are named with the cause: a rule, a link, a setting.
    Without names, what a killed nsctl left half done in another state directory is shown, too.
    """
    context: AppContext = ctx.obj
    chosen = [check_name(name) for name in names or ()]
    found = maintenance.check(context, chosen)
    if as_json:
        drift = [asdict(d) for d in found.drifts]
        data = {"drift": drift, "way_out": ways_out.as_json(found.verdicts), "notes": list(found.notes)}
        out.data(json.dumps(data, indent=2))
    else:
        for d in found.drifts:
            out.data(f"{d.key}: {d.found}; expected: {d.expected}; needed by {', '.join(d.holders) or 'nobody'}")
        for cause, lost in found.blocked.items():
            out.data(ways_out.sentence(lost, cause))
    for line in found.notes:
        out.note(f"note: {line}")
    for diagnostic in ways_out.details(found.verdicts):
        out.diagnostic(diagnostic)
    if found.repairable:
        out.note("hint: nsctl repair puts back what is missing")
    for hint in _hints(found.blocked):
        if not (found.repairable and hint.startswith("nsctl repair ")):  # said already
            out.note(f"hint: {hint}")
    for one in found.elsewhere:
        out.note(f"hint: finish what was left half done: {one.hint}")
    if found.drifts or found.blocked:
        return DRIFT
    if not as_json:
        out.done("everything is as it was made" if found.any_up else "no sandbox is up, so there is nothing to compare")
    return 0


def _hints(blocked: Mapping[Cause, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(cause.hint for cause in blocked if cause.hint))


def repair(
    ctx: typer.Context,
    names: Names = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.", show_default=False)
    ] = False,
) -> int:
    """
    Put back exactly what is missing; what somebody else put in its place is left alone.

    Sandboxes that have no way out even so are named with the cause, as by check.
    """
    context: AppContext = ctx.obj
    chosen = [check_name(name) for name in names or ()]
    if dry_run:
        _list(maintenance.plan_repair(context, chosen))
        return 0
    done = maintenance.repair(context, chosen)
    for step in done.steps:
        out.done(f"put back {step.key}: {step.why}")
    for d in done.left:
        out.note(f"left alone: {d.key}: {d.found}; expected: {d.expected}")
    for cause, lost in done.blocked.items():
        out.note(f"left alone: {ways_out.sentence(lost, cause)}")
    for hint in _hints(done.blocked):
        out.note(f"hint: {hint}")
    if done.left or done.blocked:
        return DRIFT
    if not done.steps:
        out.done("nothing is missing")
    return 0


def _list(steps: list[Step]) -> None:
    from nsctl.engine.planning.render import shell_of

    for number, step in enumerate(steps, 1):
        out.data(f"{number:3}. {step.why}\n    {shell_of(step.do)}")
    if not steps:
        out.done("nothing is missing")


def recover(
    ctx: typer.Context,
    scan: Annotated[
        bool,
        typer.Option("--scan", help="Also look for leftovers of nsctl's that no sandbox holds.", show_default=False),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --scan: remove it.", show_default=False)] = False,
) -> int:
    """
    Finish rolling back what a killed nsctl left, and take down sandboxes whose init died.

    Every command that changes something does this first; it can be repeated at will.
    What was left half done in another state directory is named, with the command that finishes it, and exit status 4.
    """
    context: AppContext = ctx.obj
    if yes and not scan:
        raise Invalid("--yes is an answer to --scan", hint="nsctl recover --scan --yes")
    done = maintenance.recover(context, scan=scan, remove=yes)
    for line in done.lines:
        out.done(line)
    if not done.lines:
        out.done(f"nothing to recover in {context.state_dir}" if done.elsewhere else "nothing to recover")
    for one in done.elsewhere:
        out.data(one.message)
        out.note(f"hint: finish it: {one.hint}")
    return DRIFT if done.elsewhere else 0


def confirm(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The sandbox.", autocompletion=sandbox_names)],
) -> int:
    """Keep a sandbox that was made with --confirm."""
    context: AppContext = ctx.obj
    waited = maintenance.confirm(context, check_name(name))
    out.done(f"{name} stays" if waited else f"{name} stays: it was not waiting for a confirmation")
    return 0
