"""`down`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.complete import lab_files, sandbox_names
from nsctl.engine.cli.context import need_root, no_sandbox, settled
from nsctl.engine.cli.stepping import NoBatch, StepTimeout
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.store import SandboxRow

__all__ = ["down"]


def down(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="The sandboxes.", autocompletion=sandbox_names, show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.", show_default=False)] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also take down the sandboxes that share their network.", show_default=False)
    ] = False,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Those that this lab file made.",
            autocompletion=lab_files,
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be undone, and do nothing.", show_default=False)
    ] = False,
    step_timeout: StepTimeout = "30s",
    no_batch: NoBatch = False,
) -> int:
    """Take sandboxes down: undo what only these hold, last applied first."""
    from nsctl.engine.cli.parsers import seconds

    world: AppContext = ctx.obj
    timeout = seconds(step_timeout, "--step-timeout")
    chosen = [check_name(name) for name in names or ()]
    ways = ["NAME"] * bool(chosen) + ["--all"] * every + ["--file"] * (file is not None)
    if len(ways) > 1:
        raise Invalid(f"{' and '.join(ways)} do not go together", hint="leave all but one of them out")
    if not ways:
        raise Invalid("which sandboxes?", hint="nsctl down NAME..., nsctl down --all, or nsctl down --file FILE")
    if dry_run:
        _show(world, chosen, every=every, force=force, file=file)
        return 0
    with world.open_for_change("down", step_timeout=timeout, fuse=not no_batch) as session:
        # Only now: what a dead nsctl left has been taken down or brought back.
        if every or file is not None:
            chosen = _of(session.sandboxes(), file)
        gone = session.down(chosen, force=force or every) if chosen else []
    for name in gone:
        out.done(f"{name} is down")
    if not gone:
        out.done(_nothing(file))
    return 0


def _of(rows: dict[str, SandboxRow], file: str | None) -> list[str]:
    # All of them, or those that a lab file made.
    if file is None:
        return list(rows)
    from nsctl.engine.cli.labs import source_of

    source = source_of(file)
    return [name for name, row in rows.items() if row.source == source]


def _nothing(file: str | None) -> str:
    return "nothing is up" if file is None else "nothing is up that this file made"


def _show(world: AppContext, chosen: list[str], *, every: bool, force: bool, file: str | None) -> None:
    from nsctl.engine.planning.render import shell_of

    if world.hidden:
        need_root(world)
    with world.open_readonly() as session:
        rows = settled(session)
        for name in chosen:
            if name not in rows:
                raise no_sandbox(name, rows)
        if every or file is not None:
            chosen = _of(rows, file)
        steps = session.plan_down(chosen, force=force or every) if session is not None and chosen else []
    if not chosen:
        out.done(_nothing(file))
    going = {step.key for step in steps}
    for number, step in enumerate((step for step in steps if not step.is_claim), 1):
        undo = () if step.removed_with in going else step.undo
        commands = [shell_of(c) for c in undo] or [f"# goes with {step.removed_with or 'the rest'}"]
        out.data("\n     ".join([f"{number:3}. undo {step.key}: {step.why}", *commands]))
