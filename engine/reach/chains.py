"""
What becomes of a packet in the chains of a packet filter.

A rule of which it can't be told whether it matches leaves several ends open; only where all of them are the same is it
said what becomes of the packet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from nsctl.engine.reach.model import Host, Packet, Ruleset, number
from nsctl.engine.reach.rules import Rule, matches, parsed

__all__ = ["DROPPING", "UNTRACKED", "End", "Passage", "through"]

_DEEPEST = 64
_TERMINAL = frozenset("ACCEPT DROP REJECT QUEUE NFQUEUE MASQUERADE SNAT DNAT REDIRECT NETMAP".split())
_GOING_ON = frozenset(
    "AUDIT CHECKSUM CLASSIFY CONNSECMARK CT DSCP ECN HMARK IDLETIMER LED LOG NFLOG NOTRACK RATEEST SECMARK SET TCPMSS"
    " TCPOPTSTRIP TEE TOS TRACE TTL ULOG MARK CONNMARK".split()
)
DROPPING = frozenset({"DROP", "REJECT"})
UNTRACKED = "UNTRACKED"


class End(NamedTuple):
    """
    Where a packet's way through a chain may end.

    Args:
        verdict: The target: `ACCEPT`, `DROP`, `REJECT`, `MASQUERADE`, …; `UNKNOWN` for an extension's.
        table: The table.
        chains: From the built-in chain to the one that holds the rule.
        number: The rule's place in its chain, counted from 1; 0 for the policy.
        words: The rule's words; none for the policy.
        backend: The back end of iptables.
        rule: The rule, taken apart.
    """

    verdict: str
    table: str
    chains: tuple[str, ...]
    number: int = 0
    words: tuple[str, ...] = ()
    backend: str = ""
    rule: Rule | None = None


class Passage(NamedTuple):
    """
    What becomes of a packet in a built-in chain.

    Args:
        ends: Where its way may end, in the order of the rules.
        packet: The packet afterwards, if it passes: marked, not tracked, with another destination.
        untracked: The rule that takes it out of connection tracking, where one surely does.
        visited: The chains that it surely went through.
    """

    ends: tuple[End, ...]
    packet: Packet
    untracked: End | None = None
    visited: frozenset[str] = frozenset()

    @property
    def blocked(self) -> bool | None:
        """Whether it is dropped; None where that can't be told."""
        found = {end.verdict in DROPPING for end in self.ends}
        if any(end.verdict in {"UNKNOWN", "QUEUE", "NFQUEUE"} for end in self.ends):
            return None
        return found.pop() if len(found) == 1 else None


def through(rules: Ruleset, table: str, builtin: str, packet: Packet, host: Host) -> Passage:
    """Send a packet through a built-in chain."""
    if rules.chain(table, builtin) is None:
        return Passage((), packet)
    ends: list[End] = []
    untracked: list[End] = []
    visited: set[str] = set()
    after = _Walk(rules, table, host, ends, untracked, visited).go((builtin,), packet)
    if after is not None:
        ends.append(End(rules.policy(table, builtin), table, (builtin,), backend=rules.backend))
        packet = after
    elif len(ends) == 1:
        packet = _translated(ends[0], packet)
    first = untracked[0] if untracked and packet.state == UNTRACKED else None
    return Passage(tuple(ends), packet, first, frozenset(visited))


class _Walk(NamedTuple):
    """
    One packet's way through the chains of a table.

    Args:
        rules: The packet filter.
        table: The table.
        host: The host.
        ends: Grows by the places where the way may end.
        untracked: Grows by the rules that take the packet out of connection tracking.
        visited: Grows by the chains that are walked through to their end.
    """

    rules: Ruleset
    table: str
    host: Host
    ends: list[End]
    untracked: list[End]
    visited: set[str]

    def go(self, chains: tuple[str, ...], packet: Packet) -> Packet | None:
        """Walk through the last of these chains; the packet, if it may come out at its end."""
        returned: Packet | None = None
        for place, words in enumerate(self.rules.chain(self.table, chains[-1]) or (), 1):
            rule = parsed(words)
            matched = matches(rule, packet, self.host)
            target = rule.target
            if matched is False or not target:
                continue
            here = End(target, self.table, chains, place, words, self.rules.backend, rule)
            if target == "RETURN":
                returned = packet
                if matched:
                    return returned
            elif target in _GOING_ON:
                changed = _changed(rule, packet)
                if matched and changed.state == UNTRACKED:
                    self.untracked.append(here)
                packet = changed if matched else _either(packet, changed)
            elif target not in _TERMINAL and self.rules.chain(self.table, target) is not None:
                after = self.go((*chains, target), packet) if len(chains) < _DEEPEST else None
                if matched and after is not None:
                    self.visited.add(target)
                if matched and (after is None or rule.goto):
                    return _maybe(returned, after)
                packet = after if matched and after is not None else _either(packet, after or packet)
            else:
                known = target in _TERMINAL
                self.ends.append(here if known else here._replace(verdict="UNKNOWN"))
                if matched and known:
                    return returned
        return _maybe(returned, packet)


def _maybe(one: Packet | None, other: Packet | None) -> Packet | None:
    return _either(one, other) if one is not None and other is not None else one if other is None else other


def _either(one: Packet, other: Packet) -> Packet:
    if one == other:
        return one
    return one._replace(
        state=one.state if one.state == other.state else "NEW",
        mark=one.mark if one.mark == other.mark else None,
        connmark=one.connmark if one.connmark == other.connmark else None,
    )


def _changed(rule: Rule, packet: Packet) -> Packet:
    options = rule.arguments
    if rule.target == "NOTRACK" or (rule.target == "CT" and "--notrack" in options):
        return packet._replace(state=UNTRACKED)
    if rule.target == "MARK":
        return packet._replace(mark=_set(options, packet.mark))
    if rule.target == "CONNMARK":
        if "--restore-mark" in options:
            return packet._replace(mark=packet.connmark if len(options) == 1 or _whole(options) else None)
        if "--save-mark" in options:
            return packet._replace(connmark=packet.mark if len(options) == 1 or _whole(options) else None)
        return packet._replace(connmark=_set(options, packet.connmark))
    return packet


def _whole(options: tuple[str, ...]) -> bool:
    masks = {value for option, value in pairwise(options) if option in {"--nfmask", "--ctmask"}}
    return masks <= {"0xffffffff"}


def _set(options: tuple[str, ...], mark: int | None) -> int | None:
    # `--set-xmark V/M`: the bits of M are cleared, then V is xor'ed in; with all bits in M it is set.
    if options[:1] not in {("--set-xmark",), ("--set-mark",)} or len(options) < 2:  # noqa: PLR2004 - and its value
        return None
    value, _, mask = options[1].partition("/")
    cleared = int(mask or "0xffffffff", 0)
    if cleared & 0xFFFFFFFF == 0xFFFFFFFF:  # noqa: PLR2004 - all of its bits
        return int(value, 0)
    if mark is None:
        return None
    return (mark & ~cleared) ^ int(value, 0) if options[0] == "--set-xmark" else (mark & ~cleared) | int(value, 0)


def _translated(end: End, packet: Packet) -> Packet:
    if end.verdict == "DNAT" and end.rule is not None and end.rule.arguments[:1] == ("--to-destination",):
        address, _, port = end.rule.arguments[1].partition("-")[0].partition(":")
        try:
            return packet._replace(
                destination=number(address) if address else packet.destination,
                dport=int(port) if port else packet.dport,
            )
        except ValueError:
            return packet
    return packet
