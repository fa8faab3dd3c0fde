"""
What a forked child does: it becomes as good as the caller, takes the ticket, and runs the command as a cold start does.

Until it has the ticket it has done nothing that anybody could see, and ends without a trace.
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn

from nsctl.engine.host import caller as host_caller
from nsctl.engine.resident import wire
from nsctl.engine.resident.caller import Memory, Peer, RefusalError, Request, check, received
from nsctl.engine.resident.code import Stamps, key
from nsctl.engine.resident.traits import differing, status_of

__all__ = ["Server", "attend"]

_HIGH = 200
"""Own descriptors lie from here on: below, all is as the caller has it, and what the command opens is as ever."""
_F_SETSIG = 10
_PATIENCE = 5.0
"""How long a caller may take to ask; seconds."""
_TICKET, _MEMORY, _HERE, _FIRST = range(4)
"""The descriptors of a request; from the fourth on those that the command gets: 0, 1, 2, and what it names."""


class Server:
    """
    What a child knows of the server that it was forked from.

    Args:
        main: Runs the command line that `sys.argv` holds, and returns the exit status.
        told: The variables that code asked for while it was loaded, and what they were; None where there was none.
    """

    def __init__(self, main: Callable[[], int], told: Mapping[str, str | None]) -> None:
        self.main = main
        self.told = dict(told)
        self.key = key()
        self.memory = Memory.own()
        self.stamps = Stamps()
        self.since = time.time()
        self.requests = 0
        self.by_pidfd = True


def attend(server: Server, connection: socket.socket) -> NoReturn:
    """Do what somebody who has connected asks for, and end."""
    status = 0
    try:
        connection = _apart(connection)
        try:
            _greet(connection)
            request = received(connection)
            if request.groups[:1] == [[wire.STATUS]]:
                _tell_status(server, connection)
            else:
                _become(server, connection, request)
                status = _run(server, connection)
        except RefusalError as e:
            connection.send(wire.joined([[wire.REFUSED, str(e).encode()]]))
    except BaseException as e:  # noqa: BLE001 - in a forked child nothing may travel up
        with suppress(OSError):
            connection.send(wire.joined([[wire.REFUSED, f"{type(e).__name__}: {e}".replace("\0", " ").encode()]]))
    finally:
        os._exit(status)


def _apart(connection: socket.socket) -> socket.socket:
    """Leave the server's session, signals and descriptors behind."""
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signum not in {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT}:
            signal.signal(signum, signal.SIG_DFL)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)
    os.setsid()
    fd = fcntl.fcntl(connection, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    connection.detach()
    os.closerange(3, fd)
    os.closerange(fd + 1, os.sysconf("SC_OPEN_MAX"))
    own = socket.socket(fileno=fd)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    own.settimeout(_PATIENCE)
    return own


def _greet(connection: socket.socket) -> None:
    """Say that somebody is here, and who: what is sent to a server that is stopped would be stuck with it."""
    own = os.pidfd_open(os.getpid())
    socket.send_fds(connection, [wire.joined([[wire.HELLO]])], [own])
    os.close(own)


def _tell_status(server: Server, connection: socket.socket) -> None:
    words = [b"%d" % server.memory.pid, repr(server.since).encode(), b"%d" % server.requests]
    connection.send(wire.joined([[wire.STATUS, *words]]))


def _become(server: Server, connection: socket.socket, request: Request) -> None:
    """
    Be as good as the caller, up to the ticket.

    Raises:
        RefusalError: It can't be, or may not.
    """
    if len(request.groups) != 9 or request.groups[0] != [wire.RUN]:  # noqa: PLR2004 - as the client writes them
        raise RefusalError("it is no request")
    _, code, argv, environment, streams, called, ignored, blocked, numbers = request.groups
    targets = [0, 1, 2, *map(int, numbers)]
    files = [_raised(fd) for fd in request.files]
    if len(files) != _FIRST + len(targets) or len(streams) != 6 or not argv or len(environment) % 2:  # noqa: PLR2004
        raise RefusalError("it is no request")
    peer = Peer(connection, by_pidfd=server.by_pidfd)
    check(peer, request, server.memory, files[_MEMORY])
    if code != server.key:
        raise RefusalError("the caller has other code, or runs it in another way")
    if (place := server.stamps.changed()) is not None:
        raise RefusalError(f"the code has changed: {place}")
    variables = dict(zip(environment[::2], environment[1::2], strict=True))
    if other := [name for name, value in server.told.items() if _of(variables, name) != value]:
        raise RefusalError(f"code was loaded with another {other[0]}")
    host_caller.parent = int(status_of(peer.pid)["PPid"])
    host_caller.group = os.getpgid(peer.pid)
    if (trait := differing(peer.pid)) is not None:
        raise RefusalError(f"the caller's {trait} can't be taken over")
    if not peer.lives():
        raise RefusalError("the caller has gone")
    os.fchdir(files[_HERE])
    for fd, target in zip(files[_FIRST:], targets, strict=True):
        os.dup2(fd, target)
    _restart(argv, variables, streams, called)
    _heed(ignored, blocked)
    peer.close()
    for fd in files[_MEMORY:]:
        os.close(fd)
    _take(files[_TICKET])


def _raised(fd: int) -> int:
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(fd)
    return high


def _of(variables: Mapping[bytes, bytes], name: str) -> str | None:
    value = variables.get(os.fsencode(name))
    return None if value is None else os.fsdecode(value)


def _restart(argv: list[bytes], variables: Mapping[bytes, bytes], streams: list[bytes], called: list[bytes]) -> None:
    """Have the interpreter know what a new one would know."""
    os.environ.clear()
    os.environb.update(variables)
    time.tzset()
    sys.argv[:] = map(os.fsdecode, argv)
    sys._xoptions.pop("nsctl", None)  # noqa: SLF001 - documented under -X, and has no other name
    if called:
        sys._xoptions["nsctl"] = os.fsdecode(called[0])  # noqa: SLF001
    words = [word.decode() for word in streams]
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        mode, buffering = ("r", -1) if fd == 0 else ("w", 1 if name == "stderr" else -1)
        stream = io.open(  # noqa: SIM115, UP020 - as long as the process
            fd, mode, buffering, encoding=words[2 * fd], errors=words[2 * fd + 1], newline="\n", closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _heed(ignored: list[bytes], blocked: list[bytes]) -> None:
    """Signals as they are where the caller begins."""
    for signum in map(int, ignored):
        signal.signal(signum, signal.SIG_IGN)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, set(map(int, blocked)))


def _take(ticket: int) -> None:
    """
    Take the ticket; from here on this process dies with the caller, at once, as if it were the one that was killed.

    Raises:
        RefusalError: The caller has it, or has gone.
    """
    # The other end of the pipe is the caller's alone: when it is closed the kernel sends KILL.
    fcntl.fcntl(ticket, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(ticket, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(ticket, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
    poll = select.poll()
    poll.register(ticket, select.POLLIN)
    if any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0)):
        raise RefusalError("the caller has gone")
    try:
        if os.read(ticket, 1) == b"1":
            return
    except BlockingIOError:
        pass
    raise RefusalError("the caller did not wait")


def _run(server: Server, connection: socket.socket) -> int:
    connection.settimeout(None)
    connection.send(wire.joined([[wire.BEGUN]]))
    try:
        status = server.main()
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter ends
        sys.excepthook(*sys.exc_info())
        status = 1
    connection.send(wire.joined([[wire.ENDED, b"%d" % status]]))
    return status
