"""
Base chains of nftables that are not iptables', read.

Whether there are any is asked over netlink; of most hosts there are none, and then no process is started.
The layout of messages is that of linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from struct import pack
from typing import TYPE_CHECKING

from nsctl.engine.errors import NsctlError
from nsctl.engine.probe.netlink import Netlink, attributes
from nsctl.engine.reach.nftables import base_chains, is_iptables

if TYPE_CHECKING:
    from nsctl.engine.probe.kernel import Kernel
    from nsctl.engine.reach.model import BaseChain

__all__ = ["LIST", "native_chains"]

LIST = ("nft", "-j", "list", "ruleset")
_NETFILTER = 12
_GET_CHAIN = 10 << 8 | 4
_TABLE, _NAME, _HOOK = 1, 3, 4
_FAMILIES = {1: "inet", 2: "ip"}


def native_chains(kernel: Kernel) -> Sequence[BaseChain]:
    """
    The base chains that IPv4 packets meet beside iptables', by one `nft` where there are any.

    Args:
        kernel: The kernel, whose reader runs it.

    Raises:
        NsctlError: There are some, and they can't be read.
    """
    if not _are_there():
        return ()
    found = kernel.output(LIST)
    status, output = found if found is not None else (1, "")
    if status != 0:
        raise NsctlError(f"nftables can't be read: nft exits with {status}", hint="run nft list ruleset and see")
    import json

    try:
        return base_chains(json.loads(output)["nftables"])
    except (KeyError, TypeError, ValueError) as e:
        raise NsctlError(f"nftables can't be read: nft prints what it should not: {e}") from e


def _are_there() -> bool:
    try:
        with Netlink(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)) as netlink:
            rows = netlink.dump(_GET_CHAIN, pack("=BBH", 0, 0, 0))
    except OSError:  # no nftables in this kernel, or not root
        return False
    for row in rows:
        family, found = _FAMILIES.get(row[0], ""), attributes(row, 4)
        if family and _HOOK in found and not is_iptables(family, _text(found[_TABLE]), _text(found[_NAME])):
            return True
    return False


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="backslashreplace")
