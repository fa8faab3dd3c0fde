"""
What of a host decides where a packet goes.

Addresses are numbers here, and prefixes a number with a length: thousands of routes are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

__all__ = [
    "DEFAULT",
    "DESTINATION_NAT",
    "LOCAL",
    "MAIN",
    "SOURCE_NAT",
    "BaseChain",
    "Cause",
    "Device",
    "Hop",
    "Host",
    "Packet",
    "PolicyRule",
    "Ruleset",
    "TableRoute",
    "number",
    "text",
]

LOCAL, MAIN, DEFAULT = 255, 254, 253
"""The routing tables that every network namespace begins with."""
DESTINATION_NAT, SOURCE_NAT = -100, 100
"""The priorities at which addresses are translated, in prerouting and in postrouting (netfilter_ipv4.h)."""


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
    """An IPv4 address as a number."""
    one, two, three, four = address.split(".")
    return int(one) << 24 | int(two) << 16 | int(three) << 8 | int(four)


def text(address: int) -> str:
    """The IPv4 address of a number."""
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


class Device(NamedTuple):
    """
    A link of the host's, as far as packets depend on it.

    Args:
        name: Its name.
        up: Whether it is administratively up.
        carrier: Whether there is anybody at the other end (IFF_LOWER_UP).
        kind: What `ip -d link` shows (`bridge`, `veth`, …).
        master: The name of the link it is a port of.
        group: Its netdevice group.
        disabled: It is a port of a bridge that forwards nothing by it (state `disabled`, `blocking` or `listening`).
        forwarding: What its setting of that name says; None where it has none.
        rp_filter: Likewise.
        source_mark: Whether the firewall mark counts where the way back to a source is looked up (`src_valid_mark`).
    """

    name: str
    up: bool = True
    carrier: bool = True
    kind: str = ""
    master: str | None = None
    group: int = 0
    disabled: bool = False
    forwarding: bool | None = None
    rp_filter: int = 0
    source_mark: bool = False


class Ruleset(Protocol):
    """The packet filter of one back end of iptables."""

    @property
    def backend(self) -> str:
        """`nft` or `legacy`."""

    def chain(self, table: str, chain: str) -> Sequence[tuple[str, ...]] | None:
        """The rules of a chain, each as the words that follow `-A CHAIN`; None where there is no such chain."""

    def chains(self) -> Iterable[tuple[str, str]]:
        """The chains there are, each with its table first."""

    def policy(self, table: str, chain: str) -> str:
        """The policy of a built-in chain, `-` for any other."""


class BaseChain(NamedTuple):
    """
    A base chain of nftables that is not iptables's.

    Args:
        name: `inet filter forward`.
        hook: `prerouting`, `forward`, …
        owner: Whose it is, as far as that can be told (`firewalld`).
        priority: Its place in the hook: the addresses are translated at `SOURCE_NAT`, or `DESTINATION_NAT`.
        judge: What becomes of a packet in it: `accept`, `drop`, or None where that can't be told; the rule, or the
            policy, by which it does; and the packet as it may be afterwards.
    """

    name: str
    hook: str
    owner: str
    priority: int
    judge: Callable[[Packet], tuple[str | None, str, Packet]]


class Host(NamedTuple):
    """
    A network namespace that forwards, as it was read.

    Args:
        links: Its links by name; may be read when asked for.
        rules: Its routing rules, by priority.
        tables: Its routes by table.
        settings: Other sysctls by key (`net/ipv4/conf/all/rp_filter`); a missing one counts as 0.
        rulesets: The packet filters in use.
        base_chains: The base chains of nftables that are not iptables's.
        own: The sysctls that nsctl set, by key: `repair` puts these back.
        unseen: What could not be read, and why; for people.
    """

    links: Mapping[str, Device]
    rules: Sequence[PolicyRule]
    tables: Mapping[int, Sequence[TableRoute]]
    settings: Mapping[str, str] = MappingProxyType({})
    rulesets: Sequence[Ruleset] = ()
    base_chains: Sequence[BaseChain] = ()
    own: Collection[str] = ()
    unseen: tuple[str, ...] = ()


class Packet(NamedTuple):
    """
    A packet at one place on its way.

    Args:
        source, destination: Addresses.
        protocol: The IP protocol's number: 1, 6 or 17.
        sport, dport: Ports; the ICMP type stands in `dport`.
        iif, oif: The links it came in by and goes out by; empty where there is none (yet).
        state: What connection tracking says: `NEW`, `ESTABLISHED` or `UNTRACKED`.
        mark, connmark: The firewall mark, and the connection's; None where that can't be told.
        answer: It goes back to who began.
        origin: Source and destination of the first packet, before any translation.
        translated: The source of the first packet was translated.
    """

    source: int
    destination: int
    protocol: int = 6
    sport: int = 40000
    dport: int = 443
    iif: str = ""
    oif: str = ""
    state: str = "NEW"
    mark: int | None = 0
    connmark: int | None = 0
    answer: bool = False
    origin: tuple[int, int] = (0, 0)
    translated: bool = False


class Cause(NamedTuple):
    """
    Why a packet does not get through.

    Args:
        kind: `rule`, `policy`, `chain`, `route`, `routing rule`, `link`, `address`, `setting`, `masquerade` or `host`.
        what: A clause for people, with the thing to blame in it.
        name: The thing itself: a rule's words, a setting's key, a link's name.
        whose: `nsctl`, `ufw`, `docker`, …, or `the host`.
        hint: What to do about it.
    """

    kind: str
    what: str
    name: str
    whose: str = "the host"
    hint: str = ""
