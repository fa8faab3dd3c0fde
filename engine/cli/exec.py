"""`exec` and `shell`."""

from __future__ import annotations

from typing import Annotated

import typer

from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.entering import enter, own_shell
from nsctl.engine.cli.root import Leaf, words_after_dashes
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_name

__all__ = ["execute", "shell"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="The sandbox.", autocompletion=sandbox_names)]
User = Annotated[
    str | None,
    typer.Option("--user", "-u", metavar="USER[:GROUP]", help="Run CMD as this user; by default the sandbox's."),
]
Workdir = Annotated[
    str | None,
    typer.Option(
        "--workdir",
        "-w",
        metavar="DIR",
        help="Start in this directory; by default the caller's, or the sandbox's --workdir.",
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="NAME[=VALUE]", help="A variable; without =VALUE, taken from here."),
]


def execute(ctx: typer.Context, name: Name, user: User = None, workdir: Workdir = None, env: Variables = None) -> int:
    """
    Run CMD in the sandbox's namespaces.

    The exit status is CMD's; 125 where nsctl itself failed, 126 where CMD can't be run, 127 where it is not found.
    """
    command = words_after_dashes(ctx)
    check_name(name)
    if not command or not command[0]:
        raise Invalid("which command?", hint=f"nsctl exec {name} -- CMD...")
    return enter(ctx.obj, name, command, user=user, workdir=workdir, env=env)


execute.command_type = Leaf  # type: ignore[attr-defined]  # see root.command_of


def shell(ctx: typer.Context, name: Name, user: User = None, workdir: Workdir = None, env: Variables = None) -> int:
    """Open a shell in the sandbox: yours, if it is one of /etc/shells."""
    check_name(name)
    return enter(ctx.obj, name, (own_shell(),), user=user, workdir=workdir, env=env)
