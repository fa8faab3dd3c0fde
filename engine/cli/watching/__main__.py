"""The process that waits; `watch` becomes it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nsctl.engine.cli import out
from nsctl.engine.cli.watching.loop import Watch

_REFUSED = 2


def main(state_dir: str, lock: str) -> int:
    """
    Watch, until a signal ends it.

    Args:
        state_dir: nsctl's directory under /run.
        lock: The descriptor that says that nobody else does.

    Returns:
        The exit status.
    """
    os.umask(0o077)
    os.set_inheritable(int(lock), False)  # noqa: FBT003 - its only form
    try:
        return Watch(Path(state_dir)).run()
    except OSError as e:
        out.problem(f"the system refused: {e.strerror or e}" + (f": {e.filename}" if e.filename else ""))
        return _REFUSED


if __name__ == "__main__":
    result = main(*sys.argv[1:])
    out.close()
    os._exit(result)
