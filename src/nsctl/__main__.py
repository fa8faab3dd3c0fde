"""`python -m nsctl`, and the console script."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """
    Run the command line, and end the process.

    What plugins have registered for the end, and threads they left behind, get their time as ever. What the
    interpreter does after that, taking every module apart, is left out: it is a sixth of a command's time.
    """
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
    os._exit(status)


if __name__ == "__main__":
    main()
