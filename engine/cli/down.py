"""
`down`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.world import need_root, no_sandbox
from nsctl.engine.errors import Invalid
from nsctl.engine.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.cli.world import World

__all__ = ["down"]


def down(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="The sandboxes.", autocompletion=sandbox_names, show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.", show_default=False)] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take down, too, the sandboxes that share them.", show_default=False)
    ] = False,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="Those that this lab file made.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be undone, and do nothing.", show_default=False)
    ] = False,
    step_timeout: Annotated[
        str, typer.Option("--step-timeout", metavar="TIME", help="How long one step may take.")
    ] = "30s",
    no_fuse: Annotated[
        bool, typer.Option("--no-fuse", help="Run the commands one by one rather than in batches.", show_default=False)
    ] = False,
) -> int:
    """
    Take sandboxes down: undo what only these hold, last applied first.
    """
    from nsctl.engine.cli.words import seconds

    world: World = ctx.obj
    timeout = seconds(step_timeout, "--step-timeout")
    chosen = [check_name(name) for name in names or ()]
    if bool(chosen) + every + (file is not None) != 1:
        raise Invalid("which sandboxes?", hint="nsctl down NAME..., nsctl down --all, or nsctl down --file FILE")
    if file is not None:
        from nsctl.engine.cli.labs import made_by

        need_root(world)
        chosen = made_by(world, file)
        if not chosen:
            out.done("nothing is up that this file made")
            return 0
    if dry_run:
        from nsctl.engine.render import shell_of

        if world.hidden:
            need_root(world)
        with world.look() as session:
            if session is None and chosen:
                raise no_sandbox(chosen[0], ())
            steps = session.plan_down(chosen or list(session.sandboxes()), force=force or every) if session else []
        going = {step.key for step in steps}
        for number, step in enumerate(steps, 1):
            undo = () if step.goes_with in going else step.undo
            commands = [shell_of(c) for c in undo] or [f"# goes with {step.goes_with or 'the rest'}"]
            out.data("\n     ".join([f"{number:3}. undo {step.key}: {step.why}", *commands]))
        return 0
    with world.changing("down", step_timeout=timeout, fuse=not no_fuse) as session:
        if every:
            chosen = list(session.sandboxes())
        gone = session.down(chosen, force=force or every) if chosen else []
    for name in gone:
        out.done(f"{name} is down")
    if not gone:
        out.done("nothing is up")
    return 0
