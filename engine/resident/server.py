"""
The process that stays: it accepts, forks, and tells how a child was ended. It knows nothing of any command.

What a child does is its own affair, and goes on if this process is stopped or killed.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

from nsctl.engine.resident import wire
from nsctl.engine.resident.child import Server, attend

__all__ = ["serve"]

_MOST = 128
"""Children at a time; who comes then runs its command itself."""
_ENDING = (signal.SIGTERM, signal.SIGINT)


def serve(server: Server, listening: socket.socket, ready: Callable[[], object] = lambda: None) -> None:
    """
    Have commands run, until a signal ends it, or the code has changed.

    Args:
        server: What children are to know.
        listening: Where callers connect.
        ready: Called when they may, and signals are heeded.
    """
    listening.setblocking(False)  # noqa: FBT003 - its only form
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for signum in (*_ENDING, signal.SIGCHLD):
        signal.signal(signum, lambda _, __: None)
    children: dict[int, socket.socket] = {}
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    poll.register(woken, select.POLLIN)
    gc.collect()
    gc.freeze()  # what children never touch stays shared
    ready()
    while True:
        some = {fd for fd, _ in poll.poll()}
        if woken in some:
            came = os.read(woken, 4096)
            if any(signum in came for signum in _ENDING):
                return
            if _reap(children) and server.stamps.changed() is not None:
                return
        if listening.fileno() in some:
            _accept(server, listening, children)


def _accept(server: Server, listening: socket.socket, children: dict[int, socket.socket]) -> None:
    try:
        connection, _ = listening.accept()
    except OSError:  # it has gone, or there are no descriptors: it runs its command itself
        return
    if len(children) >= _MOST:
        connection.close()
        return
    server.requests += 1
    try:
        pid = os.fork()
    except OSError:
        connection.close()
        return
    if pid == 0:
        attend(server, connection)
    children[pid] = connection


def _reap(children: dict[int, socket.socket]) -> bool:
    """Tell the callers of children that have ended how that was; whether there were any."""
    some = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return some
        if pid == 0:
            return some
        some = True
        connection = children.pop(pid, None)
        if connection is None:
            continue
        with connection, suppress(OSError):  # most have heard it from the child
            word = wire.DIED if os.WIFSIGNALED(status) else wire.ENDED
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            connection.setblocking(False)  # noqa: FBT003 - its only form
            connection.send(wire.joined([[word, b"%d" % number]]))
