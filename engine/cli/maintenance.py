"""`check`, `repair`, `recover` and `confirm`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.cli import out, ways_out
from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.context import need_root, no_sandbox
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.executor.drift import Drift
    from nsctl.engine.model.plan import Step
    from nsctl.engine.reach.promise import Verdict

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
    from nsctl.engine.executor.elsewhere import as_drift, half_done_elsewhere

    world: AppContext = ctx.obj
    chosen = [check_name(name) for name in names or ()]
    need_root(world)
    up, drifts, notes, verdicts = _looked(world, chosen)
    elsewhere = [] if chosen else half_done_elsewhere(world.state_dir)
    mendable = bool(drifts)
    drifts += map(as_drift, elsewhere)
    blocked = ways_out.broken(verdicts)
    notes += [ways_out.no_further(cause) for cause in ways_out.lacking(verdicts)]
    if as_json:
        found = {"drift": [asdict(d) for d in drifts], "way_out": ways_out.as_json(verdicts), "notes": notes}
        out.data(json.dumps(found, indent=2))
    for d in drifts if not as_json else ():
        out.data(f"{d.key}: {d.found}; expected: {d.expected}; needed by {', '.join(d.holders) or 'nobody'}")
    for cause, lost in blocked.items() if not as_json else ():
        out.data(ways_out.sentence(lost, cause))
    for line in notes:
        out.note(f"note: {line}")
    if out.verbose:
        for line in ways_out.doubtful(verdicts):
            out.note(line)
    if mendable:
        out.note("hint: nsctl repair puts back what is missing")
    for hint in dict.fromkeys(cause.hint for cause in blocked if cause.hint):
        if not (mendable and hint.startswith("nsctl repair ")):  # said already
            out.note(f"hint: {hint}")
    for one in elsewhere:
        out.note(f"hint: finish what was left half done: {one.command}")
    if drifts or blocked:
        return DRIFT
    if not as_json:
        out.done("everything is as it was made" if up else "no sandbox is up, so there is nothing to compare")
    return 0


def _looked(world: AppContext, chosen: list[str]) -> tuple[bool, list[Drift], list[str], dict[str, Verdict]]:
    # Whether there are sandboxes, and what was found of them.
    with world.open_readonly() as session:
        if session is None:
            if chosen:
                raise no_sandbox(chosen[0], ())
            return False, [], [], {}
        from nsctl.engine.cli.warnings import resolver_notes
        from nsctl.engine.executor.ways_out import ways_out as judged

        drifts = session.check(chosen)
        notes = [f"with down, {line}" for line in session.guests(chosen)]
        verdicts = judged(session.ctx, chosen)
        return bool(session.sandboxes()), drifts, notes + resolver_notes(session, verdicts), verdicts


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
    from nsctl.engine.executor.ways_out import ways_out as judged

    world: AppContext = ctx.obj
    chosen = [check_name(name) for name in names or ()]
    need_root(world)
    if dry_run:
        with world.open_readonly() as session:
            if session is None and chosen:
                raise no_sandbox(chosen[0], ())
            _list([] if session is None else session.repair(chosen, dry_run=True))
        return 0
    with world.open_for_change("repair") as session:
        steps = session.repair(chosen)
        left = session.check(chosen, again=bool(steps))
        blocked = ways_out.broken(judged(session.ctx, chosen))
    for step in steps:
        out.done(f"put back {step.key}: {step.why}")
    for d in left:
        out.note(f"left alone: {d.key}: {d.found}; expected: {d.expected}")
    for cause, lost in blocked.items():
        out.note(f"left alone: {ways_out.sentence(lost, cause)}")
    for hint in dict.fromkeys(cause.hint for cause in blocked if cause.hint):
        out.note(f"hint: {hint}")
    if left or blocked:
        return DRIFT
    if not steps:
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
    world: AppContext = ctx.obj
    if yes and not scan:
        raise Invalid("--yes is an answer to --scan", hint="nsctl recover --scan --yes")
    with world.open_for_change("recover") as session:
        lines = session.recover(scan_host=scan, yes=yes)
        elsewhere = session.half_done_elsewhere()
    for line in lines:
        out.done(line)
    if not lines:
        out.done(f"nothing to recover in {world.state_dir}" if elsewhere else "nothing to recover")
    if not elsewhere:
        return 0
    from nsctl.engine.executor.elsewhere import told

    for one in elsewhere:
        out.data(told(one))
        out.note(f"hint: finish it: {one.command}")
    return DRIFT


def confirm(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The sandbox.", autocompletion=sandbox_names)],
) -> int:
    """Keep a sandbox that was made with --confirm."""
    world: AppContext = ctx.obj
    check_name(name)
    with world.open_for_change("confirm") as session:
        waited = session.confirm(name)
    out.done(f"{name} stays" if waited else f"{name} stays: it was not waiting for a confirmation")
    return 0
