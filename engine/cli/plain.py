"""
The commands that people wait for most, in their plain forms, without typer: it takes longer to load than most run.

What stands here has to mean what it means there: `tests/cli/test_plain.py` holds both side by side. Whatever is not
one of these forms to the letter (another option, a wrong name, a word too many) is for typer to read, and to refuse.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsctl.engine.lazy_imports import load_msgspec

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

__all__ = ["plain"]


def plain(words: list[str]) -> int | None:
    """
    Run a command that is written plainly.

    Args:
        words: The command line.

    Returns:
        The exit status; None for one that is not.

    Raises:
        NsctlError: It was refused, or failed.
    """
    if "_NSCTL_COMPLETE" in os.environ:
        return None
    done = None
    match words:
        case ["--version"] | ["version"] if not {"NSCTL_STATE_DIR", "NSCTL_AUDIT_LOG"} & os.environ.keys():
            from nsctl._version import __version__
            from nsctl.engine.cli import out

            out.data(f"nsctl {__version__}")
            done = 0
        case ["ls"]:
            from nsctl.engine.cli.tables import show as show_sandboxes

            done = show_sandboxes(_context(words))
        case ["logs", name] if _is_name(name):
            from nsctl.engine.cli.workload_output import show as show_output

            done = show_output(_context(words), name)
        case ["shell", name] if _is_name(name):
            from nsctl.engine.cli.entering import enter, own_shell

            done = enter(_context(words), name, (own_shell(),))
        case ["exec", name, "--", program, *rest] if program and _is_name(name):
            from nsctl.engine.cli.entering import enter

            done = enter(_context(words), name, (program, *rest))
        case ["down", *names] if names and all(map(_is_name, names)):
            done = _down(words, tuple(names))
        case ["up" | "run" as command, mode, *rest] if _is_name(mode):
            done = _make(words, command, mode, rest)
    return done


def _down(words: list[str], names: tuple[str, ...]) -> int:
    load_msgspec()
    from nsctl.engine.app.requests import DownRequest, Execution
    from nsctl.engine.cli.taking_down import take_down

    return take_down(_context(words), DownRequest(names), Execution())


def _make(words: list[str], command: str, name: str, rest: list[str]) -> int | None:
    cut = rest.index("--") if "--" in rest else len(rest)
    program = tuple(rest[cut + 1 :])
    if not program and (cut < len(rest) or command == "run"):
        return None  # which is refused, and not here
    load_msgspec()
    from nsctl.engine.cli import making
    from nsctl.engine.cli.common_options import Common, UpCommon
    from nsctl.engine.cli.loading import load
    from nsctl.engine.cli.plain_options import plain_options
    from nsctl.engine.model.errors import Invalid
    from nsctl.engine.model.options import fields_of

    context = _context(words)
    try:
        plugins, mode = load(name)
    except Invalid:
        return None
    common, does = (UpCommon, making.up) if command == "up" else (Common, making.run)
    given = plain_options(rest[:cut], [*fields_of(mode.options), *fields_of(common)])
    return None if given is None else does(context, plugins, mode, program, given)


def _is_name(word: str) -> bool:
    from nsctl.engine.model.names import is_name

    return is_name(word)


def _context(words: list[str]) -> AppContext:
    from nsctl.engine.cli.terminal import terminal_context

    return terminal_context(words)
