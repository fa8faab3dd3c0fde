"""
What the kernel tells by itself: changes of links, addresses, routes, forwarding and nf_tables, as they happen.

A socket that has joined multicast groups is sent a message for each change in its network namespace (rtnetlink(7),
linux/rtnetlink.h, linux/netfilter/nf_tables.h), so whoever waits for one needs no clock.
What iptables' legacy back end does to its tables, the kernel tells only to auditd; but it opens its lock for it, which
`files.py` sees.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from errno import EAGAIN, ENOBUFS
from struct import Struct
from typing import NamedTuple

from nsctl.engine.host.netlink import attributes

__all__ = ["EVERYTHING", "Changes", "Interest", "is_about"]

_SOL_NETLINK, _ADD_MEMBERSHIP, _NETFILTER = 270, 1, 12
_ROUTE_GROUPS = (1, 5, 7, 9, 11, 24, 25)
"""RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE, IPV4_NETCONF, IPV6_NETCONF."""
_NFTABLES_GROUP = 7
"""NFNLGRP_NFTABLES: what each transaction changed, rule by rule."""
_BUFFER = 65536
_RECEIVE = 1 << 20
"""Bytes of messages that may wait; above, the kernel drops some and says so (ENOBUFS)."""

_HEADER = Struct("=IHHII")
_INDEX = Struct("=4xi").unpack_from  # of ifinfomsg and ifaddrmsg, behind four bytes of others
_S32 = Struct("=i").unpack_from
_LINKS, _ADDRESSES, _ROUTES, _NETCONFS = (16, 17), (20, 21), (24, 25), (80, 81)
_IFINFO, _RTMSG, _NETCONF, _NFGEN = 16, 12, 4, 4
_IFLA_IFNAME, _RTA_OIF, _NETCONFA_IFINDEX = 3, 4, 1
_NFTABLES = 10 << 8
_TABLES, _CHAINS, _RULES, _SETS = (0, 2), (3, 5), (6, 8), (9, 11, 12, 14)
_TABLE_NAME, _CHAIN_NAME, _RULE_CHAIN = 1, 3, 2
"""NFTA_TABLE_NAME, NFTA_CHAIN_NAME and NFTA_RULE_CHAIN; the table's name is the first attribute of all, sets too."""


class Interest(NamedTuple):
    """
    What is worth a look at all that nsctl made.

    Args:
        links: Names of nsctl's links.
        indexes: Their numbers.
        settings: The numbers of links that nsctl set something of, -2 for those that come later.
        chains: nf_tables chains with nsctl's rules, as `2/filter/FORWARD` (the family as the kernel counts it).
        tables: nf_tables tables owned by nsctl as a whole, as `7/nsctl`.
        netns: Names of network namespaces.
        files: Names of files that sandboxes' own are made from.
        legacy: Whether there are rules in the legacy back end of iptables.
        everything: Anything is; of the rest, nothing is known yet.
    """

    links: frozenset[str] = frozenset()
    indexes: frozenset[int] = frozenset()
    settings: frozenset[int] = frozenset()
    chains: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    netns: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    legacy: bool = False
    everything: bool = False


EVERYTHING = Interest(everything=True)


class Changes:
    """
    The kernel's messages, from when this is made on.

    Raises:
        OSError: No privilege, or no descriptor to be had.
    """

    def __init__(self) -> None:
        self._route = _joined(socket.NETLINK_ROUTE, _ROUTE_GROUPS)
        self._netfilter: socket.socket | None = None
        with suppress(OSError):  # a kernel without nf_tables, where nothing of it can change
            self._netfilter = _joined(_NETFILTER, (_NFTABLES_GROUP,))

    def close(self) -> None:
        """Hear no more."""
        for sock in (self._route, self._netfilter):
            if sock is not None:
                sock.close()

    @property
    def descriptors(self) -> list[int]:
        """The descriptor to wait for with poll(2)."""
        return [s.fileno() for s in (self._route, self._netfilter) if s is not None]

    def read(self, interest: Interest) -> bool:
        """Take all messages that wait; whether one of them is of interest, or some were lost."""
        found = [_read(sock, interest) for sock in (self._route, self._netfilter) if sock is not None]
        return any(found)


def _joined(protocol: int, groups: tuple[int, ...]) -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    try:
        sock.bind((0, 0))
        for group in groups:
            sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE)
    except BaseException:
        sock.close()
        raise
    return sock


def _read(sock: socket.socket, interest: Interest) -> bool:
    found = False
    while True:
        try:
            data, _, flags, sender = sock.recvmsg(_BUFFER)
        except OSError as e:
            if e.errno == EAGAIN:
                return found
            if e.errno != ENOBUFS:
                raise
            found = True  # some were lost
            continue
        if sender[0] == 0 and not found:  # from the kernel
            found = bool(flags & socket.MSG_TRUNC) or interest.everything or _any(data, interest)


def _any(data: bytes, interest: Interest) -> bool:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return True  # no message that this can read
        if is_about(kind, data[offset + _HEADER.size : offset + length], interest):
            return True
        offset += (length + 3) & ~3
    return False


def is_about(kind: int, data: bytes, interest: Interest) -> bool:
    """
    Whether a message can be about what nsctl made.

    Args:
        kind: The message's type: rtnetlink's, or with nf_tables' subsystem.
        data: What follows netlink's header.
        interest: What nsctl made.
    """
    if kind in _LINKS:
        name = attributes(data, _IFINFO).get(_IFLA_IFNAME, b"").rstrip(b"\0")
        return _INDEX(data)[0] in interest.indexes or name.decode("utf-8", "surrogateescape") in interest.links
    if kind in _ADDRESSES:
        return _INDEX(data)[0] in interest.indexes
    if kind in _ROUTES:
        link = attributes(data, _RTMSG).get(_RTA_OIF)
        return link is not None and _S32(link)[0] in interest.indexes
    if kind in _NETCONFS:
        link = attributes(data, _NETCONF).get(_NETCONFA_IFINDEX)
        return link is not None and _S32(link)[0] in interest.settings
    return _of_firewall(kind, data, interest)


def _of_firewall(kind: int, data: bytes, interest: Interest) -> bool:
    verb = kind - _NFTABLES
    if verb not in (*_TABLES, *_CHAINS, *_RULES, *_SETS):
        return False
    found = attributes(data, _NFGEN)
    table = f"{data[0]}/{_text(found, _TABLE_NAME)}"
    if table in interest.tables or verb in _SETS:
        return table in interest.tables
    if verb in _TABLES:
        return any(chain.startswith(f"{table}/") for chain in interest.chains)
    return f"{table}/{_text(found, _CHAIN_NAME if verb in _CHAINS else _RULE_CHAIN)}" in interest.chains


def _text(found: dict[int, bytes], kind: int) -> str:
    return found.get(kind, b"").rstrip(b"\0").decode("utf-8", "surrogateescape")
