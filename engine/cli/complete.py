"""
What a shell completes: commands, options, and values as far as they can be known. It never complains.

A shell's script (`shells/`) passes the words before the cursor in a variable, one a line, the last one incomplete;
the answer is one line for each candidate: the word, and after a tab what it means. Exit status 1 leaves it to the
shell, which then completes names of files; so does a Python that can't start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, suppress
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from nsctl.engine.model.errors import NsctlError

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.model.options import Field

__all__ = [
    "VARIABLE",
    "Candidate",
    "answer",
    "choices",
    "completer",
    "lab_files",
    "mode_names",
    "plan_files",
    "sandbox_names",
]

_named_file: list[str] = []
"""What was asked for as the name of a file."""
VARIABLE = "_NSCTL_COMPLETE"
_SHELLS_OWN = 1
"""The exit status that leaves it to the shell."""
_OF_A_FILE = frozenset({"FILE", "DIR", "PATH"})
"""What stands for the value of an option that names a file."""
_LAB = (".toml",)
_PLAN = (".toml", ".json", ".sh")


def answer(command: Any, context: AppContext) -> int:
    """
    Print the candidates for the words in the environment.

    Args:
        command: The click command of all of nsctl.
        context: Handed to the commands' own completions.

    Returns:
        The exit status.
    """
    *words, incomplete = os.environ.pop(VARIABLE).split("\n")
    if "--" in words:  # what follows is the sandbox's
        return _SHELLS_OWN
    _named_file.clear()
    found: list[Any] = []
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere), suppress(Exception, SystemExit):
        # typer comes with click, or with a copy of it, and names neither.
        core = next(kind.__module__ for kind in type(command).__mro__ if kind.__module__.endswith("click.core"))
        completion = import_module(core.removesuffix("core") + "shell_completion")
        # Of the class that stands for a shell's own protocol, only what is the same for all of them.
        asked = SimpleNamespace(cli=command, ctx_args={"obj": context}, prog_name="nsctl")
        found = completion.ShellComplete.get_completions(asked, words, incomplete)
    prefix = incomplete.partition("=")[0] + "=" if incomplete.startswith("--") and "=" in incomplete else ""
    from nsctl.engine.cli import out

    lines = []
    for item in found:
        value = str(item.value)
        text = " ".join((item.help or "").split())
        if value.isprintable():
            lines.append(f"{prefix}{value}\t{text}" if text else prefix + value)
    if lines:
        out.data("\n".join(lines), exact=True)
    return _SHELLS_OWN if _named_file and not lines else 0


class Candidate(NamedTuple):
    """A word, and what it means."""

    value: str
    help: str = ""


def sandbox_names(incomplete: str) -> list[str]:
    """The sandboxes that are up; without root those that have a network namespace, whose names anybody may read."""
    from nsctl.engine.app import sandboxes
    from nsctl.engine.cli.terminal import terminal_context

    context = terminal_context()
    if context.hidden:
        from nsctl.engine.host.setns import NETNS_DIR

        with suppress(OSError):
            return _starting(incomplete, os.listdir(NETNS_DIR))
    with suppress(NsctlError, OSError):
        return _starting(incomplete, sandboxes.names(context))
    return []


def mode_names(incomplete: str) -> list[str]:
    """The modes."""
    from nsctl.hooks.manager import Plugins

    return _starting(incomplete, Plugins.load().modes())


def lab_files(incomplete: str) -> list[str]:
    """Lab files, and directories."""
    return _files(incomplete, _LAB)


def plan_files(incomplete: str) -> list[str]:
    """Lab files, saved plans and scripts, and directories."""
    return _files(incomplete, _PLAN)


def choices(*words: str) -> Callable[[str], list[str]]:
    """A completion with some fixed words, in their order."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def completer(field: Field) -> Callable[[str], Any] | None:
    """The completion of a mode's option, by its type or its name; the same for plugins' modes."""
    if field.choices:
        return choices(*field.choices)
    return _any_file if field.metavar in _OF_A_FILE else _VALUES.get(field.name)


def _starting(incomplete: str, words: Iterable[str]) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))


def _any_file(incomplete: str) -> list[str]:
    # typer looks at the names of parameters.
    return _files(incomplete)


def _files(incomplete: str, suffixes: tuple[str, ...] = ()) -> list[str]:
    _named_file.append(incomplete)
    if not suffixes or incomplete.startswith("~"):
        return []  # the shell knows better
    folder, _, _ = incomplete.rpartition("/")
    prefix = incomplete[: len(folder) + 1] if "/" in incomplete else ""
    found = []
    with suppress(OSError), os.scandir(prefix or ".") as entries:
        for entry in entries:
            hidden = entry.name.startswith(".") and not incomplete.removeprefix(prefix)
            if entry.is_dir() and not hidden:
                found.append(f"{prefix}{entry.name}/")
            elif entry.name.endswith(suffixes):
                found.append(prefix + entry.name)
    return _starting(incomplete, found)


def _links(incomplete: str, wanted: Callable[[Any], bool]) -> list[str]:
    from nsctl.engine.host.netlink import DumpInterruptedError, Netlink, socket_in
    from nsctl.engine.host.rtnl import links

    with suppress(DumpInterruptedError, OSError), Netlink(socket_in()) as host:
        return _starting(incomplete, (row.name for row in links(host) if wanted(row)))
    return []


def _bridges(incomplete: str) -> list[str]:
    return _links(incomplete, lambda row: row.type == "bridge")


def _uplinks(incomplete: str) -> list[str]:
    return _links(incomplete, lambda row: row.name != "lo" and row.type != "bridge" and not row.master)


def _capabilities(incomplete: str) -> list[str]:
    from nsctl.engine.app.parsers import CAPABILITIES

    upper = incomplete.isupper()
    return _starting(incomplete, (name.upper() if upper else name for name in CAPABILITIES))


def _namespaces(incomplete: str) -> list[str]:
    from nsctl.engine.model.plan import NAMESPACES

    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{kind}" for kind in NAMESPACES if kind.startswith(last) and kind not in given]


def _networks(incomplete: str) -> list[str]:
    from nsctl.engine.app import sandboxes
    from nsctl.engine.cli.terminal import terminal_context

    with suppress(NsctlError, OSError):
        return _starting(incomplete, sandboxes.network_names(terminal_context()))
    return []


def _users(incomplete: str) -> list[str]:
    import pwd

    return _starting(incomplete, (user.pw_name for user in pwd.getpwall()))


def _variables(incomplete: str) -> list[str]:
    return _starting(incomplete, os.environ)


_VALUES: dict[str, Callable[[str], list[str]]] = {
    "bridge": _bridges,
    "join": _bridges,
    "network": _networks,
    "uplink": _uplinks,
    "target": sandbox_names,
    "isolate": _namespaces,
    "cap_add": _capabilities,
    "cap_drop": _capabilities,
    "env": _variables,
    "user": _users,
}
"""Options by name → the words they may have."""
