"""The same command for a link that has another name by now."""

from __future__ import annotations

from dataclasses import replace

from nsctl.engine.model.effects.settings import key_on_link, link_in
from nsctl.engine.model.plan import Command

__all__ = ["command_on_link"]


def command_on_link(command: Command, old: str, new: str) -> Command:
    """
    The same command for a link that has another name by now.

    The name stands behind `dev`, or in the key of a sysctl; the same word elsewhere is something else (`ip link del dev
    dev`).
    """
    argv = list(command.argv)
    if argv[0] == "sysctl":
        argv = [key_on_link(word, new) if link_in(word) == old else word for word in argv]
    elif "dev" in argv and argv[argv.index("dev") + 1 : argv.index("dev") + 2] == [old]:
        argv[argv.index("dev") + 1] = new
    return replace(command, argv=tuple(argv))
