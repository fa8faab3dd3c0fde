"""`python -m nsctl`, and the console script."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main", "run"]

_INTERRUPTED = 130


def main() -> NoReturn:
    """Have the resident process run the command line, or run it, and end the process."""
    from nsctl.engine.resident import wire

    status = None
    if os.path.lexists(wire.SOCKET):  # else without the millisecond that the client takes
        from nsctl.engine.resident.client import asked

        try:
            status = asked(sys.argv)
        except KeyboardInterrupt:
            status = _INTERRUPTED
    os._exit(run() if status is None else status)


def run() -> int:
    """
    Run the command line, up to what is left of the process; the exit status.

    What plugins have registered for the end, and threads they left behind, get their time as ever. What the
    interpreter does after that, taking every module apart, is left out: it is a sixth of a command's time.
    """
    import atexit
    from contextlib import suppress

    from nsctl.engine.cli import main as command_line

    status = command_line()
    if sys.modules.get("threading"):
        import threading

        with suppress(KeyboardInterrupt):  # who can't wait for them
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join()
    atexit._run_exitfuncs()  # noqa: SLF001 - as the interpreter's own end does, which has no other name
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # what of it mattered was told by then, see out.close
            stream.flush()
    return status


if __name__ == "__main__":
    main()
