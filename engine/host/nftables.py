"""
The table `bridge nsctl` as the kernel has it, over netlink: an `nft` costs 4 ms, and this 0.2.

The layout of messages is that of linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING

import msgspec

from nsctl.engine.host.firewall import TOOL_PATH
from nsctl.engine.host.netlink import Netlink, attributes
from nsctl.engine.kit.port_filter import FILTERED_PORTS
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.hashing import sha256

if TYPE_CHECKING:
    import socket

__all__ = ["BridgeTable", "Entry", "read", "why_lacking"]

_NETFILTER, _BRIDGE, _SUBSYSTEM = 12, 7, 10 << 8
_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_SET, _GET_ELEMENTS = (_SUBSYSTEM | n for n in (1, 4, 7, 10, 13))
_NEW_TABLE, _NEW_CHAIN, _BATCH_BEGIN = _SUBSYSTEM, _SUBSYSTEM | 3, 0x10
_GENERIC = Struct("!BBH")
_ATTRIBUTE = Struct("=HH")
_HEADER = Struct("=IHHII")
_NESTED, _REQUEST, _ACK, _CREATE = 0x8000, 0x1, 0x4, 0x400
_ERROR = 2
_NAME = b"nsctl\0"
_IFNAME = 16
_NONE_HERE = {errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL, errno.EAFNOSUPPORT}
"""Errors of a kernel without such a table, or without nf_tables."""
_GZIP = 31
"""For zlib: a header of gzip's, and the largest window."""
_DIGEST = 6  # bytes: JSON's numbers hold no more


class Entry(msgspec.Struct, frozen=True):
    """
    What the sets have of a port.

    Args:
        listed: Whether it is judged at all.
        macs: The hardware addresses that it may send from.
        addresses: The addresses that it may send from.
    """

    listed: bool
    macs: tuple[str, ...]
    addresses: tuple[str, ...]


_NOTHING = Entry(listed=False, macs=(), addresses=())


class BridgeTable:
    """
    The table.

    Args:
        rules: A number that stands for its chains, rules and sets, their elements left out.
    """

    def __init__(self, rules: int) -> None:
        self.rules = rules
        self._ports: dict[str, Entry] | None = None

    @property
    def ports(self) -> dict[str, Entry]:
        """The ports that its sets name; read when they are first asked for."""
        if self._ports is None:
            self._ports = _read_ports()
        return self._ports

    def port(self, name: str) -> Entry:
        """The port's elements in the table."""
        return self.ports.get(name, _NOTHING)


def read() -> BridgeTable | None:
    """
    The table `bridge nsctl`; None where there is none.

    Raises:
        NsctlError: The kernel does not say.
    """
    own = _attribute(1, _NAME)
    try:
        with Netlink(_socket()) as netlink:
            tables = [t for t in _dump(netlink, _GET_TABLE) if t.get(1) == _NAME]
            if not tables:
                return None
            chains = [c for c in _dump(netlink, _GET_CHAIN, own) if c.get(1) == _NAME]
            rules = [r for r in _dump(netlink, _GET_RULE, own) if r.get(1) == _NAME]
            sets = [s for s in _dump(netlink, _GET_SET, own) if s.get(1) == _NAME]
    except OSError as e:
        if e.errno in _NONE_HERE:
            return None
        raise _unreadable(e) from e
    parts = [
        *(t.get(2, b"") for t in tables),  # flags: it may be dormant
        *sorted(b"".join(c.get(n, b"-") for n in (3, 4, 5, 7, 10)) for c in chains),
        *(b"".join(r.get(n, b"-") for n in (2, 4)) for r in rules),  # as they stand in their chains
        *sorted(b"".join(s.get(n, b"-") for n in (2, 3, 4, 5)) for s in sets),
    ]
    return BridgeTable(int.from_bytes(sha256(b"\0".join(parts)).digest()[:_DIGEST]))


def _unreadable(error: OSError) -> NsctlError:
    return NsctlError(
        f"the table bridge nsctl can't be read: {error.strerror or error}", hint="see: nft list table bridge nsctl"
    )


def _socket() -> socket.socket:
    import socket

    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)


def _dump(netlink: Netlink, kind: int, body: bytes = b"") -> list[dict[int, bytes]]:
    rows = netlink.dump(kind, _GENERIC.pack(_BRIDGE, 0, 0) + body)
    return [attributes(row, _GENERIC.size) for row in rows]


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _read_ports() -> dict[str, Entry]:
    listed: set[str] = set()
    macs: dict[str, list[str]] = {}
    addresses: dict[str, list[str]] = {}
    try:
        with Netlink(_socket()) as netlink:
            listed |= {_port(key) for key in _elements(netlink, "ports")}
            for key in _elements(netlink, "hardware"):
                macs.setdefault(_port(key), []).append(key[_IFNAME : _IFNAME + 6].hex(":"))
            for key in _elements(netlink, "addresses"):
                addresses.setdefault(_port(key), []).append(".".join(map(str, key[_IFNAME : _IFNAME + 4])))
    except OSError as e:
        if e.errno not in _NONE_HERE:
            raise _unreadable(e) from e
    return {
        port: Entry(port in listed, tuple(sorted(macs.get(port, ()))), tuple(sorted(addresses.get(port, ()))))
        for port in sorted({*listed, *macs, *addresses})
    }


def _port(key: bytes) -> str:
    return key[:_IFNAME].partition(b"\0")[0].decode(errors="replace")


def _elements(netlink: Netlink, name: str) -> Iterator[bytes]:
    # A dump has many messages, of each set's elements some: a list in which each has the same type.
    body = _attribute(1, _NAME) + _attribute(2, name.encode() + b"\0")
    for row in netlink.dump(_GET_ELEMENTS, _GENERIC.pack(_BRIDGE, 0, 0) + body):
        elements = attributes(row, _GENERIC.size).get(3, b"")
        offset = 0
        while offset + _ATTRIBUTE.size <= len(elements):
            size, _ = _ATTRIBUTE.unpack_from(elements, offset)
            key = attributes(elements[offset + _ATTRIBUTE.size : offset + size]).get(1)
            offset += max((size + 3) & ~3, _ATTRIBUTE.size)
            if key is not None:
                yield attributes(key).get(1, b"")


def why_lacking(what: str) -> str | None:
    """Why the host can't do something that modes may ask for; None if it can, as far as anybody can tell."""
    if what != FILTERED_PORTS:
        return None
    if not any(os.access(f"{directory}/nft", os.X_OK) for directory in TOOL_PATH):
        return "the tool 'nft' is missing (apt install nftables)"
    built = _is_built_in()
    if _would_be_made() if built is None else built:
        return None
    return "this kernel has no nf_tables for bridges (CONFIG_NF_TABLES_BRIDGE)"


def _is_built_in() -> bool | None:
    # By what the kernel was built with, 0.5 ms; None where that is not to be read. Asking the kernel itself takes 12.
    import zlib

    release = os.uname().release
    for path in ("/proc/config.gz", f"/boot/config-{release}", f"/lib/modules/{release}/config"):
        try:
            with open(path, "rb") as file:
                text = file.read()
            text = zlib.decompress(text, _GZIP) if path.endswith(".gz") else text
        except (OSError, zlib.error):
            continue
        if b"\nCONFIG_NF_TABLES_BRIDGE=y\n" in text and b"\nCONFIG_NF_TABLES=y\n" in text:
            return True
        if b"\nCONFIG_NF_TABLES_BRIDGE=" in text:
            return os.path.isdir("/sys/module/nf_tables") or None  # the module may not be installed
        return False
    return None


def _would_be_made() -> bool:
    # What would make a chain there, in a batch that has no end: the kernel checks it, and does none of it (`nft -c`).
    hook = _attribute(1, (0).to_bytes(4)) + _attribute(2, (0).to_bytes(4))
    chain = _attribute(1, b"nsctl-try\0") + _attribute(3, b"try\0")
    chain += _attribute(4 | _NESTED, hook) + _attribute(7, b"filter\0")
    messages = (
        (_BATCH_BEGIN, 0, _GENERIC.pack(0, 0, _SUBSYSTEM >> 8)),
        (_NEW_TABLE, _CREATE | _ACK, _GENERIC.pack(_BRIDGE, 0, 0) + _attribute(1, b"nsctl-try\0")),
        (_NEW_CHAIN, _CREATE | _ACK, _GENERIC.pack(_BRIDGE, 0, 0) + chain),
    )
    text = b"".join(
        _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, n, 0) + body
        for n, (kind, flags, body) in enumerate(messages)
    )
    try:
        with _socket() as sock:
            sock.settimeout(5)
            sock.send(text)
            answers = sock.recv(65536)
    except TimeoutError:
        return True  # it was heard, and nothing was wrong with it
    except OSError:
        return False
    offset = 0
    while offset + _HEADER.size + 4 <= len(answers):
        length, kind, *_ = _HEADER.unpack_from(answers, offset)
        status = -int.from_bytes(answers[offset + _HEADER.size :][:4], "little", signed=True) if kind == _ERROR else 0
        if status not in {0, errno.EPERM}:  # an ordinary user is told nothing
            return False
        offset += max((length + 3) & ~3, _HEADER.size)
    return True
