"""Which link of the host an effect is a setting of, and the same effect under the link's new name."""

from __future__ import annotations

import re
from dataclasses import replace

from nsctl.engine.model.effect import AddrOn, Effect, LinkIs, LinkSet, LinkUp, RouteVia, SysctlIs
from nsctl.engine.model.plan import Command

__all__ = ["command_on_link", "compared_link", "host_link_of", "key_on_link", "on_link"]

_SYSCTL = re.compile(r"(net/ipv[46]/(?:conf|neigh)/)([^/]+)(/.+)")


def host_link_of(effect: Effect) -> str | None:
    """The link of the host that an effect is a setting of; None for anything else, and inside a namespace."""
    if getattr(effect, "netns", None) is not None:
        return None
    if isinstance(effect, AddrOn | RouteVia):
        return effect.link
    if isinstance(effect, LinkUp | LinkSet):
        return effect.name
    if isinstance(effect, SysctlIs) and (found := _SYSCTL.fullmatch(effect.key)):
        return None if found[2] in {"all", "default"} else found[2]
    return None


def compared_link(effect: Effect | None) -> str | None:
    """The link of the host that is read to compare an effect; None for anything else, and inside a namespace."""
    if isinstance(effect, AddrOn):
        return effect.link if effect.netns is None else None
    if isinstance(effect, LinkIs | LinkUp | LinkSet):
        return effect.name if effect.netns is None else None
    return None


def on_link(effect: Effect, name: str) -> Effect:
    """
    The same effect on the link of another name.

    Raises:
        TypeError: It is not a setting of a link.
    """
    if isinstance(effect, AddrOn | RouteVia):
        return replace(effect, link=name)
    if isinstance(effect, LinkUp | LinkSet):
        return replace(effect, name=name)
    if isinstance(effect, SysctlIs):
        return replace(effect, key=key_on_link(effect.key, name))
    raise TypeError(f"not a setting of a link: {effect}")


def key_on_link(key: str, name: str) -> str:
    """The key of a link's sysctl for another link, or for `all`."""
    return _SYSCTL.sub(rf"\g<1>{name}\g<3>", key)


def command_on_link(command: Command, old: str, new: str) -> Command:
    """
    The same command for a link that has another name by now.

    The name stands behind `dev`, or in the key of a sysctl; the same word elsewhere is something else (`ip link del dev
    dev`).
    """
    argv = list(command.argv)
    if argv[0] == "sysctl":
        argv = [_of_sysctl(word, old, new) for word in argv]
    elif "dev" in argv and argv[argv.index("dev") + 1 : argv.index("dev") + 2] == [old]:
        argv[argv.index("dev") + 1] = new
    return replace(command, argv=tuple(argv))


def _of_sysctl(word: str, old: str, new: str) -> str:
    found = _SYSCTL.fullmatch(word)
    return f"{found[1]}{new}{found[3]}" if found and found[2] == old else word
