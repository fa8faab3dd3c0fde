"""Routing rules, and the routes of all tables (linux/fib_rules.h, linux/rtnetlink.h); IPv4."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from errno import EAFNOSUPPORT, EOPNOTSUPP
from functools import lru_cache
from struct import Struct
from typing import TypeVar

from nsctl.engine.host.netlink import Netlink, attributes
from nsctl.engine.host.rtnl import gateway, next_hops
from nsctl.engine.reach.model import MAIN, Hop, PolicyRule, TableRoute, text

__all__ = ["policy_rules", "route_among", "route_messages", "routes_in", "rule_messages", "rules_in", "table_routes"]

T = TypeVar("T")

_AF_INET, _GETROUTE, _GETRULE = 2, 26, 34
_ROUTE = Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
_RULE = Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, res1, res2, action, flags
_ATTRIBUTE = Struct("=HH")
_U32 = Struct("=I")
_BE32 = Struct(">I")
_PORTS = Struct("=HH")

_RTA_DST, _RTA_OIF, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_METRICS, _RTA_MULTIPATH = 1, 4, 6, 7, 8, 9
_RTA_TABLE, _RTAX_MTU = 15, 2
_RTM_F_CLONED, _RTNH_F_DEAD, _RTNH_F_LINKDOWN = 0x200, 1, 16
_KINDS = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
}

_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_GOTO, _FRA_PRIORITY, _FRA_FWMARK = 1, 2, 3, 4, 6, 10
_FRA_SUPPRESS_IFGROUP, _FRA_SUPPRESS_PREFIXLEN, _FRA_TABLE, _FRA_FWMASK, _FRA_OIFNAME = 13, 14, 15, 16, 17
_FRA_L3MDEV, _FRA_UID_RANGE, _FRA_IP_PROTO, _FRA_SPORT_RANGE, _FRA_DPORT_RANGE = 19, 20, 22, 23, 24
_FIB_RULE_INVERT = 2
_ACTIONS = {1: "table", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_NONE = 0xFFFFFFFF


def policy_rules(netlink: Netlink) -> list[PolicyRule]:
    """The routing rules, from the first that is asked."""
    return rules_in(rule_messages(netlink))


def rule_messages(netlink: Netlink) -> list[bytes] | None:
    """The routing rules as they come; None of a kernel without them (CONFIG_IP_MULTIPLE_TABLES)."""
    try:
        return netlink.dump(_GETRULE, _RULE.pack(_AF_INET, 0, 0, 0, 0, 0, 0, 0, 0))
    except OSError as e:
        if e.errno in {EOPNOTSUPP, EAFNOSUPPORT}:
            return None
        raise


def rules_in(messages: Iterable[bytes] | None) -> list[PolicyRule]:
    """The rules among these messages; a kernel without any asks the main table only, which one rule says."""
    if messages is None:
        return [PolicyRule(0, table=MAIN)]
    rules = [_rule(data) for data in messages if data[0] == _AF_INET]
    return sorted(rules, key=lambda rule: rule.priority)


@lru_cache(64)  # namespaces begin with the same three
def _rule(data: bytes) -> PolicyRule:
    _, to_length, from_length, tos, table, _, _, action, flags = _RULE.unpack_from(data)
    found = attributes(data, _RULE.size)
    suppressed, group = _u32(found, _FRA_SUPPRESS_PREFIXLEN, _NONE), _u32(found, _FRA_SUPPRESS_IFGROUP, _NONE)
    mark = _u32(found, _FRA_FWMARK)
    return PolicyRule(
        priority=_u32(found, _FRA_PRIORITY),
        action=_ACTIONS.get(action, "nop"),
        table=_u32(found, _FRA_TABLE, table),
        target=_u32(found, _FRA_GOTO),
        inverted=bool(flags & _FIB_RULE_INVERT),
        source=_address(found.get(_FRA_SRC)),
        source_length=from_length,
        destination=_address(found.get(_FRA_DST)),
        destination_length=to_length,
        iif=_name(found.get(_FRA_IIFNAME)),
        oif=_name(found.get(_FRA_OIFNAME)),
        mark=mark,
        mask=_u32(found, _FRA_FWMASK, _NONE if mark else 0),
        tos=tos,
        protocol=found[_FRA_IP_PROTO][0] if _FRA_IP_PROTO in found else 0,
        sports=_range(found.get(_FRA_SPORT_RANGE)),
        dports=_range(found.get(_FRA_DPORT_RANGE)),
        user=_FRA_UID_RANGE in found,
        suppress_length=-1 if suppressed == _NONE else suppressed,
        suppress_group=-1 if group == _NONE else group,
        vrf=bool(found.get(_FRA_L3MDEV, b"\0")[0]),
    )


def table_routes(netlink: Netlink, name_of: Callable[[int], str | None], table: int = 0) -> list[TableRoute]:
    """
    The routes of a table, or of all.

    Args:
        netlink: The socket.
        name_of: The name of a link by its index.
        table: The table; all, if 0.
    """
    return [route for route in routes_in(route_messages(netlink, table), name_of) if table in {0, route.table}]


def route_messages(netlink: Netlink, table: int = 0) -> list[bytes]:
    """The IPv4 routes of a table, or of all, as they come."""
    body = _ROUTE.pack(_AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
    if table:
        body += _ATTRIBUTE.pack(8, _RTA_TABLE) + _U32.pack(table)
    try:
        return netlink.dump(_GETROUTE, body)
    except FileNotFoundError:  # ENOENT: there is no such table
        return []


def routes_in(messages: Iterable[bytes], name_of: Callable[[int], str | None]) -> list[TableRoute]:
    """The routes among these messages; `name_of` gives the name of a link by its index."""
    routes = (_route(data, name_of) for data in messages)
    return [route for route in routes if route is not None]


@lru_cache(256)
def route_among(data: bytes, links: tuple[tuple[int, str], ...]) -> TableRoute | None:
    """
    The route that a message tells of; None where it is of another family, or a cached one.

    Sandboxes are alike: most of what a thousand have in their tables is the same to the byte, for links of the same
    names.

    Args:
        data: The message.
        links: The indexes and names of all links that are there.
    """
    return _route(data, dict(links).get)


def _route(data: bytes, name_of: Callable[[int], str | None]) -> TableRoute | None:
    family, length, _, tos, table, _, _, kind, flags = _ROUTE.unpack_from(data)
    if family != _AF_INET or flags & _RTM_F_CLONED:
        return None
    found = attributes(data, _ROUTE.size)
    if _RTA_MULTIPATH in found:
        hops = tuple(_hop(index, hop, flags, name_of) for flags, index, hop in next_hops(found[_RTA_MULTIPATH]))
    elif _RTA_OIF in found:
        hops = (_hop(_u32(found, _RTA_OIF), found, flags, name_of),)
    else:
        hops = ()
    metrics = attributes(found.get(_RTA_METRICS, b""))
    return TableRoute(
        table=_u32(found, _RTA_TABLE, table),
        destination=_address(found.get(_RTA_DST)),
        length=length,
        kind=_KINDS.get(kind, str(kind)),
        hops=hops,
        metric=_u32(found, _RTA_PRIORITY),
        tos=tos,
        mtu=_u32(metrics, _RTAX_MTU),
        source=text(_address(found[_RTA_PREFSRC])) if _RTA_PREFSRC in found else None,
    )


def _hop(index: int, found: dict[int, bytes], flags: int, name_of: Callable[[int], str | None]) -> Hop:
    return Hop(name_of(index) or "", gateway(found), bool(flags & _RTNH_F_LINKDOWN), bool(flags & _RTNH_F_DEAD))


def _u32(found: dict[int, bytes], kind: int, default: int = 0) -> int:
    value = found.get(kind)
    return int(_U32.unpack_from(value)[0]) if value else default


def _address(value: bytes | None) -> int:
    return int(_BE32.unpack_from(value)[0]) if value else 0


def _name(value: bytes | None) -> str:
    import os

    return os.fsdecode(value.split(b"\0", 1)[0]) if value else ""


def _range(value: bytes | None) -> tuple[int, int] | None:
    if not value:
        return None
    low, high = _PORTS.unpack_from(value)
    return int(low), int(high)
