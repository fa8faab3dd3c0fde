"""`resident start`, `status` and `stop`: the process that stays, so that commands need not load their code."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from time import localtime, strftime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from nsctl.engine.app.resident import prepare
from nsctl.engine.cli import out
from nsctl.engine.model.errors import Conflict, Refused
from nsctl.engine.resident import wire
from nsctl.engine.resident.standing import LOCK, holder

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

__all__ = ["resident"]

NOT_RUNNING = 4
_BACKLOG = 128
_PATIENCE = 5.0
_SYSTEMD_FD = 3
"""The first descriptor that systemd passes on (sd_listen_fds(3))."""
_TOLD = ("LC_ALL", "LC_CTYPE", "LANG")
"""Variables that the process is given: they say how text is encoded."""

resident = typer.Typer(
    help="A process that stays and forks itself for each command, so that these start at once; off by default.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@resident.command()
def start(
    ctx: typer.Context,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay in the foreground, as systemd wants it.", show_default=False)
    ] = False,
) -> int:
    """
    Start it: up, down, apply, check, repair, recover and ls of root's are run by it from then on.

    Who calls from other namespaces, with other rights, or with other code, has the command run as ever.
    """
    context: AppContext = ctx.obj
    prepare(context)
    listening, by_systemd = _passed_on()
    lock = _only_one(by_systemd=by_systemd)
    if listening is None:
        listening = _bound()
    out.close()
    if foreground:
        _become(listening.detach(), lock, -1)
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        os.chdir("/")
        _become(listening.detach(), lock, told)
    os.close(told)
    os.close(lock)
    if os.read(ready, 1) != b"1":
        raise Refused("the resident process has ended again", hint="see why: nsctl resident start --foreground")
    out.done(f"the resident process (PID {pid}) waits for commands; it ends with: nsctl resident stop")
    return 0


@resident.command()
def status(ctx: typer.Context) -> int:
    """Show whether it runs, since when, and how often it was asked."""
    context: AppContext = ctx.obj
    context.need_root()
    found = holder()
    if found is None:
        out.done("no resident process runs; start one: nsctl resident start")
        return NOT_RUNNING
    pid, by_systemd = found
    told = _asked_for_status()
    if told is None:
        out.data(f"the resident process (PID {pid}) does not answer: commands run without it")
        return NOT_RUNNING
    since = strftime("%Y-%m-%d %H:%M:%S", localtime(float(told[1])))
    where = ", started by systemd" if by_systemd else ""
    out.data(f"PID {pid}{where}, since {since}, requests: {int(told[2])}")
    return 0


@resident.command()
def stop(ctx: typer.Context) -> int:
    """End it. What it has begun goes on to its end; commands run without it from then on."""
    context: AppContext = ctx.obj
    context.need_root()
    found = holder()
    if found is None:
        out.done("no resident process runs")
        return 0
    pid, by_systemd = found
    if by_systemd:
        raise Conflict(
            "systemd starts it again when it is asked for",
            hint="systemctl stop nsctl-resident.socket nsctl-resident.service",
        )
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        process = -1
    if process >= 0 and holder() == found:  # so it is that one, not another of the same number
        signal.pidfd_send_signal(process, signal.SIGTERM)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(_PATIENCE * 1000):
            signal.pidfd_send_signal(process, signal.SIGKILL)  # it was stopped, and holds nothing
            poll.poll(_PATIENCE * 1000)
    with suppress(FileNotFoundError):
        os.unlink(wire.SOCKET)
    out.done("the resident process has ended")
    return 0


def _passed_on() -> tuple[socket.socket | None, bool]:
    """The socket that systemd listens on for this process, and whether there is one."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None, False
    passed = socket.socket(fileno=_SYSTEMD_FD)
    if (passed.family, passed.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        raise Refused(
            "systemd passed on another kind of socket", hint="ListenSequentialPacket=/run/nsctl/resident.sock"
        )
    return passed, True


def _only_one(*, by_systemd: bool) -> int:
    """
    The lock that the process holds as long as it lives.

    Raises:
        Conflict: Another one does.
        Refused: It can't be opened.
    """
    try:
        fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        found = holder()
        who = f" (PID {found[0]})" if found else ""
        raise Conflict(f"a resident process{who} runs already", hint="nsctl resident status") from None
    except OSError as e:
        raise Refused(f"the lock {LOCK} can't be opened: {e.strerror}") from e
    os.ftruncate(fd, 0)
    with suppress(OSError):  # of a full disk: then its number is not known, and it can't be stopped by name
        os.pwrite(fd, f"{os.getpid()}{' systemd' if by_systemd else ''}\n".encode(), 0)
    return fd


def _bound() -> socket.socket:
    with suppress(FileNotFoundError):
        os.unlink(wire.SOCKET)  # of one that was killed: whoever has the lock may
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        made.bind(wire.SOCKET)
        os.chmod(wire.SOCKET, 0o600)
        made.listen(_BACKLOG)
    except OSError as e:
        raise Refused(f"{wire.SOCKET} can't be made: {e.strerror}") from e
    return made


def _become(listening: int, lock: int, ready: int) -> NoReturn:
    """Be a process that has loaded what commands need, and has nothing of this command line."""
    for fd in (listening, lock, *([ready] if ready >= 0 else [])):
        os.set_inheritable(fd, True)  # noqa: FBT003 - its only form
    environment = {name: os.environ[name] for name in _TOLD if name in os.environ}
    argv = [sys.executable, "-I", "-m", "nsctl.engine.cli.resident", *map(str, (listening, lock, ready))]
    os.execve(sys.executable, argv, environment)  # noqa: S606 - no shell wanted


def _asked_for_status() -> list[bytes] | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as s:
        s.settimeout(1.0)
        try:
            s.connect(wire.SOCKET)
            s.recv(4096)  # its hello
            s.sendall(wire.joined([[wire.STATUS]]))
            words = wire.parted(s.recv(4096))[0]
        except (OSError, ValueError, IndexError):
            return None
    return words[1:] if len(words) == 4 and words[0] == wire.STATUS else None  # noqa: PLR2004 - as it is written
