"""
What of a host decides where a packet goes.

Addresses are numbers here, and prefixes a number with a length: thousands of routes are compared.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DEFAULT", "LOCAL", "MAIN", "Hop", "PolicyRule", "TableRoute", "number", "text"]

LOCAL, MAIN, DEFAULT = 255, 254, 253
"""The routing tables that every network namespace begins with."""


class Hop(NamedTuple):
    """
    A next hop.

    Args:
        link: The name of the link it is reached by; empty where the route names none.
        via: The gateway; None where the destination is on the link itself.
        no_carrier: The link has none (RTNH_F_LINKDOWN).
        dead: The link is down (RTNH_F_DEAD).
    """

    link: str
    via: str | None = None
    no_carrier: bool = False
    dead: bool = False


class TableRoute(NamedTuple):
    """
    An IPv4 route of whatever table.

    Args:
        table: The table's number.
        destination: The first address.
        length: The prefix length; 0 for a default route.
        kind: `unicast`, `local`, `broadcast`, `blackhole`, `unreachable`, `prohibit`, `throw`, …
        hops: The next hops; none for a route that only refuses.
        metric: Of several to the same destination the lowest counts.
        tos: The type of service it is for; 0 for any.
        mtu: Bytes, as `ip route … mtu N` has it; 0 where it has none.
        source: The address that the host itself uses on it.
    """

    table: int
    destination: int
    length: int
    kind: str = "unicast"
    hops: tuple[Hop, ...] = ()
    metric: int = 0
    tos: int = 0
    mtu: int = 0
    source: str | None = None


class PolicyRule(NamedTuple):
    """
    A routing rule (`ip rule`).

    Args:
        priority: Rules are asked from the lowest on.
        action: `table`, `goto`, `nop`, `blackhole`, `unreachable` or `prohibit`.
        table: The table to look into.
        target: The priority that `goto` leads to.
        inverted: It is for what the selectors do not match (`not`).
        source, source_length: The prefix that the source has to be in.
        destination, destination_length: The prefix that the destination has to be in.
        iif: The link that the packet has to come in by; `lo` for what the host itself sends.
        oif: The link that a socket has to be bound to.
        mark, mask: The firewall mark.
        tos: The type of service.
        protocol: The IP protocol's number; 0 for any.
        sports, dports: The ranges of ports; None for any.
        user: Whether it asks for the user, who is unknown of what is forwarded.
        suppress_length: A route with a prefix no longer than this does not count; -1 for none.
        suppress_group: Nor does one by a link of this group; -1 for none.
        vrf: It leads to the table of the VRF that the packet came in by.
    """

    priority: int
    action: str = "table"
    table: int = MAIN
    target: int = 0
    inverted: bool = False
    source: int = 0
    source_length: int = 0
    destination: int = 0
    destination_length: int = 0
    iif: str = ""
    oif: str = ""
    mark: int = 0
    mask: int = 0
    tos: int = 0
    protocol: int = 0
    sports: tuple[int, int] | None = None
    dports: tuple[int, int] | None = None
    user: bool = False
    suppress_length: int = -1
    suppress_group: int = -1
    vrf: bool = False


def number(address: str) -> int:
    """
    An IPv4 address as a number.
    """
    one, two, three, four = address.split(".")
    return int(one) << 24 | int(two) << 16 | int(three) << 8 | int(four)


def text(address: int) -> str:
    """
    The IPv4 address of a number.
    """
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
