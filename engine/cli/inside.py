"""
`exec` and `shell`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.cli.app import Leaf, words_after_dashes
from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.world import need_root, no_sandbox
from nsctl.engine.errors import Invalid, Refused
from nsctl.engine.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.cli.world import World

__all__ = ["execute", "shell"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="The sandbox.", autocompletion=sandbox_names)]
User = Annotated[
    str | None,
    typer.Option("--user", "-u", metavar="USER[:GROUP]", help="Whose it is; the sandbox's user if not given."),
]
Workdir = Annotated[
    str | None,
    typer.Option("--workdir", "-w", metavar="DIR", help="Where it begins; here, or in the sandbox's --workdir."),
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
    return _enter(ctx.obj, name, command, user=user, workdir=workdir, env=env)


execute.command_type = Leaf  # type: ignore[attr-defined]  # see app.command_of


def shell(ctx: typer.Context, name: Name, user: User = None, workdir: Workdir = None, env: Variables = None) -> int:
    """
    Open a shell in the sandbox: yours, if it is one of /etc/shells.
    """
    check_name(name)
    return _enter(ctx.obj, name, (_shell(),), user=user, workdir=workdir, env=env)


def _enter(
    world: World,
    name: str,
    command: tuple[str, ...],
    *,
    user: str | None,
    workdir: str | None,
    env: list[str] | None,
) -> int:
    from nsctl.engine.cli.foreground import foreground, masks_for
    from nsctl.engine.cli.settings import as_command

    need_root(world)
    with world.read() as session:
        rows = {} if session is None else session.sandboxes()
        if session is None or name not in rows:
            raise no_sandbox(name, rows)
        row = rows[name]
        pid = session.pid(row)
        masked = masks_for(session, row, pid)
    if row.state != "up":
        raise Refused(f"'{name}' is not up, but {row.state}", hint="nsctl recover")
    if pid is None and row.info.get("init"):
        raise Refused(f"the init of '{name}' has died", hint=f"nsctl recover, or nsctl down {name}")
    row = replace(row, settings=as_command(row.settings, user=user, workdir=workdir, env=env or ()))
    world.record("exec_started", name, argv=command)
    return foreground(row, pid, command, masked)


def _shell() -> str:
    """
    The user's shell by its name in /etc/shells, which is root's word on what a shell is.
    """
    wanted = os.path.basename(os.environ.get("SHELL", ""))
    try:
        with open("/etc/shells", encoding="utf-8", errors="replace") as file:
            shells = [line.strip() for line in file if line.startswith("/")]
    except OSError:
        shells = []
    return next((s for s in shells if wanted and os.path.basename(s) == wanted and os.access(s, os.X_OK)), "/bin/sh")
