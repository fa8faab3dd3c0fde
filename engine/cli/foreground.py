"""
A command in a sandbox, in the foreground: it has the terminal, gets the signals, and its exit status is nsctl's.

nsenter forks where it enters a PID namespace, and stays as the parent: it dies of the ^C that its child may survive
(an interpreter, an editor), and swallows the TERM that was meant for the child.
So nsctl enters the PID namespace itself, right around its fork, and leaves the others to nsenter, which then becomes
the command: there is one parent, and it knows what it is for.

On a terminal the command gets a process group of its own in the foreground, as from a shell: nsctl's group has no
number in the sandbox, and a shell there could not give the terminal back to it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from nsctl.engine.cli import out
from nsctl.engine.cli.seccomp import forbid_typing
from nsctl.engine.host.setns import NEWPID, setns
from nsctl.engine.model.errors import Refused

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.cli.up import Wish
    from nsctl.engine.executor.reading import Reading
    from nsctl.engine.store import SandboxRow
    from nsctl.hooks.manager import Plugins

__all__ = ["foreground", "masks_for", "run_in"]

FAILED = 125
SI_KERNEL = 0x80
"""Where a signal came from: the kernel, because of what was typed, not a process."""
_TO_ALL = {signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH}
"""What a terminal sends to its whole foreground group, the command included."""
_PASSED = {
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
}


def run_in(
    world: AppContext, plugins: Plugins, want: Wish, command: tuple[str, ...], *, step_timeout: float, fuse: bool
) -> int:
    """
    Make a sandbox, run the command in it, and take it down, whatever happens.

    Returns:
        The command's exit status; 128+n where signal n ended it, or nsctl before it.
    """
    from nsctl.engine.cli.up import started
    from nsctl.engine.runner.workers import STOPPING

    with world.open_for_change("run", plugins, step_timeout=step_timeout, fuse=fuse) as session:
        row = started(world, session, want, plugins)
        name = row.name
        pid = session.pid(row)
        masked = masks_for(session, row, pid)
        # From here on a signal is the command's; one that came a moment ago is noted in the session.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _passed()) - STOPPING  # which only the session blocks
        caught = session.ctx.signals.caught
        session.ctx.signals.stay = False
    try:
        try:
            world.record("exec_started", name, argv=command)
            return 128 + caught if caught is not None else foreground(row, pid, command, masked, stay=True, mask=before)
        finally:
            with world.open_for_change("run", plugins, step_timeout=step_timeout, fuse=fuse) as session:
                there = session.sandboxes().get(name)
                # By now another sandbox may bear the name.
                if there is not None and (there.owner, there.created_boot) == (row.owner, row.created_boot):
                    session.down([name], force=True)
    finally:
        # What came while the sandbox was taken down finds nothing left to end.
        while signal.sigpending() & _passed():
            signal.sigtimedwait(_passed(), 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def foreground(
    row: SandboxRow,
    pid: int | None,
    command: Sequence[str],
    masked: str | None = None,
    *,
    stay: bool = False,
    mask: Iterable[int] | None = None,
) -> int:
    """
    Run a command in a sandbox and wait for it.

    Args:
        row: The sandbox.
        pid: Its init, just verified; None where it has none.
        command: The command.
        masked: What keeps it within bounds where no init does; see `masks_for`.
        stay: There is something to do afterwards; else, where no PID namespace is entered, nsctl becomes the command.
        mask: The signals that are blocked in the command; as they are now, if not given.

    Returns:
        The command's exit status; 128+n where signal n ended it.
    """
    from nsctl.engine.host.process import start_of
    from nsctl.engine.planning import enter as entering

    variables = row.settings.get("env", {})
    there = row.with_settings(row.settings | {"env": {}})
    environment = entering.environment(there.settings, _terminal_type())
    argv = list(entering.enter(there, pid, tuple(command), masked, _tool, here=_here(), told=bool(variables)))
    start = start_of(pid) if pid is not None else None
    cut = argv.index("--") if "--" in argv else len(argv)
    enters = "--pid" in argv[:cut]
    typing = bool(row.settings.get("privileged"))
    if enters:
        argv.remove("--pid")
    out.close()
    if not enters and not stay:
        _become(argv, environment, variables, typing=typing)
    terminal = enters and _has_terminal()
    # TTOU: handing the terminal on is allowed from the background, too, while it is blocked.
    here = signal.pthread_sigmask(signal.SIG_BLOCK, _passed() | {signal.SIGCHLD, signal.SIGTTOU})
    try:
        child = _fork_beside(pid) if enters and pid is not None else os.fork()
        if child == 0:
            # In the init's PID namespace this process dies with the init: while it lives, the PID is still the init's.
            if start is not None and start_of(pid or 0) != start:
                os._exit(FAILED)
            if terminal:
                os.setpgid(0, 0)
                _give_terminal(os.getpgrp())
            signal.pthread_sigmask(signal.SIG_SETMASK, here if mask is None else mask)
            _become(argv, environment, variables, typing=typing)
        try:
            return _wait(child, terminal)
        finally:
            if terminal:
                _give_terminal(os.getpgrp())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, here)


def masks_for(session: Reading, row: SandboxRow, pid: int | None) -> str | None:
    """
    The script that keeps a command within bounds in a sandbox that has no init which does; None where one has it done.

    Args:
        session: What knows what is to be hidden.
        row: The sandbox.
        pid: Its init.
    """
    if pid is not None and row.info.get("bounds"):
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


def _here() -> str:
    """The caller's working directory; `/` where it is gone, or is out of reach from the root."""
    try:
        found = os.getcwd()
    except OSError:
        return "/"
    return found if found.startswith("/") else "/"


def _passed() -> set[signal.Signals]:
    """The signals that are the command's; HUP is not where nohup had it ignored."""
    return {s for s in _PASSED if signal.getsignal(s) is not signal.SIG_IGN}


def _become(argv: list[str], environment: dict[str, str], variables: Mapping[str, str], *, typing: bool) -> NoReturn:
    """
    Replace this process, with nothing of its own left: no descriptors, no mask, a clean environment.

    Args:
        argv: Its words; the first is the path of a tool.
        environment: Its environment.
        variables: What is to be there besides, once it is within its bounds.
        typing: It may type into the terminal.
    """
    try:
        for signum in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two
            signal.signal(signum, signal.SIG_DFL)
        os.umask(0o022)
        if not typing:
            forbid_typing()
        kept = 3
        if variables:
            _tell(variables)
            kept += 1
        os.closerange(kept, os.sysconf("SC_OPEN_MAX"))
        os.execve(argv[0], argv, environment)  # noqa: S606 - no shell wanted
    except BaseException as e:  # noqa: BLE001 - in a forked child nothing may travel up
        out.problem(f"{argv[0]} can't be run: {getattr(e, 'strerror', None) or e}")
        os._exit(127 if isinstance(e, FileNotFoundError) else 126 if isinstance(e, OSError) else FAILED)


def _tell(variables: Mapping[str, str]) -> None:
    # By a file in memory that has no name: a pipe would hold only so much.
    from nsctl.engine.planning.enter import VARIABLES
    from nsctl.engine.planning.variables import text_of

    fd = os.memfd_create("variables", 0)
    with open(fd, "wb", closefd=False) as file:
        file.write(text_of(variables).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    if fd != VARIABLES:
        os.dup2(fd, VARIABLES)


def _terminal_type() -> str:
    term = os.environ.get("TERM", "")
    return term if term.isprintable() else ""


def _fork_beside(pid: int) -> int:
    """Fork; the child is born in the PID namespace of another process."""
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there, NEWPID)
        finally:
            os.close(there)
        try:
            child = os.fork()
        except OSError:
            setns(home, NEWPID)
            raise
    except OSError as e:
        raise Refused(
            f"no process can be started beside the init (PID {pid}): {e.strerror}", hint="nsctl recover"
        ) from e
    if child:
        setns(home, NEWPID)  # the child is where it belongs, and could not come back
    os.close(home)
    return child


def _wait(child: int, terminal: bool) -> int:
    """
    Pass signals on until the command ends.

    Args:
        child: The command.
        terminal: Whether it has a process group of its own, in the terminal's foreground.
    """
    group = os.getpgrp()
    watched = _passed() | {signal.SIGCHLD}
    while True:
        told = signal.sigwaitinfo(watched)
        if told.si_signo != signal.SIGCHLD:
            # What the terminal sends, it sends to the whole group: the command has it already, if it is still in there.
            if told.si_code != SI_KERNEL or _group_of(child) != group:
                with suppress(ProcessLookupError):
                    os.kill(child, told.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if ended == 0:
            continue
        if os.WIFSTOPPED(status):
            if _is_terminal():
                _stop_with(child, terminal)
            continue
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _stop_with(child: int, terminal: bool) -> None:
    """Stop as the command did, so that the shell notices and `fg` works; then go on with it."""
    group = os.getpgrp()
    if terminal:
        _give_terminal(group)
    if _has_shell():
        os.kill(os.getpid(), signal.SIGSTOP)
    with suppress(ProcessLookupError):
        if terminal and os.tcgetpgrp(0) == group:  # `fg`, not `bg`
            _give_terminal(child)
        (os.killpg if terminal else os.kill)(child, signal.SIGCONT)


def _has_shell() -> bool:
    """Whether somebody is there who notices that this process stopped, and can continue it."""
    parent = os.getppid()  # 0 is one outside of this PID namespace
    try:
        return parent != 0 and os.getsid(parent) == os.getsid(0)
    except ProcessLookupError:
        return False


def _has_terminal() -> bool:
    """
    Whether this process is in a terminal's foreground, alone.

    In `nsctl exec NAME -- ls | less` it is not: `less` reads from the terminal, and may only from the foreground.
    """
    try:
        return all(map(os.isatty, range(3))) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _give_terminal(group: int) -> None:
    with suppress(OSError):  # it may have gone
        os.tcsetpgrp(0, group)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _is_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False
