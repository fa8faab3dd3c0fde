"""A look, seen from the watcher: the process that takes it, and what it tells."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["Look"]


class Look:
    """
    A look that is being taken.

    Args:
        poll: What is waited with.
    """

    def __init__(self, poll: select.poll) -> None:
        self.said: dict[str, Any] = {}
        self.status = 0
        self._poll = poll
        self._buffer = b""
        self._ours, theirs = socket.socketpair()
        with theirs:
            theirs.set_inheritable(True)
            argv = [sys.executable, "-I", "-m", "nsctl.engine.cli.watching.taken", str(theirs.fileno())]
            self._pid = os.posix_spawn(
                sys.executable, argv, _environment(), setsigmask=(), setsigdef=(signal.SIGTERM, signal.SIGINT)
            )
        self._ours.setblocking(False)  # noqa: FBT003 - its only form
        self._poll.register(self._ours.fileno(), select.POLLIN)

    def end(self) -> None:
        """Have it end as soon as its step is over."""
        os.kill(self._pid, signal.SIGTERM)  # it is our child, and not waited for yet

    def heard(self, forget: Callable[[], None]) -> bool:
        """
        Hear what it has to tell; whether it is over.

        Args:
            forget: Called when it is about to look.
        """
        while True:
            try:
                data = self._ours.recv(65536)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                data = b""
            if not data:
                break
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                told = json.loads(line)
                if "look" in told:
                    forget()
                    with suppress(OSError):
                        self._ours.send(b".")
                else:
                    self.said = told
        self._poll.unregister(self._ours.fileno())
        self._ours.close()
        self.status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        if not self.said:
            self.said = {"failed": f"a look ended with status {self.status}"}
        return True


def _environment() -> dict[str, str]:
    # systemd's socket is this process's to write to.
    return {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
