"""Output: data on stdout, everything else on stderr; a line for people never stops a change by failing."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsctl.engine.model.diagnostics import Diagnostic
    from nsctl.hooks.manager import Plugins

__all__ = [
    "OutputFailedError",
    "Raw",
    "close",
    "data",
    "diagnostic",
    "done",
    "note",
    "problem",
    "traceback",
    "verbose",
    "warning",
    "warnings_of",
]

verbose = 0
"""How often -v was given."""


class OutputFailedError(Exception):
    """The output of a command could not be written."""


def data(text: str, *, exact: bool = False) -> None:
    """
    What a command was asked for.

    Args:
        text: It holds words from outside (a link's name, a plugin's summary): what is not printable is escaped.
        exact: It is for a program, and has to stay as it is.

    Raises:
        OutputFailedError: It could not be written.
    """
    try:
        print(text if exact else _printable(text), flush=True)  # noqa: T201 - this is where nsctl prints
    except (OSError, ValueError) as e:
        raise OutputFailedError(getattr(e, "strerror", None) or str(e)) from e


class Raw:
    """
    Bytes of somebody else's, on stdout: as they are, but on a terminal what would steer it is escaped.

    Raises:
        OutputFailedError: By `write` and `end`: they could not be written.
    """

    def __init__(self) -> None:
        self._decoder: Any = None
        with suppress(OSError, ValueError):
            if sys.stdout.isatty():
                from codecs import getincrementaldecoder

                self._decoder = getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, block: bytes) -> None:
        """Write a block; a character may go on in the next one."""
        self._write(block, final=False)

    def end(self) -> None:
        """Write what was left of a character, as it is."""
        self._write(b"", final=True)

    def _write(self, block: bytes, *, final: bool) -> None:
        try:
            if self._decoder is None:
                sys.stdout.buffer.write(block)
            else:
                # A program that writes \r\n thinks of terminals; what else begins with \r overwrites a line.
                text = self._decoder.decode(block, final).replace("\r\n", "\n")
                sys.stdout.write(_printable(text))
            sys.stdout.flush()
        except (OSError, ValueError) as e:
            raise OutputFailedError(getattr(e, "strerror", None) or str(e)) from e


def done(text: str) -> None:
    """The result of a change, in one line. It is made, whether anybody hears of it or not."""
    with suppress(OSError, ValueError):
        print(_printable(spoken(text)), flush=True)  # noqa: T201 - as above


def note(text: str) -> None:
    """Something that is good to know, on stderr."""
    _stderr(text)


def warning(text: str) -> None:
    """Something that went wrong without stopping the command, on stderr."""
    _stderr(f"nsctl: warning: {text}")


def diagnostic(found: Diagnostic) -> None:
    """A warning or note beside a result, on stderr, with its hint; a detail only with -v."""
    match found.level:
        case "warning":
            warning(found.message)
        case "recovered":
            note(f"recovered first: {found.message}")
        case "note":
            note(f"note: {found.message}")
        case "detail" if verbose:
            note(f"note: {found.message}")
        case _:
            return
    if found.hint:
        note(f"hint: {found.hint}")


def warnings_of(plugins: Plugins) -> None:
    """Print the warnings of plugins, once."""
    for line in plugins.warnings:
        warning(line)
    plugins.warnings.clear()


def problem(text: str, hint: str = "") -> None:
    """Print on stderr why the command failed, and what to do next."""
    _stderr(f"nsctl: {text}")
    if hint:
        _stderr(f"hint: {hint}")


def traceback() -> None:
    """Where the current exception came from, on stderr."""
    from traceback import format_exc

    _stderr(format_exc().rstrip())


def close() -> None:
    """Flush, and see to it that the interpreter has nothing left to complain of when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


def spoken(text: str) -> str:
    """A line for people, with nsctl called in it as it was called; see `called`."""
    if "nsctl" not in text:
        return text
    from nsctl.engine.cli import called

    return called.spoken(text)


def _stderr(text: str) -> None:
    with suppress(OSError, ValueError):
        print(_printable(spoken(text)), file=sys.stderr, flush=True)  # noqa: T201 - as above


def _printable(text: str) -> str:
    # Line by line; a tab does no harm.
    return "\n".join(
        line if line.isprintable() else "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in line)
        for line in text.split("\n")
    )
