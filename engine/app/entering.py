"""A command in a sandbox: found, recorded, and made ready to be executed. Who has the terminal executes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from nsctl.engine.app.context import sandbox_in
from nsctl.engine.model.errors import Refused

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.executor.reading import Reading
    from nsctl.engine.store import SandboxRow

__all__ = ["Caller", "Entry", "enter", "entry_of", "masks_for"]


class Caller(NamedTuple):
    """
    Who runs a command in a sandbox.

    Args:
        environment: The environment, from which variables without a value are taken.
        directory: The working directory.
        terminal: The terminal's type (TERM), or nothing.
    """

    environment: Mapping[str, str] = {}
    directory: str = "/"
    terminal: str = ""


class Entry(NamedTuple):
    """
    A command that is ready to be executed in a sandbox.

    Args:
        argv: The words to execute, which enter the sandbox's namespaces; the first is the path of a tool.
        environment: The environment to execute them in.
        variables: What the command gets besides, once it is within its bounds: by a descriptor.
        pid: The sandbox's init; None where it has none.
        start: The init's start time.
        beside_init: Whether it has to be started in the init's PID namespace, which `argv` leaves to the caller.
        may_type: Whether it may put characters into its terminal's input.
    """

    argv: list[str]
    environment: dict[str, str]
    variables: Mapping[str, str]
    pid: int | None
    start: int | None
    beside_init: bool
    may_type: bool


def enter(
    ctx: AppContext,
    name: str,
    command: tuple[str, ...],
    caller: Caller,
    *,
    user: str | None = None,
    workdir: str | None = None,
    env: tuple[str, ...] = (),
) -> Entry:
    """
    Get a command ready to run in a sandbox that is up, and record that it is started.

    Args:
        ctx: The context.
        name: The sandbox.
        command: The command.
        caller: Who runs it.
        user: `USER[:GROUP]`; the sandbox's user, if not given.
        workdir: Where it begins; the caller's directory or the sandbox's, if not given.
        env: Variables, `NAME=VALUE` or `NAME`.

    Raises:
        Invalid: There is no such sandbox, or something that was asked for is wrong.
        Refused: It is not up, its init has died, or the command can't be recorded.
    """
    ctx.need_root()
    with ctx.read() as session:
        store, row = sandbox_in(session, name)
        pid = store.pid(row)
        masks = masks_for(store, row, pid)
    if row.state != "up":
        raise Refused(f"'{name}' is not up, but {row.state}", hint="nsctl recover")
    if pid is None and row.init is not None:
        raise Refused(f"the init of '{name}' has died", hint=f"nsctl recover, or nsctl down {name}")
    if user is not None or workdir is not None or env:
        from nsctl.engine.app.settings import as_command

        settings = as_command(row.settings, user=user, workdir=workdir, env=env, here=caller.environment)
        row = row.with_settings(settings)
    ctx.record("exec_started", name, argv=command)
    return entry_of(row, pid, command, masks, caller)


def entry_of(row: SandboxRow, pid: int | None, command: tuple[str, ...], masks: str | None, caller: Caller) -> Entry:
    """
    Get a command ready.

    Args:
        row: The sandbox, with the command's settings.
        pid: Its init, just verified; None where it has none.
        command: The command.
        masks: The script that keeps it within bounds where no init does; see `masks_for`.
        caller: Who runs it.

    Raises:
        Refused: A tool is missing.
    """
    from nsctl.engine.host.process import start_of
    from nsctl.engine.planning import enter as entering

    variables = row.settings.get("env", {})
    there = row.with_settings(row.settings | {"env": {}})
    environment = entering.environment(there.settings, caller.terminal)
    argv = list(entering.enter(there, pid, command, masks, _tool, here=caller.directory, told=bool(variables)))
    cut = argv.index("--") if "--" in argv else len(argv)
    beside_init = "--pid" in argv[:cut]
    if beside_init:
        argv.remove("--pid")
    start = start_of(pid) if pid is not None else None
    return Entry(argv, environment, variables, pid, start, beside_init, bool(row.settings.get("privileged")))


def masks_for(session: Reading, row: SandboxRow, pid: int | None) -> str | None:
    """
    The script that keeps a command within bounds in a sandbox that has no init which does; None where one has it done.

    Args:
        session: The store, which knows the directories to be hidden.
        row: The sandbox.
        pid: Its init.
    """
    if pid is not None and row.bounds:
        return None
    from nsctl.engine.planning.init import hidden_from, masks
    from nsctl.engine.runner.tools import TOOL_PATH

    hidden = hidden_from(session.facts())
    return masks(row.name, hidden, privileged=bool(row.settings.get("privileged")), tools=":".join(TOOL_PATH))


def _tool(name: str) -> str:
    from nsctl.engine.runner.tools import find_tool, missing_tool

    path = find_tool(name)
    if path is None:
        raise missing_tool(name)
    return path
