"""
Rules of iptables, as `iptables-save` prints them: taken apart, and compared with a packet.

Three answers: it matches, it does not, or that can't be told (a set, a limit, a time of day, an extension nobody knows
here). Nobody is blamed for what can't be told.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from nsctl.engine.reach.model import Host, Packet, number
from nsctl.engine.reach.routing import is_local, way_back

__all__ = ["Rule", "matches", "parsed", "prefix"]

TCP, UDP, ICMP = 6, 17, 1
_PROTOCOLS = {"all": 0, "icmp": ICMP, "tcp": TCP, "udp": UDP, "udplite": 136, "sctp": 132, "dccp": 33, "esp": 50}
_PROTOCOLS |= {"ah": 51, "gre": 47, "ipv6": 41, "ipv6-icmp": 58, "icmpv6": 58, "igmp": 2, "ospf": 89, "vrrp": 112}
_FULL = 32
_RPFILTER = "rpfilter"


class Test(NamedTuple):
    """
    One condition of a rule.

    Args:
        module: The match it belongs to (`conntrack`), empty for what needs none.
        option: `--ctstate`; empty where the match alone says it.
        values: What follows it.
        negated: Whether `!` stands before it.
    """

    module: str
    option: str
    values: tuple[str, ...] = ()
    negated: bool = False


class Rule(NamedTuple):
    """
    A rule: what it is for, and what it does.

    Args:
        tests: All of them have to match.
        target: What follows `-j` or `-g`; empty for a rule that only counts.
        arguments: The target's options.
        goto: It was `-g`: what returns from the chain goes on where this one would.
    """

    tests: tuple[Test, ...]
    target: str
    arguments: tuple[str, ...] = ()
    goto: bool = False


@lru_cache(maxsize=4096)
def parsed(words: tuple[str, ...]) -> Rule:
    """A rule from the words that follow `-A CHAIN`."""
    tests: list[Test] = []
    module, negated = "", False
    at, end = 0, len(words)
    while at < end:
        word = words[at]
        at += 1
        if word == "!":
            negated = True
        elif word in {"-j", "-g", "--jump", "--goto"}:
            target = words[at] if at < end else ""
            return Rule(_joined(tests), target, words[at + 1 :], goto=word in {"-g", "--goto"})
        elif word in {"-m", "--match"}:
            module = words[at] if at < end else ""
            at += 1
            tests.append(Test(module, ""))
        else:
            first = at
            at += 1 if word == "--comment" else 0  # it may look like anything, and is one word
            while word != "--comment" and at < end and not _begins_an_option(words[at]):
                at += 1
            tests.append(Test(module if word.startswith("--") else "", word, words[first:at], negated))
            negated = False
    return Rule(_joined(tests), "")


def _joined(tests: list[Test]) -> tuple[Test, ...]:
    # `--invert` of rpfilter is about all of it.
    options = tuple(test.option for test in tests if test.module == _RPFILTER and test.option)
    rest = [test for test in tests if test.module != _RPFILTER]
    if len(rest) < len(tests):
        rest.append(Test(_RPFILTER, "", tuple(o for o in options if o != "--invert"), "--invert" in options))
    return tuple(rest)


def _begins_an_option(word: str) -> bool:
    return word == "!" or (word.startswith("-") and len(word) > 1)


def matches(rule: Rule, packet: Packet, host: Host) -> bool | None:
    """Whether a packet matches all of a rule's conditions; None where that can't be told."""
    sure: bool | None = True
    for test in rule.tests:
        found = _matches(test, packet, host)
        if found is None:
            sure = None
        elif found == test.negated:
            return False
    return sure


def prefix(value: str) -> tuple[int, int]:
    """`10.0.3.0/24`, `10.0.3.0/255.255.255.0` or `10.0.3.2` as an address and a mask."""
    address, _, mask = value.partition("/")
    if not mask:
        return number(address), (1 << _FULL) - 1
    if "." in mask:
        return number(address), number(mask)
    return number(address), (1 << _FULL) - (1 << (_FULL - int(mask)))


def _matches(test: Test, packet: Packet, host: Host) -> bool | None:
    find = _TESTS.get((test.module, test.option))
    if find is None:
        # That a match is loaded says nothing by itself, but for those that have no options.
        return (True if test.module in _WITH_OPTIONS else None) if not test.option else None
    try:
        return find(test.values, packet, host)
    except (ValueError, IndexError):
        return None


def _in(value: str, address: int) -> bool:
    base, mask = prefix(value)
    return not (base ^ address) & mask


def _link(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


def _protocol(values: tuple[str, ...], packet: Packet, _: Host) -> bool | None:
    wanted = _PROTOCOLS.get(values[0])
    if wanted is None:
        wanted = int(values[0]) if values[0].isdigit() else -1
    if wanted < 0:
        return None
    return wanted in {0, packet.protocol}


def _port(text: str, port: int) -> bool:
    low, colon, high = text.partition(":")
    return int(low or 0) <= port <= (int(high or 65535) if colon else int(low))


def _ports(which: str) -> Callable[[tuple[str, ...], Packet, Host], bool | None]:
    def test(values: tuple[str, ...], packet: Packet, _: Host) -> bool | None:
        if packet.protocol == ICMP:
            return False
        ports = {"s": (packet.sport,), "d": (packet.dport,), "": (packet.sport, packet.dport)}[which]
        return any(_port(one, port) for one in values[0].split(",") for port in ports)

    return test


def _icmp_type(values: tuple[str, ...], packet: Packet, _: Host) -> bool | None:
    kind = values[0].partition("/")[0]
    names = {"any": -1, "255": -1, "echo-request": 8, "ping": 8, "echo-reply": 0, "pong": 0}
    wanted = names.get(kind)
    if wanted is None:
        wanted = int(kind)  # a name that is not in the list: it can't be told
    return packet.protocol == ICMP and wanted in {-1, packet.dport}


def _flags(values: tuple[str, ...], packet: Packet, _: Host) -> bool | None:
    if packet.protocol != TCP:
        return False
    every = "FIN,SYN,RST,PSH,ACK,URG"
    seen = {"SYN", "ACK"} if packet.answer else {"SYN"}
    mask = set((every if values[0] == "ALL" else values[0]).split(","))
    wanted = set() if values[1] == "NONE" else set((every if values[1] == "ALL" else values[1]).split(","))
    return seen & mask == wanted


def _syn(_: tuple[str, ...], packet: Packet, __: Host) -> bool | None:
    return packet.protocol == TCP and not packet.answer


def _state(values: tuple[str, ...], packet: Packet, _: Host) -> bool | None:
    wanted = set(values[0].split(","))
    return packet.state in wanted or ("SNAT" in wanted and packet.translated)


def _direction(values: tuple[str, ...], packet: Packet, _: Host) -> bool | None:
    return packet.state != "UNTRACKED" and (values[0] == "REPLY") == packet.answer


def _mark(values: tuple[str, ...], packet: Packet, _: Host) -> bool | None:
    return _marked(values, packet.mark)


def _connmark(values: tuple[str, ...], packet: Packet, _: Host) -> bool | None:
    return False if packet.state == "UNTRACKED" else _marked(values, packet.connmark)


def _marked(values: tuple[str, ...], mark: int | None) -> bool | None:
    value, _, mask = values[0].partition("/")
    return None if mark is None else not (mark ^ int(value, 0)) & (int(mask, 0) if mask else 0xFFFFFFFF)


def _address_type(which: str) -> Callable[[tuple[str, ...], Packet, Host], bool | None]:
    def test(values: tuple[str, ...], packet: Packet, host: Host) -> bool | None:
        found = "LOCAL" if is_local(host, packet.source if which == "s" else packet.destination) else "UNICAST"
        return found in values[0].split(",")

    return test


def _range(which: str) -> Callable[[tuple[str, ...], Packet, Host], bool | None]:
    def test(values: tuple[str, ...], packet: Packet, _host: Host) -> bool | None:
        low, _, high = values[0].partition("-")
        return number(low) <= (packet.source if which == "s" else packet.destination) <= number(high or low)

    return test


def _rpfilter(values: tuple[str, ...], packet: Packet, host: Host) -> bool | None:
    if values:  # --loose, --validmark, --accept-local
        return None
    way = way_back(host, packet._replace(mark=0))
    return way.kind == "unicast" and any(hop.link == packet.iif for hop in way.hops) if way.sure else None


def _always(_: tuple[str, ...], __: Packet, ___: Host) -> bool | None:
    return True


def _never(_: tuple[str, ...], __: Packet, ___: Host) -> bool | None:
    return False


_Find = Callable[[tuple[str, ...], Packet, Host], "bool | None"]
_TESTS: dict[tuple[str, str], _Find] = {
    ("", "-s"): lambda v, p, _: any(_in(one, p.source) for one in v[0].split(",")),
    ("", "-d"): lambda v, p, _: any(_in(one, p.destination) for one in v[0].split(",")),
    ("", "-i"): lambda v, p, _: _link(v[0], p.iif),
    ("", "-o"): lambda v, p, _: _link(v[0], p.oif),
    ("", "-p"): _protocol,
    ("", "-f"): _never,
    ("comment", "--comment"): _always,
    ("nfacct", "--nfacct-name"): _always,
    ("tcp", "--sport"): _ports("s"),
    ("tcp", "--dport"): _ports("d"),
    ("udp", "--sport"): _ports("s"),
    ("udp", "--dport"): _ports("d"),
    ("tcp", "--tcp-flags"): _flags,
    ("tcp", "--syn"): _syn,
    ("multiport", "--sports"): _ports("s"),
    ("multiport", "--dports"): _ports("d"),
    ("multiport", "--ports"): _ports(""),
    ("icmp", "--icmp-type"): _icmp_type,
    ("conntrack", "--ctstate"): _state,
    ("conntrack", "--ctdir"): _direction,
    ("conntrack", "--ctorigsrc"): lambda v, p, _: p.state != "UNTRACKED" and _in(v[0], p.origin[0]),
    ("conntrack", "--ctorigdst"): lambda v, p, _: p.state != "UNTRACKED" and _in(v[0], p.origin[1]),
    ("state", "--state"): _state,
    ("mark", "--mark"): _mark,
    ("connmark", "--mark"): _connmark,
    ("addrtype", "--src-type"): _address_type("s"),
    ("addrtype", "--dst-type"): _address_type("d"),
    ("iprange", "--src-range"): _range("s"),
    ("iprange", "--dst-range"): _range("d"),
    ("pkttype", "--pkt-type"): lambda v, _p, _h: v[0] == "unicast",
    ("physdev", "--physdev-is-bridged"): _never,  # what the host routes is not bridged
    (_RPFILTER, ""): _rpfilter,
}
_WITH_OPTIONS = frozenset({module for module, option in _TESTS if option}) | {
    *("set", "limit", "hashlimit", "recent", "time", "string", "statistic", "owner", "mac", "ttl", "tos", "dscp"),
    *("length", "policy", "devgroup", "connlimit", "connbytes", "helper", "u32", "bpf", "cgroup", "geoip", "quota"),
}
"""Matches of which the options say what is asked for; one that is loaded without options matches all."""
