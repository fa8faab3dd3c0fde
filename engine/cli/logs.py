"""`logs`: what a sandbox's workload printed."""

from __future__ import annotations

from typing import Annotated

import typer

from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.workload_output import show

__all__ = ["logs"]


def logs(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The sandbox.", autocompletion=sandbox_names)],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the workload ends.", show_default=False)
    ] = False,
    last: Annotated[
        str | None, typer.Option("--lines", "-n", metavar="N", help="Only the last N lines.", show_default=False)
    ] = None,
) -> int:
    """
    Show what the workload of a sandbox printed, on stdout and stderr; of one that has ended, too, until it is down.

    On a terminal, what would steer it is shown as text; else the bytes are as they were written.
    """
    return show(ctx.obj, name, follow=follow, last=last)
