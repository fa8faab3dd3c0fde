"""`adopt`: take over the resources that a script of --format sh created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.app import saved
from nsctl.engine.cli import out
from nsctl.engine.cli.apply import read_text
from nsctl.engine.cli.complete import plan_files
from nsctl.engine.cli.present import described
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.planning.carried import carried_by

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

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
    from nsctl.hooks.manager import Plugins

    context: AppContext = ctx.obj
    text = read_text(file)
    try:
        carried = carried_by(text)
    except Invalid as e:
        raise Invalid(f"{display(file)}: {e.message}", hint=e.hint) from e
    plugins = Plugins.load("")
    out.warnings_of(plugins)
    for done in saved.adopt(context, carried, plugins):
        out.done(described(done))
    return 0
