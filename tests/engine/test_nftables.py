"""
What becomes of a packet in base chains of nftables: certain, or not to be told.
"""

from __future__ import annotations

from typing import Any

import pytest

from nsctl.engine.reach.model import Packet, number
from nsctl.engine.reach.nftables import base_chains, is_iptables

PACKET = Packet(number("10.0.3.2"), number("203.0.113.1"), iif="nsbr0", oif="eth0")
ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str, right: Any, op: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": key}}, right, op)


def ip(field: str, right: Any, op: str = "==", header: str = "ip") -> dict[str, Any]:
    return match({"payload": {"protocol": header, "field": field}}, right, op)


def judged(*rules: list[dict[str, Any]], policy: str = "accept", packet: Packet = PACKET, **more: Any) -> str | None:
    place = {"family": "inet", "table": "t"}
    base = place | {"name": "f", "hook": "forward", "policy": policy}
    objects: list[dict[str, Any]] = [{"metainfo": {}}, {"table": place}, {"chain": base}]
    objects += [{"rule": place | {"chain": "f", "handle": 7, "expr": rule}} for rule in rules]
    for name, what in more.items():
        if name.startswith("set_"):
            objects.append({"set": place | {"name": name, "elem": what}})
        else:
            objects += [{"rule": place | {"chain": name, "handle": 8, "expr": rule}} for rule in what]
    [chain] = base_chains(objects)
    return chain.judge(packet)[0]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (meta("iifname", "nsbr0"), True),
        (meta("iifname", "nsbr0", "!="), False),
        (meta("iifname", "ns*"), True),
        (meta("oifname", {"set": ["eth1", "eth0"]}), True),
        (meta("l4proto", "tcp"), True),
        (meta("l4proto", {"set": ["udp", "icmp"]}), False),
        (meta("nfproto", "ipv6"), False),
        (meta("mark", 1), False),
        (meta("skuid", 0), None),
        (match({"ct": {"key": "state"}}, ["established", "related"], "in"), False),
        (match({"ct": {"key": "state"}}, "new"), True),
        (match({"ct": {"key": "status"}}, "dnat", "in"), None),
        (ip("saddr", {"prefix": {"addr": "10.0.0.0", "len": 8}}), True),
        (ip("saddr", {"prefix": {"addr": "10.0.0.0", "len": 8}}, "!="), False),
        (ip("saddr", {"range": ["10.0.3.3", "10.0.3.9"]}), False),
        (ip("daddr", {"set": ["192.0.2.1", {"prefix": {"addr": "203.0.113.0", "len": 24}}]}), True),
        (ip("daddr", "@set_ours"), True),
        (ip("daddr", "@set_none"), False),
        (ip("daddr", "example.org"), None),
        (ip("daddr", "::1", header="ip6"), False),
        (ip("dport", {"range": [400, 500]}, header="tcp"), True),
        (ip("dport", 443, header="udp"), False),
        (ip("dport", 443, header="th"), True),
        (ip("flags", "syn", "in", header="tcp"), None),
        (ip("dport", 1024, "<", header="tcp"), None),
        ({"limit": {"rate": 5}}, None),
        ({"xt": None}, None),
        ({"counter": {"packets": 0}}, True),
        ({"log": {"prefix": "x"}}, True),
    ],
)
def test_a_condition_holds_or_does_not_or_cannot_be_told(condition: dict[str, Any], *, holds: bool | None) -> None:
    elements: dict[str, Any] = {"set_ours": [{"elem": {"val": "203.0.113.1", "timeout": 5}}], "set_none": []}
    assert judged([condition, DROP], **elements) == {True: "drop", False: "accept", None: None}[holds]


def test_verdicts_follow_the_rules() -> None:
    jump, goto = {"jump": {"target": "other"}}, {"goto": {"target": "other"}}
    assert judged(policy="drop") == "drop"
    assert judged([ACCEPT], [DROP]) == "accept"
    assert judged([{"return": None}], [DROP], policy="accept") == "accept"
    assert judged([jump], [DROP], other=[[{"return": None}], [ACCEPT]]) == "drop"
    assert judged([goto], [ACCEPT], policy="drop", other=[]) == "drop"
    assert judged([jump], other=[[{"reject": {"type": "icmpx"}}]]) == "drop"
    assert judged([{"queue": {"num": 0}}]) is None
    assert judged([jump], other=[[jump]]) is None
    key = {"meta": {"key": "iifname"}}
    lan, ours = ["lan0", DROP], ["nsbr0", {"jump": {"target": "other"}}]
    assert judged([{"vmap": {"key": key, "data": {"set": [lan, ours]}}}], other=[[DROP]]) == "drop"
    assert judged([{"vmap": {"key": key, "data": {"set": [lan]}}}]) == "accept"
    assert judged([{"vmap": {"key": {"meta": {"key": "skuid"}}, "data": {"set": [[0, DROP]]}}}]) is None


def test_iptables_own_chains_are_left_out() -> None:
    assert is_iptables("ip", "filter", "FORWARD")
    assert not is_iptables("ip", "filter", "forward")
    assert not is_iptables("inet", "filter", "FORWARD")
    chain = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
    assert base_chains([{"chain": chain}]) == []
