"""
Base chains of nftables that are not iptables': an accept in one chain of a hook does not overrule a drop in another.

So what nsctl's rules let pass may be dropped there all the same, and nsctl can't add to them: they are somebody else's.
What becomes of a packet is worked out from the rules as `nft -j` prints them (libnftables-json(5)); what they ask that
can't be told counts as possible, not as certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nsctl.engine.reach.model import BaseChain, Packet, number

__all__ = ["base_chains", "is_iptables"]

Outcomes = frozenset[str]
Name = tuple[str, str, str]

_ACCEPT, _DROP, _FALL = "accept", "drop", "fall"
_OWNERS = {"firewalld": "firewalld", "libvirt_network": "libvirt", "docker-bridges": "docker", "nsctl": "nsctl"}
_IPTABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}
_VERDICTS = {
    **dict.fromkeys(("accept", "masquerade", "snat", "dnat", "redirect"), frozenset({_ACCEPT})),
    **dict.fromkeys(("drop", "reject"), frozenset({_DROP})),
    **dict.fromkeys(("queue", "tproxy", "synproxy"), frozenset({_ACCEPT, _DROP})),
    "return": frozenset({_FALL}),
}
_HARMLESS = frozenset({"counter", "log", "mangle", "notrack", "ct helper", "flow", "comment", "set"})
_DEEPEST = 16


def is_iptables(family: str, table: str, chain: str) -> bool:
    """
    Whether a base chain is one that iptables keeps in nftables: nsctl jumps from there.
    """
    return family == "ip" and table in _IPTABLES and chain.isupper()


def base_chains(objects: Iterable[Mapping[str, Any]]) -> list[BaseChain]:
    """
    The base chains that IPv4 packets meet, of the objects that `nft -j list ruleset` prints.

    Raises:
        KeyError, TypeError, ValueError: They are not such objects.
    """
    rules: dict[Name, list[Mapping[str, Any]]] = {}
    sets: dict[Name, Any] = {}
    found = []
    for one in objects:
        for kind, what in one.items():
            if kind == "chain":
                if "hook" in what and what["family"] in {"ip", "inet"}:
                    found.append(what)
            elif kind == "rule":
                rules.setdefault((what["family"], what["table"], what["chain"]), []).append(what)
            elif kind in {"set", "map"}:
                sets[(what["family"], what["table"], what["name"])] = what.get("elem", [])
    native = (what for what in found if not is_iptables(what["family"], what["table"], what["name"]))
    return [_base_chain(what, rules, sets) for what in native]


def _base_chain(
    what: Mapping[str, Any], rules: Mapping[Name, Sequence[Mapping[str, Any]]], sets: Mapping[Name, Any]
) -> BaseChain:
    family, table, chain, policy = what["family"], what["table"], what["name"], what.get("policy", _ACCEPT)

    def judge(packet: Packet) -> tuple[str | None, str]:
        walk = _Walk(packet, lambda c: rules.get((family, table, c), ()), lambda s: sets.get((family, table, s)))
        found = walk.chain(chain, 0)
        ends = {policy if end == _FALL else end for end in found}
        by = f"the policy {policy}" if found == {_FALL} else walk.by
        return (ends.pop(), by) if len(ends) == 1 else (None, "")

    return BaseChain(f"{family} {table} {chain}", what["hook"], _OWNERS.get(table, "the host"), judge)


class _Walk:
    """
    A packet's way through chains: all that may become of it.
    """

    def __init__(
        self,
        packet: Packet,
        rules: Callable[[str], Sequence[Mapping[str, Any]]],
        elements: Callable[[str], Any],
    ) -> None:
        self._packet = packet
        self._rules = rules
        self._elements = elements
        self.by = ""
        """The rule that drops, where one does for certain."""

    def chain(self, name: str, depth: int) -> Outcomes:
        """
        What may become of it in a chain; `fall` where it comes back from there.
        """
        if depth > _DEEPEST:
            return frozenset({_ACCEPT, _DROP, _FALL})
        found: set[str] = set()
        for rule in self._rules(name):
            matches: bool | None = True
            for statement in rule.get("expr", ()):
                (kind, what), *_ = statement.items()
                ends, leaves = self._verdict(kind, what, rule, depth)
                if ends is not None:
                    stays = frozenset() if leaves else frozenset({_FALL})
                    found |= ends - stays
                    if matches and (leaves or _FALL not in ends):
                        return frozenset(found)
                    break
                matches = _both(matches, self._match(kind, what))
                if matches is False:
                    break
        return frozenset({*found, _FALL})

    def _verdict(self, kind: str, what: Any, rule: Mapping[str, Any], depth: int) -> tuple[Outcomes | None, bool]:
        # What comes of a statement that decides, and whether what comes back from it leaves the chain.
        if kind in {"drop", "reject"}:
            self.by = self.by or f"the rule of handle {rule.get('handle', '?')} ({kind})"
        if kind in {"jump", "goto"}:
            return self.chain(what["target"], depth + 1), kind == "goto"
        if kind == "vmap":
            return self._map(what, rule, depth)
        return _VERDICTS.get(kind), kind == "return"

    def _map(self, what: Mapping[str, Any], rule: Mapping[str, Any], depth: int) -> tuple[Outcomes, bool]:
        pairs = what["data"]
        pairs = self._elements(pairs[1:]) if isinstance(pairs, str) else pairs.get("set", ())
        found: set[str] = set()
        for key, verdict in pairs or ():
            matches = self._compare(what["key"], key)
            if matches is False:
                continue
            (kind, target), *_ = verdict.items()
            ends, leaves = self._verdict(kind, target, rule, depth)
            found |= ends or {_FALL}
            if matches:
                return frozenset(found), leaves
        return frozenset({*found, _FALL}), False

    def _match(self, kind: str, what: Any) -> bool | None:
        if kind in _HARMLESS:
            return True
        if kind != "match":
            return None  # a limit, a quota, what iptables has in there
        result = self._compare(what["left"], what["right"])
        if what["op"] == "!=":
            return None if result is None else not result
        return result if what["op"] in {"==", "in"} else None

    def _compare(self, left: Any, right: Any) -> bool | None:
        if isinstance(right, str) and right.startswith("@"):
            right = {"set": self._elements(right[1:]) or []}
        value = self._value(left)
        return None if value is None else _among(value, right)

    def _value(self, left: Any) -> Any:
        # The value of an expression; None where it can't be told, False where the packet has no such thing.
        p = self._packet
        protocol = _PROTOCOLS.get(p.protocol, p.protocol)
        known: dict[str, Any] = {
            **dict.fromkeys(("meta iifname", "meta iif"), p.iif or None),
            **dict.fromkeys(("meta oifname", "meta oif"), p.oif or None),
            **dict.fromkeys(("meta l4proto", "ip protocol"), protocol),
            "meta nfproto": "ipv4",
            "meta protocol": "ip",
            "meta mark": p.mark,
            "ct mark": p.connmark,
            "ct state": p.state.lower(),
            "ip saddr": _Address(p.source),
            "ip daddr": _Address(p.destination),
        }
        name = _named(left)
        if name in known:
            return known[name]
        header, _, field = name.partition(" ")
        if header in {"ip6", "icmpv6"} or (header in {"tcp", "udp", "icmp", "sctp", "dccp"} and header != protocol):
            return False
        return {"sport": p.sport, "dport": p.dport}.get(field) if header in {"tcp", "udp", "th"} else None


def _named(left: Any) -> str:
    match left:
        case {"meta": {"key": str(key)}}:
            return f"meta {key}"
        case {"ct": {"key": str(key)}}:
            return f"ct {key}"
        case {"payload": {"protocol": str(header), "field": str(field)}}:
            return f"{header} {field}"
        case _:
            return ""


class _Address(int):
    """
    An address as a number: what nft writes beside it is text.
    """


def _both(*parts: bool | None) -> bool | None:
    return False if False in parts else None if None in parts else True


def _among(value: Any, right: Any) -> bool | None:
    # Whether a value is what stands at the right of a comparison, or one of several.
    if value is False:
        return False
    match right:
        case {"set": several} | list(several):
            found = [_among(value, one) for one in several]
            return True if True in found else None if None in found else False
        case {"elem": {"val": one}}:
            return _among(value, one)
        case _:
            return _in_net(value, right) if isinstance(value, _Address) else _is(value, right)


def _is(value: Any, right: Any) -> bool | None:
    match right:
        case str(text) if isinstance(value, str):
            return value.startswith(text[:-1]) if text.endswith("*") else value == text
        case int(same) if isinstance(value, int):
            return value == same
        case {"range": [int(first), int(last)]} if isinstance(value, int):
            return first <= value <= last
        case _:
            return None


def _in_net(value: int, right: Any) -> bool | None:
    match right:
        case str(address):
            ends, length = [_number(address)], 32
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            ends = [_number(address)]
        case {"range": [first, last]}:
            ends, length = [_number(first), _number(last)], 32
        case _:
            return None
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return None
    return known[0] >> (32 - length) <= value >> (32 - length) <= known[-1] >> (32 - length)


def _number(address: Any) -> int | None:
    try:
        return number(address)
    except (AttributeError, ValueError):
        return None
