"""Which route a packet takes: rules and tables as the kernel's fib_rules_lookup and fib_table_lookup walk them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nsctl.engine.reach.model import LOCAL, Hop, Host, Packet, PolicyRule, TableRoute

__all__ = ["Way", "addresses_of", "in_table", "is_local", "lookup", "way_back"]

_IGNORE_LINKDOWN = "net/ipv4/conf/all/ignore_routes_with_linkdown"
_REFUSING = frozenset({"blackhole", "unreachable", "prohibit"})
_FULL = 32
_MASKS = [(1 << _FULL) - (1 << (_FULL - length)) for length in range(_FULL + 1)]
"""By prefix length."""


class Way(NamedTuple):
    """
    What a look into the routing tables comes to.

    Args:
        kind: The route's kind (`unicast`, `local`, `blackhole`, …), or `none` where none was found.
        hops: The next hops that may be taken.
        route: The route; None where a rule refuses by itself, or none was found.
        rule: The rule that led there.
        sure: Whether no rule was passed over of which it can't be told whether it matches.
    """

    kind: str
    hops: tuple[Hop, ...] = ()
    route: TableRoute | None = None
    rule: PolicyRule | None = None
    sure: bool = True


def lookup(host: Host, packet: Packet) -> Way:
    """The way of a packet that came in by `packet.iif` (`lo` for what the host itself sends)."""
    sure = True
    skip_to = -1
    for rule in host.rules:
        if rule.priority < skip_to:
            continue
        matched = _selects(rule, packet, host)
        if matched is None:
            sure = False
            continue
        if not matched:
            continue
        if rule.action == "goto":
            skip_to = rule.target
        elif rule.action in _REFUSING:
            return Way(rule.action, rule=rule, sure=sure)
        elif rule.action == "table":
            found = in_table(host, rule.table, packet)
            if found is None or found.kind == "throw":
                continue
            hops = _alive(host, found)
            if _suppressed(rule, found, hops, host):
                continue
            return Way(found.kind, hops, found, rule, sure)
    return Way("none", sure=sure)


def way_back(host: Host, packet: Packet, onward: str = "lo") -> Way:
    """
    The way to a packet's source, as source validation (`rp_filter`) looks it up.

    Args:
        host: The host.
        packet: The packet.
        onward: The link it goes out by, which its answer would come in by: routing rules for that link count. Where it
            is for the host itself, `lo`.
    """
    link = host.links.get(packet.iif)
    back = packet._replace(
        source=packet.destination,
        destination=packet.source,
        sport=packet.dport,
        dport=packet.sport,
        iif=onward,
        oif="",
        mark=packet.mark if link is not None and link.source_mark else 0,
    )
    return lookup(host, back)


def is_local(host: Host, address: int) -> bool:
    """Whether an address is one of the host's own."""
    found = in_table(host, LOCAL, Packet(0, address))
    return found is not None and found.kind == "local"


def addresses_of(host: Host, link: str) -> list[int]:
    """The addresses of a link that is up."""
    routes = (route for route in host.tables.get(LOCAL, ()) if route.kind == "local" and route.length == _FULL)
    return [route.destination for route in routes if any(hop.link == link for hop in route.hops)]


def _selects(rule: PolicyRule, packet: Packet, host: Host) -> bool | None:
    if rule.vrf:
        link = host.links.get(packet.iif)
        master = host.links.get(link.master) if link is not None and link.master else None
        return None if master is not None and master.kind == "vrf" else False
    sure: bool | None = True
    for one in _tests(rule, packet):
        if one is False:
            return rule.inverted
        if one is None:
            sure = None
    return None if sure is None else not rule.inverted


def _tests(rule: PolicyRule, packet: Packet) -> Iterable[bool | None]:
    yield not (packet.source ^ rule.source) & _MASKS[rule.source_length]
    yield not (packet.destination ^ rule.destination) & _MASKS[rule.destination_length]
    yield not rule.iif or rule.iif == packet.iif
    yield not rule.oif  # what is forwarded belongs to no socket that could be bound to a link
    if rule.mask:
        yield None if packet.mark is None else not (packet.mark ^ rule.mark) & rule.mask
    yield not rule.tos
    yield not rule.protocol or rule.protocol == packet.protocol
    if packet.protocol == 1 and (rule.sports or rule.dports):
        yield False
    yield rule.sports is None or rule.sports[0] <= packet.sport <= rule.sports[1]
    yield rule.dports is None or rule.dports[0] <= packet.dport <= rule.dports[1]
    if rule.user:
        yield None


def in_table(host: Host, table: int, packet: Packet) -> TableRoute | None:
    """The route that one table has for a packet; None if it has none."""
    best: TableRoute | None = None
    for route in host.tables.get(table, ()):
        if (packet.destination ^ route.destination) & _MASKS[route.length] or route.tos:
            continue
        if best is not None and (route.length, -route.metric) <= (best.length, -best.metric):
            continue
        if route.hops and not _alive(host, route):
            continue
        best = route
    return best


def _alive(host: Host, route: TableRoute) -> tuple[Hop, ...]:
    ignored = host.settings.get(_IGNORE_LINKDOWN, "0") not in {"", "0"}
    return tuple(hop for hop in route.hops if not hop.dead and not (hop.no_carrier and ignored))


def _suppressed(rule: PolicyRule, route: TableRoute, hops: tuple[Hop, ...], host: Host) -> bool:
    if route.length <= rule.suppress_length:
        return True
    if rule.suppress_group < 0 or not hops:
        return False
    link = host.links.get(hops[0].link)
    return link is not None and link.group == rule.suppress_group
