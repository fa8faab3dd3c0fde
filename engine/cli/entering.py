"""A command in a sandbox that is up. It does without typer: see `nsctl.engine.cli.plain`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsctl.engine.cli.context import need_root, sandbox_in
from nsctl.engine.model.errors import Refused

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext

__all__ = ["enter", "own_shell"]


def enter(
    world: AppContext,
    name: str,
    command: tuple[str, ...],
    *,
    user: str | None = None,
    workdir: str | None = None,
    env: list[str] | None = None,
) -> int:
    """
    Run a command in a sandbox's namespaces.

    Args:
        world: Where the sandboxes are.
        name: The sandbox.
        command: The command.
        user: Whose it is; the sandbox's user, if not given.
        workdir: Where it begins; here or in the sandbox's, if not given.
        env: Variables, as people write them.

    Returns:
        The command's exit status.

    Raises:
        Invalid: There is no such sandbox, or something that was asked for is wrong.
        Refused: It is not up, or its init has died.
    """
    from nsctl.engine.cli.foreground import foreground, masks_for

    need_root(world)
    with world.read() as session:
        store, row = sandbox_in(session, name)
        pid = store.pid(row)
        masked = masks_for(store, row, pid)
    if row.state != "up":
        raise Refused(f"'{name}' is not up, but {row.state}", hint="nsctl recover")
    if pid is None and row.info.get("init"):
        raise Refused(f"the init of '{name}' has died", hint=f"nsctl recover, or nsctl down {name}")
    if user is not None or workdir is not None or env:
        from nsctl.engine.cli.settings import as_command

        row = row.with_settings(as_command(row.settings, user=user, workdir=workdir, env=env or ()))
    world.record("exec_started", name, argv=command)
    return foreground(row, pid, command, masked)


def own_shell() -> str:
    """The user's shell by its name in /etc/shells, which is root's word on what a shell is."""
    wanted = os.path.basename(os.environ.get("SHELL", ""))
    try:
        with open("/etc/shells", encoding="utf-8", errors="replace") as file:
            shells = [line.strip() for line in file if line.startswith("/")]
    except OSError:
        shells = []
    return next((s for s in shells if wanted and os.path.basename(s) == wanted and os.access(s, os.X_OK)), "/bin/sh")
