"""
Guests: what is not nsctl's, and can't stay where it is when something of nsctl's goes.

A bridge leaves its ports without one and takes its addresses along, a namespace takes along the links in it.
Nothing can be done about that, but it is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from nsctl.engine.executor.context import Context
from nsctl.engine.kit.link import hardware_address_inside, peer_key
from nsctl.engine.model.effects import AddrOn, LinkIs, LinkSet, NetnsIs
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.names import listed
from nsctl.engine.planning.shapes import BUILT_IN
from nsctl.engine.store import StepRow

__all__ = ["guests_of"]

MOST = 50
"""Namespaces that are looked into; if more go at once, none is."""
_SHOWN = 10
"""Guests of a kind that are named."""
_OF_THE_KERNEL = frozenset("lo tunl0 sit0 gre0 gretap0 erspan0 ip_vti0 ip6_vti0 ip6tnl0 ip6gre0".split())
"""Links that a namespace has from the beginning, or gets with a module of the kernel's."""

_PORTS = "these ports are not nsctl's, and lose their bridge"
_ADDRESSES = "these addresses are not nsctl's, and go with their bridge"
_LINKS = "these links are not nsctl's, and go with the namespace that they are in"


class _Guest(NamedTuple):
    """
    Something that may be a stranger's.

    Args:
        kind: One of the above.
        place: The bridge or the namespace.
        name: What it is called.
        mac: Its hardware address, if it is a link.
    """

    kind: str
    place: str
    name: str
    mac: str = ""


def guests_of(ctx: Context, rows: Sequence[StepRow], going: Collection[str]) -> list[str]:
    """
    What is not nsctl's about the bridges and namespaces that are about to go: a line for each kind.

    Links and addresses of the host are read in one dump each.

    Args:
        ctx: The context.
        rows: The steps that are to be undone, and what goes with them.
        going: The keys of the former.
    """
    try:
        found = list(_without_own(_found(ctx, rows, going), rows))
        if found:  # a mode may have laid a cable from one sandbox into another, or another store one
            known = [row for beginning in ("link/", "linkset/", "addr/") for row in ctx.journal.steps_like(beginning)]
            found = list(_without_own(found, [*known, *(held.row for held in ctx.others.values())]))
    except (NsctlError, OSError):  # they keep changing while they are read: nothing is held up by that
        return []
    by_kind: dict[str, list[str]] = {}
    for guest in found:
        by_kind.setdefault(guest.kind, []).append(f"{guest.name} ({guest.place})")
    return [f"{kind}: {listed(names, _SHOWN)}" for kind, names in by_kind.items()]


def _found(ctx: Context, rows: Iterable[StepRow], going: Collection[str]) -> Iterator[_Guest]:
    bridges: dict[str, str] = {}
    names = []
    # What a plugin's own commands have made can't be told from a stranger's.
    plugins = {name for name, row in ctx.journal.sandboxes().items() if row.mode not in BUILT_IN}
    for row in rows:
        effect = row.step.effect
        if isinstance(effect, LinkIs) and effect.type == "bridge" and effect.netns is None and row.step.key in going:
            there = (
                ctx.kernel.link_by_index(index) if (index := (row.identity or {}).get("index")) is not None else None
            )
            bridges[there.name if there is not None else effect.name] = effect.name
        elif isinstance(effect, NetnsIs) and not effect.is_joined:
            names += [effect.name] if row.step.key in going and effect.name not in plugins else []
    for link in ctx.kernel.links().values() if bridges else ():
        if link.master in bridges:
            yield _Guest(_PORTS, bridges[link.master], link.name, link.mac)
    for bridge, place in bridges.items():
        # An address of the link itself is the kernel's.
        for address in sorted(a for a in ctx.kernel.addresses(bridge) if not a.startswith("fe80:")):
            yield _Guest(_ADDRESSES, place, address)
    if len(names) > MOST:
        return
    ctx.kernel.enter(names)
    for name in names:
        for link in ctx.kernel.links(name).values():
            if link.name not in _OF_THE_KERNEL:
                yield _Guest(_LINKS, name, link.name, link.mac)


def _without_own(guests: Iterable[_Guest], rows: Iterable[StepRow]) -> Iterator[_Guest]:
    # A link is known by its address, whatever it is called by now, or by its name, whatever address it has got since.
    macs: set[str] = set()
    own: set[tuple[str | None, str]] = set()
    addresses: set[tuple[str, str]] = set()
    for row in rows:
        effect = row.step.effect
        if isinstance(effect, LinkIs):
            macs |= {effect.mac, hardware_address_inside(row.step) or effect.mac}
            own.add((effect.netns, effect.name))
            if peer := peer_key(row.step):
                place, _, name = peer.removeprefix("link/").rpartition(":")
                own.add((place or None, name))
        elif isinstance(effect, LinkSet) and effect.attribute == "master":
            own.add((effect.netns, effect.name))
        elif isinstance(effect, AddrOn) and effect.netns is None:
            addresses.add((effect.link, effect.address))
    for guest in guests:
        if guest.kind is _ADDRESSES:
            known = (guest.place, guest.name) in addresses
        else:
            known = guest.mac in macs or (guest.place if guest.kind is _LINKS else None, guest.name) in own
        if not known:
            yield guest
