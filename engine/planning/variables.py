"""
How a command gets its variables: when it is within its bounds, and not before.

What comes first runs as root and unbounded (nsenter, unshare, mount, setpriv), and would obey some of them: a library
in LD_LIBRARY_PATH or a tool in PATH, in a directory that is the command's user's, would be run by root.
They are not in the words of a command either, which every user can read. So a shell within the bounds reads them from a
descriptor that was opened outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PATH", "home_of", "taken", "text_of"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""That of every command in a sandbox, if it is given no other."""


def text_of(variables: Mapping[str, str]) -> str:
    """The input of `taken`, one line each; no value holds a line end, see `nsctl.engine.planning.settings`."""
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def taken(descriptor: int) -> str:
    """
    A shell's words that read variables, export them, and close the descriptor; nothing in them is evaluated.

    Those that a shell keeps to itself (bash's UID) are left out there.
    """
    each = 'while IFS= read -r nsctl_v; do command export "$nsctl_v" 2>/dev/null; done'
    return f"{each} <&{descriptor}; exec {descriptor}<&-; unset nsctl_v; "


def home_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The variables that say whose a command is."""
    user = settings.get("user")
    if not user:
        return {"HOME": "/root"}
    return {"HOME": user["home"], **({"USER": user["login"], "LOGNAME": user["login"]} if user["login"] else {})}
