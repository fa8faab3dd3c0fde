"""
The promise of a sandbox: is there a way out, and if not, what is to blame.

For each network the host is judged once, for each sandbox only what is its own: its cable, its address, its routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from nsctl.engine.kit.firewall import POSTROUTING
from nsctl.engine.kit.link import inner_end
from nsctl.engine.model.effects import AddrOn, LinkIs, RouteVia, RuleTagged
from nsctl.engine.model.plan import Step
from nsctl.engine.reach.blame import by_link, by_route
from nsctl.engine.reach.model import Cause, Host, Packet, number, text
from nsctl.engine.reach.routing import addresses_of, is_local, lookup
from nsctl.engine.reach.rules import parsed, prefix
from nsctl.engine.reach.trace import Trace, trace

__all__ = ["PROBES", "Promise", "Verdict", "judge", "outside", "promises_of"]

PROBES = {"tcp": (6, 443), "udp": (17, 53), "icmp": (1, 8)}
"""
What is tried: protocol and port, or ICMP type.

Where one of them gets out there is a way out: that others do not may be what the administrator wants.
"""
_CANDIDATES = ("1.1.1.1", "9.9.9.9", "8.8.8.8", "198.41.0.4")
"""Addresses out in the internet; no packet is ever sent to them."""
_HALF = 1
_ROUTES = frozenset({"route", "routing rule"})
_REPAIR = "nsctl repair puts it back"


class Promise(NamedTuple):
    """
    What a sandbox with a way out relies on.

    Args:
        netns: Its network namespace.
        link: The link inside that its default route leads by.
        address: Its address.
        length: The prefix length of its subnet.
        gateway: The gateway's address.
        bridge: The link of the host's that has this address; empty where the gateway is no address of the host's.
        end: The host's end of its cable; empty where it has none.
        translated: It goes out with the host's address.
    """

    netns: str
    link: str
    address: int
    length: int
    gateway: int
    bridge: str = ""
    end: str = ""
    translated: bool = False


class Verdict(NamedTuple):
    """
    Whether a sandbox has its way out.

    Args:
        reached: Whether it has; None where that can't be told.
        causes: What is to blame; those of kind `host` say that the host itself has no way out.
        doubts: What could not be told.
        protocols: The same for each of `PROBES`.
    """

    reached: bool | None
    causes: tuple[Cause, ...] = ()
    doubts: tuple[str, ...] = ()
    protocols: Mapping[str, bool | None] = {}

    @property
    def broken(self) -> tuple[Cause, ...]:
        """The causes that are not the host's own lack of a way out."""
        return tuple(cause for cause in self.causes if cause.kind != "host")


def promises_of(steps: Iterable[Step]) -> dict[str, Promise]:
    """The promises of these steps, by network namespace: a default route by a gateway is a way out."""
    routes: dict[str, RouteVia] = {}
    inside: dict[tuple[str, str], str] = {}
    gateways: dict[str, str] = {}
    ends: dict[tuple[str, str], str] = {}
    translated: set[str] = set()
    joined: set[str] = set()
    for step in steps:
        effect = step.effect
        if isinstance(effect, RouteVia) and effect.netns and effect.destination == "default" and effect.via:
            routes.setdefault(effect.netns, effect)
        elif isinstance(effect, AddrOn) and ":" not in effect.address:
            if effect.netns is not None:
                inside.setdefault((effect.netns, effect.link), effect.address)
            else:
                gateways.setdefault(effect.address.partition("/")[0], effect.link)
        elif isinstance(effect, LinkIs) and effect.netns is None and effect.master and (end := inner_end(step)):
            if end.netns:
                ends[(end.netns, end.name)] = effect.name
                if effect.master_index is not None:
                    joined.add(end.netns)
        elif isinstance(effect, RuleTagged) and effect.chain == POSTROUTING and effect.spec[:1] == ("-s",):
            translated.add(effect.spec[1])
    found = {}
    for netns, route in routes.items():
        address, _, length = inside.get((netns, route.link), "").partition("/")
        # Where a joined bridge leads is its administrator's affair: nothing was promised.
        if not address or route.via is None or ":" in route.via or netns in joined:
            continue
        bridge = gateways.get(route.via, "")
        subnets = (prefix(subnet) for subnet in translated)
        found[netns] = Promise(
            netns,
            route.link,
            number(address),
            int(length or 32),
            number(route.via),
            bridge,
            ends.get((netns, route.link), ""),
            any(not (number(address) ^ base) & mask for base, mask in subnets),
        )
    return found


def outside(host: Host) -> int:
    """An address that only the host's default route, if it has one, leads to."""
    for candidate in map(number, _CANDIDATES):
        way = lookup(host, Packet(0, candidate, iif="lo"))
        if way.route is None or way.route.length <= _HALF:
            return candidate
    return number(_CANDIDATES[0])


def judge(
    host: Host, promises: Iterable[Promise], insides: Mapping[str, Host | None], to: int | None = None
) -> dict[str, Verdict]:
    """
    Which of these promises are kept, by network namespace.

    Args:
        host: The host.
        promises: The promises.
        insides: The network namespaces, as far as they were looked at; None for one that is not there.
        to: The address outside; `outside`, if not given.
    """
    destination = outside(host) if to is None else to
    lacking = _lacking(host, destination)
    narrow = list(_narrow(host))
    known: dict[tuple[str, int, bool], dict[str, Trace]] = {}
    found = {}
    for promise in promises:
        base, mask = prefix(f"{text(promise.address)}/{promise.length}")
        alone = any(not (promise.address ^ a) & m for a, m in narrow if m & ~mask)
        key = (promise.bridge, promise.address if alone else base & mask, promise.translated)
        if key not in known:
            known[key] = _traces(host, promise, destination) if promise.bridge else {}
        own, unseen = _cable(host, promise), list[str]()
        if promise.netns in insides:
            if (inside := insides[promise.netns]) is not None:
                own = [*_inside(promise, inside, destination), *own]
            else:  # what runs in it may get out all the same
                unseen.append("its network namespace has no name in /run/netns by which it could be looked into")
        if any(cause.kind != "carrier" for cause in own):  # the other end has no carrier then
            own = [cause for cause in own if cause.kind != "carrier"]
        found[promise.netns] = _verdict(own, unseen, known[key], lacking if promise.bridge else None)
    return found


def _traces(host: Host, promise: Promise, destination: int) -> dict[str, Trace]:
    cause = _gateway(host, promise)
    if cause is not None:
        return dict.fromkeys(PROBES, Trace((cause,)))
    first = Packet(promise.address, destination, iif=promise.bridge)
    return {
        name: trace(host, first._replace(protocol=protocol, dport=port), translated=promise.translated)
        for name, (protocol, port) in PROBES.items()
    }


def _gateway(host: Host, promise: Promise) -> Cause | None:
    if promise.bridge not in host.links:
        return Cause("link", f"the bridge {promise.bridge} is not there", promise.bridge, "nsctl", _REPAIR)
    if not host.links[promise.bridge].up:
        return by_link(host, promise.bridge, "the bridge")
    if not is_local(host, promise.gateway):
        what = f"the gateway's address {text(promise.gateway)} is not on {promise.bridge}"
        return Cause("address", what, text(promise.gateway), "nsctl", _REPAIR)
    return None


def _verdict(own: list[Cause], unseen: list[str], traces: Mapping[str, Trace], lacking: Cause | None) -> Verdict:
    protocols = {
        name: False if own else None if unseen and one.reached else one.reached for name, one in traces.items()
    }
    causes = list(own)
    doubts = [*unseen, *(doubt for one in traces.values() for doubt in one.doubts)]
    if traces and all(one.reached is False for one in traces.values()):
        found = [cause for one in traces.values() for cause in one.causes]
        if lacking is not None:  # in place of what it comes to for the sandbox
            found = [cause for cause in found if cause.kind not in _ROUTES and cause.name != lacking.name]
            found.append(lacking)
        causes += found
    else:
        doubts += [f"{name}: {cause.what}" for name, one in traces.items() for cause in one.causes]
    unique = tuple({(cause.kind, cause.name): cause for cause in reversed(causes)}.values())[::-1]
    gets_out = not traces or any(one.reached for one in traces.values())
    reached = False if causes else True if gets_out and not unseen else None
    return Verdict(reached, unique, tuple(dict.fromkeys(doubts)), protocols)


def _lacking(host: Host, destination: int) -> Cause | None:
    # The host itself has no way out: the sandbox is not at fault, and nothing that nsctl made has changed.
    way = lookup(host, Packet(0, destination, iif="lo"))
    if not way.sure:
        return None
    if way.kind != "unicast":
        refused = way.kind not in {"none", "local"}
        what = by_route(way, "to the outside").what if refused else "the host has no default route"
        down = [name for name in host.links if not host.links[name].up] if not refused else []
        hint = f"down: {', '.join(sorted(down))}" if down else "see: ip route; ip rule"
        return Cause("host", what, "default", hint=hint)
    causes = [by_link(host, hop.link, "the host's uplink") for hop in way.hops]
    if causes and all(causes):
        first = next(cause for cause in causes if cause is not None)
        return first._replace(kind="host")
    return None


def _narrow(host: Host) -> Iterator[tuple[int, int]]:
    # The addresses that single rules are about: who has one of them is judged by itself.
    for rules in host.rulesets:
        for table, chain in rules.chains():
            for words in rules.chain(table, chain) or ():
                for test in parsed(words).tests:
                    if test.option in {"-s", "-d", "--ctorigsrc"}:
                        yield from (prefix(one) for one in test.values[0].split(","))
                    elif test.option in {"--src-range", "--dst-range"}:
                        low, _, high = test.values[0].partition("-")
                        span = number(low) ^ number(high or low)
                        yield number(low), ~((1 << span.bit_length()) - 1) & 0xFFFFFFFF
    for rule in host.rules:
        for address, length in ((rule.source, rule.source_length), (rule.destination, rule.destination_length)):
            if length:
                yield prefix(f"{text(address)}/{length}")


def _cable(host: Host, promise: Promise) -> list[Cause]:
    if not promise.end:
        return []
    cause = by_link(host, promise.end, "the host's end of its cable")
    if cause is not None and promise.bridge in host.links and not host.links[promise.bridge].up:
        return []  # then no port of it forwards
    if cause is None and promise.bridge and host.links[promise.end].master != promise.bridge:
        cause = Cause("link", f"{promise.end} is no port of {promise.bridge}", promise.end, "nsctl", _REPAIR)
    return [] if cause is None else [cause._replace(whose="nsctl", hint=_REPAIR)]


def _inside(promise: Promise, inside: Host, destination: int) -> list[Cause]:
    cause = by_link(inside, promise.link, "inside, the link")
    if cause is not None:  # no command for the host: it may have a link of that name, too
        cause = cause._replace(whose="nsctl", hint=_REPAIR)
    if cause is None and promise.address not in addresses_of(inside, promise.link):
        what = f"its address {text(promise.address)} is not on {promise.link} inside"
        cause = Cause("address", what, text(promise.address), "nsctl", _REPAIR)
    if cause is None:
        way = lookup(inside, Packet(promise.address, destination, iif="lo"))
        if way.kind == "none":
            cause = Cause("route", "there is no default route inside", "default", "nsctl", _REPAIR)
        elif way.kind != "unicast":
            cause = by_route(way, "out, inside")
    return [] if cause is None else [cause]
