"""Base chains of nftables that are not iptables's: found over netlink, listed by `nft` where there are any."""

from __future__ import annotations

from struct import Struct

from nsctl.engine.host.kernel import Kernel
from nsctl.engine.host.netlink import Netlink, attributes
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.reach.model import BaseChain
from nsctl.engine.reach.nft import base_chains

__all__ = ["foreign_chains"]

_NETFILTER, _GET_CHAIN = 12, 10 << 8 | 4
_GENERIC = Struct("!BBH")  # linux/netfilter/nfnetlink.h: family, version, resource
_TABLE, _HOOK = 1, 4  # linux/netfilter/nf_tables.h
_FAMILIES = {1: "inet", 2: "ip"}
_IPTABLES = frozenset(("ip", name) for name in ("raw", "mangle", "nat", "filter", "security"))
"""Tables of the nft back end of iptables; `iptables-save` has them."""
_LIST = ("nft", "-j", "list", "ruleset")


def foreign_chains(kernel: Kernel) -> tuple[list[BaseChain], tuple[str, ...]]:
    """
    The base chains, and why they could not be read if so.

    Args:
        kernel: The kernel; it runs `nft` where there is anything to list.
    """
    tables = _with_hooks()
    if not tables:
        return [], ()
    shown = ", ".join(" ".join(table) for table in sorted(tables))
    try:
        found = kernel.output(_LIST)
    except NsctlError as e:  # the tool is missing, or not root's
        return [], (f"the tables {shown} of nftables can't be listed: {e.message}",)
    if found is None or found[0] != 0:
        return [], (f"the tables {shown} of nftables can't be listed: {' '.join(_LIST)} fails",)
    try:
        return base_chains(found[1], skip=_IPTABLES), ()
    except (ValueError, KeyError, TypeError):
        return [], (f"what nft lists of the tables {shown} can't be read",)


def _with_hooks() -> set[tuple[str, str]]:
    import socket

    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
    with Netlink(sock) as netlink:
        try:
            messages = netlink.dump(_GET_CHAIN, _GENERIC.pack(0, 0, 0))
        except OSError:  # no nf_tables in this kernel, or not root
            return set()
    found = set()
    for data in messages:
        family, held = _FAMILIES.get(data[0]), attributes(data, _GENERIC.size)
        if family is not None and _HOOK in held and _TABLE in held:
            found.add((family, held[_TABLE].split(b"\0", 1)[0].decode(errors="replace")))
    return found - _IPTABLES
