"""Messages to the kernel's router: encoded by pyroute2, sent several at a time."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from ipaddress import IPv4Address
from typing import Any, Self

from scripts.benchmark.cost import Failed
from scripts.benchmark.variant import BRIDGE, GATEWAY, NETWORK

__all__ = ["VETH", "Letters", "Socket"]

# From <linux/rtnetlink.h> and <linux/netlink.h>.
NEWLINK, DELLINK, NEWADDR, NEWROUTE = 16, 17, 20, 24
REQUEST, ACK, CREATE = 0x1, 0x4, 0x400 | 0x200  # NLM_F_CREATE | NLM_F_EXCL
UP = 1
"""IFF_UP."""
SIOCGSKNS = 0x894C
"""From <linux/sockios.h>: a descriptor of a socket's network namespace."""
VETH = 3
"""Messages that make a veth pair."""
LO, ETH0 = 1, 2
"""Indices of links in a sandbox: the first is the kernel's choice, the second ours."""

# Stand where a sandbox's own values will: encoding takes longer than the kernel does, and only the kernel is measured.
_NAME, _FD, _MASTER, _ADDRESS = "v-0000", 0x7A7A7A7A, 0x7B7B7B7B, IPv4Address("10.77.255.254")


class Socket:
    """A routing socket in the network namespace that the thread is in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def netns(self) -> int:
        """A new descriptor of its network namespace."""
        return fcntl.ioctl(self._socket.fileno(), SIOCGSKNS)

    def send(self, *messages: bytes, count: int = 0) -> None:
        """
        Send messages together, and wait until all are carried out.

        Args:
            messages: The messages.
            count: How many there are, where one argument is several.

        Raises:
            Failed: One is refused.
        """
        self._socket.send(b"".join(messages))
        answered = 0
        while answered < (count or len(messages)):
            data = self._socket.recv(1 << 16)
            while data:
                length, _, _, _, _, error = struct.unpack_from("=LHHLLi", data)
                if error:
                    raise Failed(f"netlink: {errno.errorcode.get(-error, error)}")
                answered += 1
                data = data[length + 3 & ~3 :]


class Letters:
    """The messages, encoded beforehand."""

    def __init__(self) -> None:
        peer = {"index": ETH0, "attrs": [("IFLA_IFNAME", "eth0"), ("IFLA_NET_NS_FD", _FD)]}
        self.bridge = _made(IFLA_IFNAME=BRIDGE, IFLA_LINKINFO=_kind("bridge")), _quiet(0, BRIDGE), _raised(0, BRIDGE)
        port = _made(IFLA_IFNAME=_NAME, IFLA_MASTER=_MASTER, IFLA_LINKINFO=_kind("veth", peer))
        self._veth = b"".join((port, _quiet(0, _NAME), _raised(0, _NAME)))
        self._inside = _raised(LO), _quiet(ETH0), _address(ETH0, _ADDRESS), _raised(ETH0), _default_route()

    def gateway(self, bridge: int) -> bytes:
        """Give the bridge of that index its address."""
        return _address(bridge, GATEWAY)

    def remove(self, index: int) -> bytes:
        """Remove a link."""
        return _message("link", DELLINK, index=index)

    def veth(self, number: int, bridge: int, netns: int) -> bytes:
        """A port of the bridge, and its peer in the namespace of that descriptor: `VETH` messages."""
        message = self._veth.replace(_NAME.encode(), b"v-%04d" % number)
        return message.replace(struct.pack("=i", _FD), struct.pack("=i", netns)).replace(
            struct.pack("=i", _MASTER), struct.pack("=i", bridge)
        )

    def inside(self, address: IPv4Address) -> tuple[bytes, ...]:
        """Everything in the namespace."""
        return tuple(message.replace(_ADDRESS.packed, address.packed) for message in self._inside)


def _message(what: str, kind: int, *, create: bool = False, **fields: Any) -> bytes:
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    message = {"link": ifinfmsg, "addr": ifaddrmsg, "route": rtmsg}[what]()
    message.update(fields)
    message["header"] = {"type": kind, "flags": REQUEST | ACK | (CREATE if create else 0), "sequence_number": 1}
    message.encode()
    return bytes(message.data)


def _made(**attributes: Any) -> bytes:
    return _message("link", NEWLINK, create=True, attrs=list(attributes.items()))


def _quiet(index: int, name: str = "") -> bytes:
    # No IPv6 address of its own: on a large bridge, their multicast takes longer than everything else.
    none = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", 1)]})]}
    return _message("link", NEWLINK, index=index, attrs=[*_named(name), ("IFLA_AF_SPEC", none)])


def _raised(index: int, name: str = "") -> bytes:
    return _message("link", NEWLINK, index=index, flags=UP, change=UP, attrs=_named(name))


def _named(name: str) -> list[tuple[str, str]]:
    return [("IFLA_IFNAME", name)] if name else []


def _kind(name: str, peer: dict[str, Any] | None = None) -> dict[str, Any]:
    data = [] if peer is None else [("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", peer)]})]
    return {"attrs": [("IFLA_INFO_KIND", name), *data]}


def _address(index: int, address: IPv4Address) -> bytes:
    values = ("IFA_LOCAL", address), ("IFA_ADDRESS", address), ("IFA_BROADCAST", NETWORK.broadcast_address)
    attributes = [(name, str(value)) for name, value in values]
    family, length = socket.AF_INET, NETWORK.prefixlen
    return _message("addr", NEWADDR, create=True, family=family, prefixlen=length, index=index, attrs=attributes)


def _default_route() -> bytes:
    # RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST
    kind = {"family": socket.AF_INET, "table": 254, "proto": 3, "scope": 0, "type": 1}
    attributes = [("RTA_GATEWAY", str(GATEWAY)), ("RTA_OIF", ETH0)]
    return _message("route", NEWROUTE, create=True, **kind, attrs=attributes)
