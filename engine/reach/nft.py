"""
Base chains of nftables, as `nft -j list ruleset` prints them: what becomes of a packet in one.

An accept ends one base chain only, a drop is final: so each is judged by itself. As for iptables, there are three
answers for each condition, and nobody is blamed for what can't be told.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from nsctl.engine.reach.model import BaseChain, Packet, number

__all__ = ["base_chains"]

_DEEPEST = 16
_FULL = 32
_TERMINAL = {"accept": "accept", "drop": "drop", "reject": "drop", "masquerade": "accept", "snat": "accept"}
_TERMINAL |= {"dnat": "accept", "redirect": "accept"}
_GOING_ON = frozenset({"counter", "log", "ct helper", "ct timeout", "ct expectation", "notrack", "quota", "flow"})
_VERDICTS = frozenset({"return", "jump", "goto", "vmap", "queue", "xt"})
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}
_UNKNOWN = object()

Rules = Mapping[tuple[str, str, str], Sequence[Mapping[str, Any]]]
"""Family, table and chain → its rules."""


class _End(NamedTuple):
    """Where the way through a chain may end, and by what."""

    verdict: str | None
    by: str


def base_chains(text: str, *, skip: Iterable[tuple[str, str]] = ()) -> list[BaseChain]:
    """
    The base chains that IPv4 packets meet, but for those of the tables to skip.

    Args:
        text: What `nft -j list ruleset` printed.
        skip: Tables (family and name) that are judged elsewhere: iptables's.

    Raises:
        ValueError: It is no such text.
    """
    rules: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    chains: list[Mapping[str, Any]] = []
    for item in json.loads(text)["nftables"]:
        if "chain" in item:
            chains.append(item["chain"])
        elif "rule" in item:
            rule = item["rule"]
            rules.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule)
    without = set(skip)
    return [
        BaseChain(
            f"{chain['family']} {chain['table']} {chain['name']}",
            chain["hook"],
            "firewalld" if chain["table"] == "firewalld" else "the host",
            int(chain.get("prio", 0)),
            partial(_judge, rules, chain),
        )
        for chain in chains
        if "hook" in chain and chain["family"] in {"ip", "inet"} and (chain["family"], chain["table"]) not in without
    ]


def _judge(rules: Rules, chain: Mapping[str, Any], packet: Packet) -> tuple[str | None, str, Packet]:
    ends: list[_End] = []
    marked: set[str] = set()
    key = (chain["family"], chain["table"], chain["name"])
    if _walk(rules, key, packet, ends, marked, 0):
        ends.append(_End(chain.get("policy", "accept"), "the policy"))
    found = {end.verdict for end in ends}
    after = _marked(packet, marked)
    if len(found) > 1 or None in found:
        return None, "", after
    return ends[0].verdict, ends[0].by, after


def _marked(packet: Packet, marked: Container[str]) -> Packet:
    # Which mark a rule sets is not worked out: it may be a map's.
    if "meta" in marked:
        packet = packet._replace(mark=None)
    return packet._replace(connmark=None) if "ct" in marked else packet


def _walk(
    rules: Rules, key: tuple[str, str, str], packet: Packet, ends: list[_End], marked: set[str], depth: int
) -> bool:
    # Whether the packet may come out at the chain's end.
    returned = False
    for rule in rules.get(key, ()):
        matched, last = _conditions(rule["expr"], _marked(packet, marked), marked)
        if matched is False or last is None:
            continue
        for sure, kind, value in _decisions(last, packet, sure=matched):
            if kind in _TERMINAL:
                ends.append(_End(_TERMINAL[kind], f"the rule '{_described(rule['expr'])}'"))
                if sure:
                    return returned
            elif kind == "return":
                returned = True
                if sure:
                    return True
            elif kind in {"jump", "goto"}:
                after = depth >= _DEEPEST or _walk(rules, (*key[:2], value["target"]), packet, ends, marked, depth + 1)
                if sure and (kind == "goto" or not after):
                    return returned or after
            elif kind != "continue":  # a map of a name, a queue, an extension of iptables's
                ends.append(_End(None, ""))
    return True


def _decisions(last: Mapping[str, Any], packet: Packet, *, sure: bool | None) -> Iterator[tuple[bool | None, str, Any]]:
    # What a rule may decide, in order: one verdict, or those of a verdict map.
    [(kind, value)] = last.items()
    pairs = value["data"].get("set") if kind == "vmap" and isinstance(value["data"], dict) else None
    if pairs is None:
        yield sure, kind, value
        return
    has = _value(value["key"], packet)
    for element, verdict in pairs:
        same = None if has is _UNKNOWN else has is not None and _equals(element, has)
        if same is False:
            continue
        [(inner, target)] = verdict.items()
        yield (sure if same else None), inner, target
        if same:
            return


def _conditions(
    expressions: Iterable[Mapping[str, Any]], packet: Packet, marked: set[str]
) -> tuple[bool | None, Mapping[str, Any] | None]:
    # Whether a packet matches, and the verdict that the rule then has, if it has one.
    matched: bool | None = True
    for expression in expressions:
        [(kind, value)] = expression.items()
        if kind == "match":
            found = _matches(value, packet)
            if found is False:
                return False, None
            matched = matched if found else None
        elif kind in _TERMINAL or kind in _VERDICTS:
            return matched, expression
        elif kind == "mangle":
            marked |= {what for what, of in value["key"].items() if isinstance(of, dict) and of.get("key") == "mark"}
        elif kind not in _GOING_ON:  # a limit, a quota, what nobody knows here
            matched = None
    return matched, None


def _matches(match: Mapping[str, Any], packet: Packet) -> bool | None:
    value = _value(match["left"], packet)
    if value is _UNKNOWN:
        return None
    if value is None:  # what the packet has not, no condition is about
        return False
    found = _equals(match["right"], value)
    if found is None or match["op"] not in {"==", "!=", "in"}:
        return None
    return found is (match["op"] != "!=")


def _value(left: Any, packet: Packet) -> Any:
    # What the packet has; None where it has no such thing, `_UNKNOWN` where that can't be told.
    [(kind, value)] = left.items() if isinstance(left, dict) and len(left) == 1 else [("", None)]
    if not isinstance(value, dict):
        return _UNKNOWN
    if kind == "payload":
        return _payload(value.get("protocol"), value.get("field"), packet)
    known = {"meta": _meta, "ct": _connection}.get(kind)
    return known(packet).get(str(value.get("key")), _UNKNOWN) if known is not None else _UNKNOWN


def _payload(protocol: object, field: object, packet: Packet) -> Any:
    if protocol in {"ip6", "icmpv6"}:
        return None
    if protocol == "ip":
        own = {"saddr": packet.source, "daddr": packet.destination}
        return (own | {"protocol": _PROTOCOLS.get(packet.protocol, packet.protocol)}).get(str(field), _UNKNOWN)
    if protocol in {"tcp", "udp", "th"} and field in {"dport", "sport"}:
        has = packet.protocol != 1 and protocol in {"th", _PROTOCOLS.get(packet.protocol)}
        return (packet.dport if field == "dport" else packet.sport) if has else None
    if protocol == "icmp" and field == "type":
        return {8: "echo-request", 0: "echo-reply"}.get(packet.dport) if packet.protocol == 1 else None
    return _UNKNOWN


def _connection(packet: Packet) -> dict[str, Any]:
    return {
        "state": packet.state.lower(),
        "direction": "reply" if packet.answer else "original",
        "status": "snat" if packet.translated else "unset",
    }


def _meta(packet: Packet) -> dict[str, Any]:
    return {
        "iifname": packet.iif,
        "oifname": packet.oif,
        "iif": packet.iif,
        "oif": packet.oif,
        "l4proto": _PROTOCOLS.get(packet.protocol, packet.protocol),
        "nfproto": "ipv4",
        "protocol": "ip",
        "pkttype": "host",
        "mark": _UNKNOWN if packet.mark is None else packet.mark,
    }


def _equals(right: Any, value: Any) -> bool | None:
    match right:
        case {"set": list(members)} | list(members):
            found = [_equals(member, value) for member in members]
            return True if True in found else None if None in found else False
        case {"elem": {"val": inner}}:
            return _equals(inner, value)
        case int() | dict():
            return _in_range(right, value)
        case str() if isinstance(value, int):
            return _in_range(_number(right), value)
        case str() if not right.startswith("@"):
            same = value.startswith(right[:-1]) if right.endswith("*") else right == value
            return bool(same)
        case _:
            return None


def _in_range(right: Any, value: Any) -> bool | None:
    if not isinstance(value, int):
        return None
    match right:
        case int():
            return right == value
        case {"prefix": {"addr": str(address), "len": int(length)}} if "." in address:
            return not (number(address) ^ value) >> (_FULL - length)
        case {"range": [first, last]}:
            low, high = _number(first), _number(last)
            return None if low is None or high is None else low <= value <= high
        case _:
            return None


def _number(word: Any) -> int | None:
    if isinstance(word, int):
        return word
    if isinstance(word, str) and word.count(".") == 3:  # noqa: PLR2004 - an address
        return number(word)
    return int(word) if isinstance(word, str) and word.isdigit() else None


def _described(expressions: Iterable[Mapping[str, Any]]) -> str:
    words = []
    for expression in expressions:
        [(kind, value)] = expression.items()
        if kind == "match":
            unlike = "" if value["op"] in {"==", "in"} else f" {value['op']}"
            words.append(f"{_left(value['left'])}{unlike} {_right(value['right'])}")
        elif kind == "vmap":
            words.append(f"{_left(value['key'])} vmap")
        elif kind in _TERMINAL:
            words.append(kind)
    return " ".join(words)


def _left(left: Mapping[str, Any]) -> str:
    [(kind, value)] = left.items()
    if kind == "payload":
        return f"{value.get('protocol', '')} {value.get('field', '')}".strip()
    return f"{kind} {value.get('key', '')}".strip().removeprefix("meta ") if isinstance(value, dict) else str(kind)


def _right(right: Any) -> str:
    match right:
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [low, high]}:
            return f"{low}-{high}"
        case {"set": list(members)} | list(members):
            return "{ " + ", ".join(map(_right, members)) + " }"
        case _:
            return str(right)
