"""
One look of `watch`, in a process of its own: what is missing is put back, and what it took ends with it.

It tells the watcher by a socket, line by line in JSON, when it is about to look, and in the end what came of it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress

from nsctl.engine.app.watch import Look, look
from nsctl.engine.cli import out
from nsctl.engine.cli.terminal import terminal_context
from nsctl.engine.cli.watching.store import generation
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.names import listed

__all__ = ["main"]

_SHOWN = 3


def main(fd: int) -> int:
    """
    Look, and put back.

    Args:
        fd: The socket.

    Returns:
        The exit status.
    """
    os.umask(0o077)
    os.set_inheritable(fd, False)  # noqa: FBT003 - its only form
    with socket.socket(fileno=fd) as watcher:
        said: dict[str, object] = {}
        try:
            _look(watcher, said)
            status = 0
        except NsctlError as e:
            status = e.exit_status
            said |= {"failed": str(e), "hint": e.hint}
        except OSError as e:
            status = 2
            said["failed"] = f"the system refused: {e.strerror or e}" + (f": {e.filename}" if e.filename else "")
        except Exception as e:  # noqa: BLE001 - the last resort, as of any command
            status = 70
            said["failed"] = f"internal error: {type(e).__name__}: {e}"
        with suppress(OSError):  # it is gone, which is no reason to fail
            watcher.sendall(json.dumps(said).encode() + b"\n")
    return status


def _look(watcher: socket.socket, said: dict[str, object]) -> None:
    context = terminal_context()
    came = Look()

    def settled() -> None:
        said["generation"] = generation(context.state_dir)

    try:
        look(context, came, lambda: _about_to_look(watcher), settled)
    finally:
        said |= {"looked": came.begun, "mended": list(came.restored), "restless": came.restless}
        if came.interest is not None:
            said["interest"] = {
                name: sorted(value) if isinstance(value, frozenset) else value
                for name, value in came.interest._asdict().items()
            }
        if came.restored:
            out.done(f"put back {listed(list(came.restored), _SHOWN)}")


def _about_to_look(watcher: socket.socket) -> None:
    # The watcher forgets what it has heard of until now, and answers: all that comes later counts.
    with suppress(OSError):
        watcher.sendall(b'{"look": true}\n')
        watcher.recv(1)


if __name__ == "__main__":
    result = main(int(sys.argv[1]))
    out.close()
    os._exit(result)
