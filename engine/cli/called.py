"""
How nsctl was called, so that the commands in its hints can be typed as they stand.

In a clone it is `scripts/nsctl`; what pipx or a venv installed is on no path that sudo uses.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from functools import cache

from nsctl.engine.model.names import display

__all__ = ["OPTION", "program", "spoken"]

OPTION = "nsctl"
"""`python -X nsctl=WORD` tells the word by which a script called it: a part of the command line, unlike variables."""
_SUDOS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""What sudo's secure_path holds everywhere; Debian's has /usr/local, too."""
_PATH_MOST = 4096
_WITHOUT_ROOT = frozenset({"modes", "schema", "completion", "doctor", "help"})


@cache
def program() -> str:
    """The word to call nsctl by: its name where the caller's path has it, else the path by which it was called."""
    given = sys._xoptions.get(OPTION)  # noqa: SLF001 - documented under -X, and has no other name
    path = given if isinstance(given, str) else sys.argv[0]
    folder, name = os.path.split(path)
    found = _found(os.environ.get("PATH", os.defpath).split(":"))
    if name == "__main__.py" and os.path.basename(folder) == "nsctl":
        return "nsctl" if found else f"{shlex.quote(sys.executable)} -m nsctl"
    if not folder or name != "nsctl":  # a program that uses nsctl as a library has no better word
        return "nsctl"
    same = found and os.path.exists(path) and os.path.samefile(found, path)
    return "nsctl" if same else shlex.quote(display(path, _PATH_MOST))


def _found(folders: list[str]) -> str:
    places = (os.path.join(folder, "nsctl") for folder in folders if folder)
    return next((place for place in places if os.access(place, os.X_OK)), "")


def _as_root() -> str:
    """The words that call it as root."""
    name = program()
    if os.geteuid() == 0 and "SUDO_UID" not in os.environ:
        return name
    if name == "nsctl":
        local = ("/usr/local/sbin", "/usr/local/bin") if os.path.exists("/etc/debian_version") else ()
        # Where there is none at all, it was not called by a path, and the name is as good as any.
        name = name if _found([*local, *_SUDOS]) else _found(os.environ.get("PATH", os.defpath).split(":")) or name
    return f"sudo {name}"


def spoken(text: str) -> str:
    """A line for people, its commands as they have to be typed: `nsctl ls` becomes `sudo scripts/nsctl ls`."""
    root = _as_root()
    if root == "nsctl" == program():
        return text
    from nsctl.engine.cli.commands import COMMANDS

    names = "|".join(map(re.escape, (*COMMANDS, "help", "--help", "--version")))
    commands = re.compile(rf"(?<![\w/.-])(sudo )?((?:[A-Z_]+=\S+ )*)nsctl (?=(?:-v )?({names})(?![\w-])([^;\n]*))")

    def word(found: re.Match[str]) -> str:
        command, rest = found[3], found[4]
        free = command.startswith("--") or command in _WITHOUT_ROOT or "--help" in rest or "--dry-run" in rest
        if free and not found[1]:
            return f"{found[2]}{program()} "
        called = root if root.startswith("sudo ") or not found[1] else f"sudo {root}"
        sudo, name = ("sudo ", called.removeprefix("sudo ")) if called.startswith("sudo ") else ("", called)
        return f"{sudo}{found[2]}{name} "

    return commands.sub(word, text)
