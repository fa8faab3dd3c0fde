"""What a command says of links, and the same command for a link that has another name by now."""

from __future__ import annotations

from msgspec.structs import replace

from nsctl.engine.model.commands import AddLink, Announce, AnyCommand, DeleteLink, Ip, Sysctl, UndoCommand
from nsctl.engine.model.commands.typed import ending, typed
from nsctl.engine.model.effects.settings import key_on_link, link_in

__all__ = ["hardware_addresses", "on_link"]


def on_link(command: UndoCommand, old: str, new: str) -> UndoCommand:
    """The same command for a link that was called `old`, and is called `new`."""
    match ending(command):
        case DeleteLink(name=name) as known if name == old:
            return replace(known, name=new)
        case Announce(link=name) as known if name == old:
            return replace(known, link=new)
        case Ip(dev=name) as known if name == old:
            return replace(known, dev=new)
        case Sysctl(key=key) as known if link_in(key) == old:
            return replace(known, key=key_on_link(key, new))
        case _:
            return command


def hardware_addresses(command: AnyCommand | None) -> tuple[str, ...]:
    """The hardware addresses that a command gives to the links that it makes; they may be any word of an author's."""
    if command is None:
        return ()
    known = typed(command)
    if isinstance(known, AddLink):
        given = (known.mac, None if known.peer is None else known.peer.mac)
        return tuple(mac for mac in given if mac is not None)
    return known.argv
