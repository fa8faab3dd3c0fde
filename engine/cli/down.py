"""`down`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine import app
from nsctl.engine.app.requests import DownRequest, Execution
from nsctl.engine.cli import out
from nsctl.engine.cli.command import NoBatch, StepTimeout
from nsctl.engine.cli.complete import lab_files, sandbox_names
from nsctl.engine.cli.taking_down import nothing, take_down
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

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
    from nsctl.engine.app.parsers import seconds

    context: AppContext = ctx.obj
    how = Execution(seconds(step_timeout, "--step-timeout"), batch=not no_batch)
    chosen = tuple(check_name(name) for name in names or ())
    ways = ["NAME"] * bool(chosen) + ["--all"] * every + ["--file"] * (file is not None)
    if len(ways) > 1:
        raise Invalid(f"{' and '.join(ways)} do not go together", hint="leave all but one of them out")
    if not ways:
        raise Invalid("which sandboxes?", hint="nsctl down NAME..., nsctl down --all, or nsctl down --file FILE")
    request = DownRequest(chosen, None if file is None else _source(file), every, force)
    return _show(context, request) if dry_run else take_down(context, request, how)


def _source(file: str) -> str:
    from nsctl.engine.app.labs import source_of

    return source_of(file)


def _show(context: AppContext, request: DownRequest) -> int:
    from nsctl.engine.planning.render import shell_of

    names, steps = app.plan_down(context, request)
    if not names:
        out.done(nothing(request))
    going = {step.key for step in steps}
    for number, step in enumerate((step for step in steps if not step.is_claim), 1):
        undo = () if step.removed_with in going else step.undo
        commands = [shell_of(c) for c in undo] or [f"# goes with {step.removed_with or 'the rest'}"]
        out.data("\n     ".join([f"{number:3}. undo {step.key}: {step.why}", *commands]))
    return 0
