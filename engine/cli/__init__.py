"""
The command line: it parses, calls `nsctl.engine.app`, prints and asks, and nothing else.

    plain.py        a few commands in their plain forms, without typer
    root.py         the table of commands, and the help
    terminal.py     the context of a command: what comes up on the way is printed
    up.py down.py … a module for each command; those of modes are built from the modes' options (parameters.py)
    foreground.py   a command that has the terminal
    watching/       the process that `watch` becomes, and the looks that it has taken
    called.py       how hints name the program
    out.py          what is printed, and how it may fail
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from nsctl.engine.lazy_imports import load_msgspec, load_pathlib
from nsctl.engine.model.errors import Interrupted, NsctlError

__all__ = ["main"]

INTERRUPTED = 130
REFUSED = 2
FAILED = 125
"""Where a status of 1 or 2 would look like the command's own: `run`, `exec` and `shell`."""
INTERNAL = 70
"""EX_SOFTWARE of sysexits.h: a fault of nsctl's own, which none of the other statuses would tell truly."""
_HOLDABLE = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run nsctl.

    Args:
        argv: The words after `nsctl`; those of the process, if not given.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    before = {signum: signal.getsignal(signum) for signum in _HOLDABLE}
    if argv is None:
        _isolate(words)
        gc.disable()  # a command's life is short, and of a large lab the collector takes a tenth of it
    _open_standard_streams()
    os.umask(0o077)
    load_pathlib()
    from nsctl.engine.cli import out

    try:
        from nsctl.engine.cli.plain import plain

        done = plain(words)
        if done is None:
            load_msgspec()
            from nsctl.engine.cli.root import run

            done = run(words)
        status = done
    except NsctlError as e:
        out.problem(str(e), e.hint)
        if out.verbose > 1:
            out.traceback()
        status = FAILED if _is_for_a_child(words) and not isinstance(e, Interrupted) else e.exit_status
    except KeyboardInterrupt:
        status = INTERRUPTED
    except out.OutputFailedError as e:
        # Nobody listens any more: that is no fault of the command's (`nsctl ls | head -1`).
        status = 0 if isinstance(e.__cause__, BrokenPipeError) else REFUSED
        if status:
            out.problem(f"the output can't be written: {e}")
    except OSError as e:
        # Before anything was begun, or while only looking: the executor tells of all else by errors of its own.
        out.problem(f"the system refused: {e.strerror or e}" + (f": {e.filename}" if e.filename else ""))
        if out.verbose > 1:
            out.traceback()
        status = FAILED if _is_for_a_child(words) else REFUSED
    except Exception as e:  # noqa: BLE001 - the last resort: one line in place of a traceback
        out.problem(
            f"internal error: {type(e).__name__}: {e}",
            "please report this, with what the same command prints with -v; `nsctl recover` cleans up what may be left",
        )
        if out.verbose:
            out.traceback()
        status = FAILED if _is_for_a_child(words) else INTERNAL
    out.close()
    if argv is not None:
        _give_back(before)  # else they stay held until the process ends
    return status


def _is_for_a_child(words: list[str]) -> bool:
    own = words[: words.index("--")] if "--" in words else words
    command = next((word for word in own if not word.startswith("-")), "")
    return command in {"run", "exec", "shell"} and "--dry-run" not in own


def _isolate(words: list[str]) -> None:
    """
    Start again in an isolated interpreter where root's environment could choose what Python runs.

    `scripts/nsctl` starts isolated from the beginning; a console script that pip wrote does not.
    """
    if os.geteuid() != 0 or sys.flags.isolated or not any(name.startswith("PYTHON") for name in os.environ):
        return
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    called = f"nsctl={sys.argv[0]}"  # see called.py
    os.execve(sys.executable, [sys.executable, "-I", "-X", called, "-m", "nsctl", *words], clean)  # noqa: S606 - no shell wanted


def _give_back(before: Mapping[signal.Signals, Any]) -> None:
    """
    Have signals that a session still holds do what they did before.

    Args:
        before: What was done on them.
    """
    held = [signum for signum, handler in before.items() if signal.getsignal(signum) is not handler]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    for signum in held:
        signal.signal(signum, before[signum] or signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _open_standard_streams() -> None:
    """See to it that 0, 1 and 2 are open: else the store's file would become the stdout of a command."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
