"""Who may have something to tell the watcher, or wants to be told: signals, a terminal, systemd."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress

__all__ = ["ENDING", "notify", "terminal_is_gone", "wakeup"]

ENDING = (signal.SIGTERM, signal.SIGINT)


def wakeup() -> tuple[socket.socket, list[int]]:
    """A socket that can be read from once a signal has come, and which ones came."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 - its only form
    theirs.setblocking(False)  # noqa: FBT003 - its only form
    came: list[int] = []
    signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
    for signum in (*ENDING, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup's
            signal.signal(signum, lambda number, _: came.append(number))
    return ours, came


def terminal_is_gone() -> bool:
    """Whether this was started in a terminal that has hung up: HUP is no request then."""
    if not _HAD_TERMINAL:
        return False
    return not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


_HAD_TERMINAL = _has_terminal()


def notify(state: str) -> None:
    """Tell systemd, where it asked for that (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s, suppress(OSError):
        s.connect(address)
        s.sendall(state.encode())
