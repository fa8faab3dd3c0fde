"""A packet's way through a host and its answer's way back: hooks, routes and settings in the kernel's order."""

from __future__ import annotations

from typing import NamedTuple

from nsctl.engine.reach.blame import (
    by_chain,
    by_forwarding,
    by_link,
    by_route,
    by_source_check,
    by_untracked,
    described_route,
    described_rule,
)
from nsctl.engine.reach.chains import UNTRACKED, through
from nsctl.engine.reach.model import DESTINATION_NAT, MAIN, SOURCE_NAT, Cause, Host, Packet, text
from nsctl.engine.reach.routing import Way, addresses_of, in_table, lookup, way_back

__all__ = ["Trace", "trace"]

_RAW, _FILTER = ("raw", "mangle"), ("mangle", "filter", "security")
_STRICT = 1
_TRANSLATES = {"prerouting": DESTINATION_NAT, "postrouting": SOURCE_NAT}
_REPAIR = "nsctl repair puts the subnet's route back"
_SOURCE_NAT = frozenset({"MASQUERADE", "SNAT", "NETMAP"})


class Trace(NamedTuple):
    """
    What becomes of a packet and its answer.

    Args:
        causes: Why it does not get through; none if it does.
        doubts: What could not be told, and may keep it.
        oif: The link it leaves by; empty where it is for the host itself, or does not get that far.
    """

    causes: tuple[Cause, ...] = ()
    doubts: tuple[str, ...] = ()
    oif: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether it gets there and the answer back; None where that can't be told."""
        return False if self.causes else None if self.doubts else True


def trace(host: Host, packet: Packet, *, translated: bool = False) -> Trace:
    """
    Send a packet that comes in by `packet.iif` to its destination, and the answer back.

    After a first cause the walk goes on as if it were not there, so that all causes are found.

    Args:
        host: The host.
        packet: The packet.
        translated: Its source means nothing to others: it has to leave with an address of the host's.
    """
    first = _Journey(host, [], list(host.unseen))
    packet = packet._replace(origin=(packet.source, packet.destination))
    if not first.link(packet.iif, "the link", carrier=False):  # the packet is taken to have come in
        return first.told()
    about = f"what comes from {packet.iif}"
    packet = first.prerouting(packet, about)
    way = lookup(host, packet)
    if not way.sure:
        first.doubts.append("a routing rule asks for what can't be told here: see ip rule")
    if way.kind == "local":
        first.source(packet, about)
        first.chains(_FILTER, "INPUT", packet, about)
        return first.told()
    first.forwards(packet.iif)
    if way.kind != "unicast" or not way.hops:
        first.causes.append(by_route(way, f"from {text(packet.source)} to {text(packet.destination)}"))
        return first.told()
    ends = [_beyond(host, packet, hop.link, about, translated=translated) for hop in way.hops]
    return _joined(first, ends)


def _joined(first: _Journey, ends: list[Trace]) -> Trace:
    # Of several next hops the kernel takes any: what holds for one alone is a doubt.
    causes, doubts = list(first.causes), list(first.doubts)
    lost = [end for end in ends if end.causes]
    for end in lost:
        if len(lost) == len(ends):
            causes += end.causes
        else:
            doubts += [cause.what for cause in end.causes]
    for end in ends:
        doubts += end.doubts
    merged = _Journey(first.host, causes, doubts)
    return merged.told(oif=ends[0].oif)


def _beyond(host: Host, packet: Packet, oif: str, about: str, *, translated: bool) -> Trace:
    go = _Journey(host, [], [])
    go.source(packet, about, oif)
    if not go.link(oif, "the uplink"):
        return go.told(oif=oif)
    packet = go.chains(_FILTER, "FORWARD", packet._replace(oif=oif), about)
    packet = go.chains(("mangle",), "POSTROUTING", packet, about)
    outside = packet.source
    if translated:
        found = go.source_nat(packet)
        if found is None:
            return go.told(oif=oif)
        outside = found
    go.translated("postrouting", packet._replace(source=outside), about)
    answer = packet._replace(
        source=packet.destination,
        destination=outside,
        sport=packet.dport,
        dport=0 if packet.protocol == 1 else packet.sport,
        iif=oif,
        oif="",
        state="ESTABLISHED" if packet.state != UNTRACKED else packet.state,
        mark=0,
        answer=True,
        translated=translated,
    )
    go.answer(answer, packet.origin[0], packet.iif)
    return go.told(oif=oif)


class _Journey(NamedTuple):
    """A way, with what was found on it."""

    host: Host
    causes: list[Cause]
    doubts: list[str]

    def told(self, oif: str = "") -> Trace:
        """The result, each cause once: a rule may drop the packet and the answer."""
        causes = {(cause.kind, cause.name): cause for cause in reversed(self.causes)}
        return Trace(tuple(reversed(causes.values())), tuple(dict.fromkeys(self.doubts)), oif)

    def link(self, name: str, role: str, *, carrier: bool = True) -> bool:
        """Whether a link carries packets."""
        cause = by_link(self.host, name, role)
        if cause is not None and cause.kind == "carrier" and not carrier:
            return True
        if cause is not None:
            self.causes.append(cause)
        return cause is None

    def forwards(self, *names: str) -> None:
        """Whether the host forwards what comes in by these links."""
        cause = by_forwarding(self.host, list(names))
        if cause is not None:
            self.causes.append(cause)

    def prerouting(self, packet: Packet, about: str) -> Packet:
        """The hooks that every packet passes before it is routed."""
        packet = self.chains(_RAW, "PREROUTING", packet, about)
        if packet.state == "NEW":
            packet = self.chains(("nat",), "PREROUTING", packet, about)
        return self.translated("prerouting", packet, about)

    def source(self, packet: Packet, about: str, onward: str = "lo") -> None:
        """Source validation, as fib_validate_source does it once the packet is routed."""
        host, link = self.host, self.host.links[packet.iif]
        checked = max(int(host.settings.get("net/ipv4/conf/all/rp_filter", "0") or 0), link.rp_filter)
        if not checked:
            return
        way = way_back(host, packet, onward)
        if way.kind == "unicast" and (checked != _STRICT or any(hop.link == packet.iif for hop in way.hops)):
            return
        if not way.sure:
            self.doubts.append(f"rp_filter of {packet.iif} may drop {about}")
            return
        self.causes.append(by_source_check(host, packet.iif, way, about, packet.source))

    def chains(self, tables: tuple[str, ...], builtin: str, packet: Packet, about: str) -> Packet:
        """The chains of a hook, those of other tables of nftables behind them."""
        for rules in self.host.rulesets:
            for table in tables:
                passage = through(rules, table, builtin, packet, self.host)
                cause = by_chain(passage, rules, self.host, about)
                if cause is not None:
                    self.causes.append(cause)
                elif passage.blocked is None and passage.ends:
                    self.doubts.append(_doubt(passage.ends[0].words, builtin, table))
                if passage.untracked is not None:
                    self.causes.append(by_untracked(passage.untracked, about))
                packet = passage.packet
        return packet if tables == ("nat",) else self._foreign(builtin.lower(), packet, about, late=False)

    def translated(self, hook: str, packet: Packet, about: str) -> Packet:
        """The chains of other tables of nftables that see a packet with its new addresses."""
        return self._foreign(hook, packet, about, late=True)

    def _foreign(self, hook: str, packet: Packet, about: str, *, late: bool) -> Packet:
        translates = _TRANSLATES.get(hook)
        for chain in self.host.base_chains:
            behind = translates is not None and chain.priority > translates
            if chain.hook != hook or behind != late:
                continue
            verdict, by, packet = chain.judge(packet)
            if verdict == "drop" and chain.priority == translates:
                verdict = None  # which of the two comes first is for the order in which they were made
            if verdict == "drop":
                what = f"{by} of the nftables chain '{chain.name}' drops {about}"
                way = (
                    f"iifname {packet.iif}"
                    if not packet.answer
                    else f"oifname {packet.oif} ct state established,related"
                )
                hint = f"let it pass: nft insert rule {chain.name} {way} accept"
                if chain.owner != "the host":
                    hint = f"see: nft list chain {chain.name}"
                self.causes.append(Cause("nft chain", what, chain.name, chain.owner, hint))
            elif verdict is None:
                self.doubts.append(f"the nftables chain '{chain.name}' may drop {about}")
        return packet

    def source_nat(self, packet: Packet) -> int | None:
        """The address that a packet leaves with; None where it is its own still, or that can't be told."""
        if packet.state == UNTRACKED:  # the rule that does this is blamed
            return None
        own = addresses_of(self.host, packet.oif)
        for rules in self.host.rulesets:
            ends = through(rules, "nat", "POSTROUTING", packet, self.host).ends
            found = {end.verdict in _SOURCE_NAT for end in ends}
            if found == {True}:
                if not own:
                    what = f"the uplink {packet.oif} has no address that {text(packet.source)} could go out with"
                    self.causes.append(Cause("address", what, packet.oif, hint=f"see: ip address show {packet.oif}"))
                    return None
                return own[0]
            if len(found) > 1:
                self.doubts.append(f"whether {text(packet.source)} leaves with the host's address can't be told")
                return own[0] if own else None
        if not self.host.rulesets and self.host.unseen:
            return own[0] if own else None
        what = f"nothing gives what comes from {text(packet.source)} the host's address when it leaves by {packet.oif}"
        self.causes.append(Cause("masquerade", what, "nat POSTROUTING", "nsctl", "nsctl repair puts it back"))
        return None

    def answer(self, packet: Packet, sandbox: int, bridge: str) -> None:
        """The way back, to the one who began."""
        host, about = self.host, f"the answers that come in by {packet.iif}"
        packet = self.chains(_RAW, "PREROUTING", packet, about)
        if packet.state == UNTRACKED and packet.translated:
            return  # it is for the host's own address still, and ends here: the rule is blamed already
        packet = self.translated("prerouting", packet._replace(destination=sandbox), about)
        self.forwards(packet.iif)
        way = lookup(host, packet)
        if way.kind != "unicast" or not way.hops:
            self.causes.append(by_route(way, f"back to {text(sandbox)}"))
            return
        if all(hop.link != bridge for hop in way.hops):
            self.causes.append(_elsewhere(host, way, packet, bridge))
            return
        self.source(packet, about, bridge)
        packet = self.chains(_FILTER, "FORWARD", packet._replace(oif=bridge), about)
        packet = self.chains(("mangle",), "POSTROUTING", packet, about)
        self.translated("postrouting", packet, about)


def _elsewhere(host: Host, way: Way, packet: Packet, bridge: str) -> Cause:
    sandbox, rule = text(packet.destination), way.rule
    shown = described_route(way.route) if way.route is not None else "?"
    what = f"answers to {sandbox} do not go to {bridge}: the route is {shown}"
    main = in_table(host, MAIN, packet)
    if main is not None and rule is not None and all(hop.link == bridge for hop in main.hops):  # a VPN's, mostly
        first = f"ip rule add to {text(main.destination)}/{main.length} lookup main priority {rule.priority - 1}"
        hint = first if rule.priority > 1 else "see: ip rule"
        return Cause("routing rule", f"{what}, by the rule {described_rule(rule)}", shown, hint=hint)
    there = any(hop.link == bridge for route in host.tables.get(MAIN, ()) for hop in route.hops)
    return Cause("route", what, shown, hint=f"see: ip route get {sandbox}" if there else _REPAIR)


def _doubt(words: tuple[str, ...], builtin: str, table: str) -> str:
    shown = f": {' '.join(words)}" if words else ""
    return f"whether a rule in {builtin} ({table} table) matches can't be told{shown}"
