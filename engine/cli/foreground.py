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
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from nsctl.engine.app.entering import Caller
from nsctl.engine.cli import out
from nsctl.engine.cli.seccomp import forbid_typing
from nsctl.engine.host.process import start_of
from nsctl.engine.host.setns import NEWPID, setns
from nsctl.engine.model.errors import Refused

if TYPE_CHECKING:
    from nsctl.engine.app.entering import Entry

__all__ = ["caller", "foreground", "passed_signals"]

FAILED = 125
SI_KERNEL = 0x80
"""Where a signal came from: the kernel, because of what was typed, not a process."""
_TO_ALL = {signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH}
"""The signals that a terminal sends to its whole foreground group, the command included."""
_PASSED = {
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
}


def caller() -> Caller:
    """Describe this process, as the caller of a command in a sandbox."""
    term = os.environ.get("TERM", "")
    return Caller(os.environ, _here(), term if term.isprintable() else "")


def foreground(entry: Entry, *, stay: bool = False, mask: Iterable[int] | None = None) -> int:
    """
    Execute a command in a sandbox and wait for it.

    Args:
        entry: The command.
        stay: There is something to do afterwards; else, where no PID namespace is entered, nsctl becomes the command.
        mask: The signals that are blocked in the command; as they are now, if not given.

    Returns:
        The command's exit status; 128+n where signal n ended it.
    """
    out.close()
    if not entry.beside_init and not stay:
        _become(entry)
    terminal = entry.beside_init and _has_terminal()
    # TTOU: handing the terminal on is allowed from the background, too, while it is blocked.
    here = signal.pthread_sigmask(signal.SIG_BLOCK, passed_signals() | {signal.SIGCHLD, signal.SIGTTOU})
    try:
        pid = entry.pid
        child = _fork_beside(pid) if entry.beside_init and pid is not None else os.fork()
        if child == 0:
            # In the init's PID namespace this process dies with the init: while it lives, the PID is still the init's.
            if entry.start is not None and start_of(pid or 0) != entry.start:
                os._exit(FAILED)
            if terminal:
                os.setpgid(0, 0)
                _give_terminal(os.getpgrp())
            signal.pthread_sigmask(signal.SIG_SETMASK, here if mask is None else mask)
            _become(entry)
        try:
            return _wait(child, terminal)
        finally:
            if terminal:
                _give_terminal(os.getpgrp())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, here)


def passed_signals() -> set[signal.Signals]:
    """The signals that are the command's; HUP is not where nohup had it ignored."""
    return {s for s in _PASSED if signal.getsignal(s) is not signal.SIG_IGN}


def _here() -> str:
    """The working directory; `/` where it is gone, or is out of reach from the root."""
    try:
        found = os.getcwd()
    except OSError:
        return "/"
    return found if found.startswith("/") else "/"


def _become(entry: Entry) -> NoReturn:
    """Replace this process, with nothing of its own left: no descriptors, no mask, a clean environment."""
    path = entry.argv[0]
    try:
        for signum in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two
            signal.signal(signum, signal.SIG_DFL)
        os.umask(0o022)
        if not entry.may_type:
            forbid_typing()
        kept = 3
        if entry.variables:
            _pass_variables(entry.variables)
            kept += 1
        os.closerange(kept, os.sysconf("SC_OPEN_MAX"))
        os.execve(path, entry.argv, entry.environment)  # noqa: S606 - no shell wanted
    except BaseException as e:  # noqa: BLE001 - in a forked child nothing may travel up
        out.problem(f"{path} can't be run: {getattr(e, 'strerror', None) or e}")
        os._exit(127 if isinstance(e, FileNotFoundError) else 126 if isinstance(e, OSError) else FAILED)


def _pass_variables(variables: Mapping[str, str]) -> None:
    # By a file in memory that has no name: a pipe would hold only so much.
    from nsctl.engine.planning.enter import VARIABLES
    from nsctl.engine.planning.variables import text_of

    fd = os.memfd_create("variables", 0)
    with open(fd, "wb", closefd=False) as file:
        file.write(text_of(variables).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    if fd != VARIABLES:
        os.dup2(fd, VARIABLES)


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
    watched = passed_signals() | {signal.SIGCHLD}
    while True:
        came = signal.sigwaitinfo(watched)
        if came.si_signo != signal.SIGCHLD:
            # What the terminal sends, it sends to the whole group: the command has it already, if it is still in there.
            if came.si_code != SI_KERNEL or _group_of(child) != group:
                with suppress(ProcessLookupError):
                    os.kill(child, came.si_signo)
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
    """Whether a shell notices that this process stopped, and can continue it."""
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
