"""`exec` and `shell`, once the command line is read. It does without typer: see `nsctl.engine.cli.plain`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

__all__ = ["enter", "own_shell"]


def enter(
    context: AppContext,
    name: str,
    command: tuple[str, ...],
    *,
    user: str | None = None,
    workdir: str | None = None,
    env: list[str] | None = None,
) -> int:
    """
    Run a command in a sandbox's namespaces, with the terminal; see `nsctl.engine.app.entering.enter`.

    Returns:
        The command's exit status.
    """
    from nsctl.engine.app import entering
    from nsctl.engine.cli.foreground import caller, foreground

    entry = entering.enter(context, name, command, caller(), user=user, workdir=workdir, env=tuple(env or ()))
    return foreground(entry)


def own_shell() -> str:
    """The user's shell by its name in /etc/shells, which is root's word on what a shell is."""
    wanted = os.path.basename(os.environ.get("SHELL", ""))
    try:
        with open("/etc/shells", encoding="utf-8", errors="replace") as file:
            shells = [line.strip() for line in file if line.startswith("/")]
    except OSError:
        shells = []
    return next((s for s in shells if wanted and os.path.basename(s) == wanted and os.access(s, os.X_OK)), "/bin/sh")
