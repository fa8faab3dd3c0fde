"""Links, addresses and routes, asked for and decoded (linux/rtnetlink.h, if_link.h, if_addr.h)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from errno import ENODEV
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from nsctl.engine.host.netlink import Netlink, attribute, attributes

__all__ = [
    "AddressRow",
    "LinkRow",
    "RouteRow",
    "addresses",
    "carrier",
    "conf",
    "far_end",
    "gateway",
    "link_attribute",
    "link_by_index",
    "link_by_name",
    "links",
    "links_now",
    "main_routes",
    "next_hops",
    "port_state",
    "routes",
    "settled",
]

_AF_INET, _AF_INET6 = 2, 10
_IPV4, _IPV4_SIZE = 4, 4
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFNAMSIZ = 16

_LINK = Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
_NEXT_HOP = Struct("=HBBi")  # length, flags, hops, index
_ATTRIBUTE = Struct("=HH")
_U32 = Struct("=I")
_S32 = Struct("=i")

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS = 1, 3, 4, 10, 18, 20
_IFLA_LINK = 5
_IFLA_OPERSTATE, _OPER_UP = 16, 6
_IFLA_AF_SPEC, _IFLA_GROUP, _IFLA_EXT_MASK, _IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 26, 27, 29, 52, 53
_RARER = (_IFLA_LINK, _IFLA_OPERSTATE, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_AF_SPEC)
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_BR_GROUP_FWD_MASK, _MASK = 9, Struct("=H").unpack_from
_BRPORT_STATE, _BRPORT_MODE, _BRPORT_ISOLATED = 1, 4, 33
_INET6_ADDR_GEN_MODE = 8
_IFF_UP, _IFF_PROMISC, _IFF_LOWER_UP = 0x1, 0x100, 0x10000
_INET_CONF, _INET6_CONF = 1, 2
_CONF = {
    # linux/ip.h counts from 1, linux/ipv6.h from 0; neither ever changes.
    ("ipv4", "forwarding"): 0,
    ("ipv4", "rp_filter"): 7,
    ("ipv4", "src_valid_mark"): 23,
    ("ipv4", "arp_notify"): 21,
    ("ipv6", "forwarding"): 0,
    ("ipv6", "accept_ra"): 3,
    ("ipv6", "autoconf"): 5,
    ("ipv6", "disable_ipv6"): 26,
}
"""Settings of a link that its message holds as an array, and where."""
_ADDR_GEN_MODES = ("eui64", "none", "stable_secret", "random")

_IFA_ADDRESS, _IFA_LOCAL = 1, 2

_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 1, 4, 5, 6, 9, 15, 18
_MAIN_OR_LARGER = frozenset({0, 252, 254})
"""What eight bits say of the main table, and of one whose number needs 32 (RT_TABLE_COMPAT)."""
_RT_TABLE_MAIN, _RTN_UNICAST, _RTM_F_CLONED = 254, 1, 0x200


class LinkRow(NamedTuple):
    """
    A link as the kernel tells it, its master by index.

    `flags` are all of its flags; `parts` are the attributes of its message that hold the rarer properties.
    """

    ifindex: int
    name: str
    mac: str
    mtu: int
    type: str
    master: int
    up: bool
    group: int
    altnames: tuple[str, ...]
    flags: int
    parts: Mapping[int, bytes]


class AddressRow(NamedTuple):
    """An address (`10.0.3.2/24`) on a link."""

    ifindex: int
    address: str


class RouteRow(NamedTuple):
    """A unicast route of the main table to `default` or a prefix; each of several next hops has a row."""

    destination: str
    via: str | None
    ifindex: int
    metric: int


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


_WITHOUT_STATISTICS = _attribute(_IFLA_EXT_MASK, _U32.pack(1 << 3))  # RTEXT_FILTER_SKIP_STATS


def _text(value: bytes) -> str:
    return os.fsdecode(value.split(b"\0", 1)[0])


def _number(value: bytes | None) -> int:
    return int(_U32.unpack_from(value)[0]) if value else 0


def links(netlink: Netlink) -> list[LinkRow]:
    """All links."""
    return [_link(data) for data in netlink.dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0) + _WITHOUT_STATISTICS)]


def links_now(netlink: Netlink) -> tuple[list[LinkRow], bool]:
    """The links as one dump tells of them, and whether those are all: see `Netlink.dump_once`."""
    messages, complete = netlink.dump_once(_GETLINK, _LINK.pack(0, 0, 0, 0, 0) + _WITHOUT_STATISTICS)
    return [_link(data) for data in messages], complete


def link_by_name(netlink: Netlink, name: str) -> LinkRow | None:
    """The link of this name; one whose alternative name it is has another `name`."""
    wanted = os.fsencode(name)
    if not wanted or len(wanted) >= _IFNAMSIZ or b"\0" in wanted:
        return None
    return _one_link(netlink, _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, wanted + b"\0"))


def link_by_index(netlink: Netlink, index: int) -> LinkRow | None:
    """The link of this index."""
    return _one_link(netlink, _LINK.pack(0, 0, index, 0, 0)) if index > 0 else None


def settled(row: LinkRow) -> bool:
    """Whether the kernel has dealt with the carrier that a link has; of a bridge's port it then forwards."""
    state = row.parts.get(_IFLA_OPERSTATE, b"\0")[0]
    # Links without a driver's word, such as lo, are in an unknown state for good; a pair's ends are in it at first.
    return not row.flags & _IFF_LOWER_UP or state == _OPER_UP or (row.type != "veth" and state == 0)


def carrier(row: LinkRow) -> bool:
    """Whether a link that is up carries anything: its driver has a carrier, or knows of none."""
    return bool(row.flags & _IFF_LOWER_UP)


def _one_link(netlink: Netlink, body: bytes) -> LinkRow | None:
    try:
        data = netlink.get(_GETLINK, body + _WITHOUT_STATISTICS)
    except OSError as e:
        if e.errno == ENODEV:
            return None
        raise
    return _link(data) if data is not None else None


def _link(data: bytes) -> LinkRow:
    _, _, index, flags, _ = _LINK.unpack_from(data)
    found = attributes(data, _LINK.size)
    info = attributes(found.get(_IFLA_LINKINFO, b""))
    return LinkRow(
        ifindex=index,
        name=_text(found.get(_IFLA_IFNAME, b"")),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(found.get(_IFLA_MTU)),
        type=_text(info.get(_INFO_KIND, b"")),
        master=_number(found.get(_IFLA_MASTER)),
        up=bool(flags & _IFF_UP),
        group=_number(found.get(_IFLA_GROUP)),
        altnames=_altnames(found[_IFLA_PROP_LIST]) if _IFLA_PROP_LIST in found else (),
        flags=flags,
        parts={kind: found[kind] for kind in _RARER if kind in found},
    )


def _altnames(data: bytes) -> tuple[str, ...]:
    # The attribute is repeated, so `attributes` would keep the last only.
    names = []
    offset = 0
    while offset + 4 <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size:
            break
        if kind == _IFLA_ALT_IFNAME:
            names.append(_text(data[offset + 4 : offset + size]))
        offset += (size + 3) & ~3
    return tuple(names)


def link_attribute(row: LinkRow, attribute: str) -> str | None:
    """
    One of the rarer properties of a link, None where it has none.

    These are addrgenmode, alias, group_fwd_mask, hairpin, isolated and promisc.

    Switches are `on` or `off`.
    """
    found = row.parts
    if attribute == "alias":
        return _text(found.get(_IFLA_IFALIAS, b""))
    if attribute == "promisc":
        return _switch(row.flags & _IFF_PROMISC)
    if attribute == "addrgenmode":
        inet6 = attributes(attributes(found.get(_IFLA_AF_SPEC, b"")).get(_AF_INET6, b""))
        mode = inet6.get(_INET6_ADDR_GEN_MODE)
        return _ADDR_GEN_MODES[mode[0]] if mode and mode[0] < len(_ADDR_GEN_MODES) else None
    if attribute == "group_fwd_mask":
        info = attributes(found.get(_IFLA_LINKINFO, b""))
        mask = attributes(info.get(_INFO_DATA, b"")).get(_BR_GROUP_FWD_MASK)
        return hex(_MASK(mask)[0]) if mask and _text(info.get(_INFO_KIND, b"")) == "bridge" else None
    if attribute in ("hairpin", "isolated"):
        port = attributes(attributes(found.get(_IFLA_LINKINFO, b"")).get(_INFO_SLAVE_DATA, b""))
        value = port.get(_BRPORT_MODE if attribute == "hairpin" else _BRPORT_ISOLATED)
        return _switch(value[0]) if value else None
    return None


def far_end(row: LinkRow) -> int:
    """The index, in its own namespace, of the link that this one is bound to: a pair's other end."""
    # The same index as its own, a kernel may leave out.
    return _number(row.parts.get(_IFLA_LINK)) or row.ifindex


def port_state(row: LinkRow) -> int | None:
    """The state of a bridge port (linux/if_bridge.h) whose carrier the kernel has handled; else None."""
    if not row.up or not row.master or not row.flags & _IFF_LOWER_UP or not settled(row):
        return None
    info = attributes(row.parts.get(_IFLA_LINKINFO, b""))
    if _text(info.get(_INFO_SLAVE_KIND, b"")) != "bridge":
        return None
    state = attribute(info.get(_INFO_SLAVE_DATA, b""), _BRPORT_STATE)
    return state[0] if state else None


def conf(row: LinkRow, key: str) -> str | None:
    """
    A setting below `net/ipv4/conf` or `net/ipv6/conf`, as the link's message has it; None where it has not.

    Args:
        row: The link.
        key: `net/ipv4/conf/eth0/forwarding`.
    """
    _, family, what, _, name = key.split("/")
    place = _CONF.get((family, name)) if what == "conf" else None
    if place is None:
        return None
    af, kind = (_AF_INET, _INET_CONF) if family == "ipv4" else (_AF_INET6, _INET6_CONF)
    values = _settings(row.parts.get(_IFLA_AF_SPEC, b""), af, kind)
    return str(_S32.unpack_from(values, 4 * place)[0]) if len(values) >= 4 * place + 4 else None


@lru_cache(64)
def _settings(spec: bytes, af: int, kind: int) -> bytes:
    # A lab's links are set alike, so that a thousand have a handful of arrays; each is asked for several settings.
    return attributes(attribute(spec, af) or b"").get(kind, b"")


def _switch(value: int) -> str:
    return "on" if value else "off"


def addresses(netlink: Netlink, index: int = 0, *, families: tuple[int, ...] = (4, 6)) -> list[AddressRow]:
    """All addresses, or those of one link."""
    rows = []
    for family in (_AF_INET if version == _IPV4 else _AF_INET6 for version in families):
        try:
            messages = netlink.dump(_GETADDR, _ADDRESS.pack(family, 0, 0, 0, index))
        except OSError as e:
            if e.errno == ENODEV:  # the link has just gone
                return []
            raise
        for data in messages:
            # A kernel without IPv6 answers with all it has.
            kind, prefix, _, _, owner = _ADDRESS.unpack_from(data)
            found = attributes(data, _ADDRESS.size)
            value = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
            if value and kind == family and index in (0, owner):
                rows.append(AddressRow(owner, f"{_ip(value)}/{prefix}"))
    return rows


def _ip(value: bytes) -> str:
    if len(value) == _IPV4_SIZE:
        return "{}.{}.{}.{}".format(*value)
    from socket import inet_ntop

    return inet_ntop(_AF_INET6, value)


def routes(netlink: Netlink, family: int = 4) -> list[RouteRow]:
    """The unicast routes of the main table."""
    af = _AF_INET if family == _IPV4 else _AF_INET6
    body = _ROUTE.pack(af, 0, 0, 0, 0, 0, 0, 0, 0) + _attribute(_RTA_TABLE, _U32.pack(_RT_TABLE_MAIN))
    try:
        messages = netlink.dump(_GETROUTE, body)
    except FileNotFoundError:
        # ENOENT: nothing was ever routed in this namespace, so there is no main table yet.
        return []
    return main_routes(messages, family)


def main_routes(messages: Iterable[bytes], family: int = 4) -> list[RouteRow]:
    """The unicast routes of the main table among the messages of a dump."""
    af = _AF_INET if family == _IPV4 else _AF_INET6
    rows: list[RouteRow] = []
    for data in messages:
        told, length, _, tos, table, _, _, kind, flags = _ROUTE.unpack_from(data)
        if table not in _MAIN_OR_LARGER:
            continue
        found = attributes(data, _ROUTE.size)
        if _RTA_TABLE in found:  # 32 bits; the header's field has 8
            table = _number(found[_RTA_TABLE])
        if told != af or table != _RT_TABLE_MAIN or kind != _RTN_UNICAST or tos or flags & _RTM_F_CLONED:
            continue
        destination = f"{_ip(found[_RTA_DST])}/{length}" if _RTA_DST in found else "default"
        metric = _number(found.get(_RTA_PRIORITY))
        if _RTA_MULTIPATH in found:
            hops = next_hops(found[_RTA_MULTIPATH])
            rows += [RouteRow(destination, gateway(hop), index, metric) for _, index, hop in hops]
        else:
            rows.append(RouteRow(destination, gateway(found), _number(found.get(_RTA_OIF)), metric))
    return rows


def next_hops(data: bytes) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """The next hops of a route that has several: of each its flags, the link's index, and its attributes."""
    offset = 0
    while offset + _NEXT_HOP.size <= len(data):
        length, flags, _, index = _NEXT_HOP.unpack_from(data, offset)
        if length < _NEXT_HOP.size:
            break
        yield flags, index, attributes(data[offset : offset + length], _NEXT_HOP.size)
        offset += (length + 3) & ~3


def gateway(found: dict[int, bytes]) -> str | None:
    """The gateway that a route, or one of its next hops, has by its attributes."""
    if _RTA_GATEWAY in found:
        return _ip(found[_RTA_GATEWAY])
    if _RTA_VIA in found:  # a gateway of another family: two bytes of family before the address
        return _ip(found[_RTA_VIA][2:])
    return None
