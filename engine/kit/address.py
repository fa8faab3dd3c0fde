"""Addresses and routes."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

from nsctl.engine.kit.keys import at, check_link, link_key, needs, shared
from nsctl.engine.model.commands import Announce, Ip
from nsctl.engine.model.effects import AddrOn, RouteVia
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_mac, display
from nsctl.engine.model.plan import Step

__all__ = ["address", "announce", "default_route", "route"]

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network
_POINT_TO_POINT = 31
"""From this prefix length on, an IPv4 network has neither network nor broadcast address (RFC 3021)."""


@shared
def address(link: str, value: Interface | str, *, netns: str | None = None) -> Step:
    """
    Give a link an address.

    Args:
        link: The link.
        value: The address with its prefix (`10.0.3.2/24`).
        netns: The namespace that the link is in.

    Raises:
        Invalid: It is no address that a link can have.
    """
    check_link(link, netns)
    interface = _interface(value)
    # Without a broadcast address of its own, `ip` gives the link none, and 10.0.3.255 reaches nobody.
    broadcast = (
        ("brd", "+") if isinstance(interface, IPv4Interface) and interface.network.prefixlen < _POINT_TO_POINT else ()
    )
    return Step(
        key=f"addr/{at(link, netns)}/{interface}",
        why=f"give {link} the address {interface}",
        do=Ip("addr", "add", (str(interface), *broadcast), link, netns=netns),
        undo=(Ip("addr", "del", (str(interface),), link, netns=netns),),
        effect=AddrOn(link, str(interface), netns),
        removed_with=link_key(link, None) if netns is None else f"netns/{netns}",
        after=needs(link, netns),
    )


def announce(link: str, mac: str, *, netns: str, after: tuple[str, ...] | None = None) -> Step:
    """
    Tell the neighbours which hardware address a link's addresses have, by a gratuitous ARP.

    With `arp_notify` the kernel sends one when the hardware address is set, be it the same (ip-sysctl.rst).
    What it sends when a link comes up is lost on a bridge, whose port forwards a moment later.

    Args:
        link: The link, which is up.
        mac: Its hardware address.
        netns: The namespace that it is in.
        after: Keys that come before, besides the link's being up; None: all earlier ones.
    """
    check_link(link, netns)
    return Step(
        key=f"announce/{at(link, netns)}",
        why=f"announce {link} to its neighbours (gratuitous ARP)",
        do=Announce(link, check_mac(mac), netns),
        no_undo="an announcement can't be taken back",
        after=None if after is None else (*needs(link, netns), f"up/{at(link, netns)}", *after),
    )


def route(
    destination: Network | str,
    *,
    link: str,
    via: Address | str | None = None,
    metric: int | None = None,
    netns: str | None = None,
) -> Step:
    """
    Add a route to the main table.

    Args:
        destination: A network, or `default`.
        link: The link it goes out by.
        via: The next hop; none where the destination is on the link.
        metric: The lower, the better; the kernel's default where not given.
        netns: The namespace.

    Raises:
        Invalid: An address is wrong.
    """
    check_link(link, netns)
    where = "default" if destination == "default" else str(_network(destination))
    hop = None if via is None else str(_address(via))
    words = (where, *(("via", hop) if hop else ()))
    settings = () if metric is None else ("metric", str(metric))
    suffix = "" if metric is None else f"/{metric}"
    return Step(
        key=f"route/{at(where, netns)}{suffix}",
        why=f"route {where} through {hop or link}",
        do=Ip("route", "add", words, link, settings, netns),
        undo=(Ip("route", "del", words, link, settings, netns),),
        effect=RouteVia(where, hop, link, metric, netns),
        removed_with=link_key(link, None) if netns is None else f"netns/{netns}",
        after=(*needs(link, netns), f"up/{at(link, netns)}"),
    )


def default_route(
    via: Address | str, *, link: str = "eth0", metric: int | None = None, netns: str | None = None
) -> Step:
    """
    Add the default route.

    Args:
        via: The gateway.
        link: The link it is reached by.
        metric: The lower, the better.
        netns: The namespace.
    """
    return route("default", via=via, link=link, metric=metric, netns=netns)


def _interface(value: Interface | str) -> Interface:
    try:
        interface = ip_interface(value)
    except ValueError:
        raise Invalid(
            f"'{display(str(value))}' is not an address with a prefix length", hint="write it like 10.0.3.2/24"
        ) from None
    ip = interface.ip
    if ip.is_multicast or ip.is_unspecified or (ip.version == 4 and int(ip) >= 0xF0000000):  # noqa: PLR2004 - 240/4
        raise Invalid(f"{ip} is not an address that a link can have", hint="use a unicast address")
    net = interface.network
    if isinstance(net, IPv4Network) and net.prefixlen < _POINT_TO_POINT and ip in {net[0], net[-1]}:
        what = "network" if ip == net[0] else "broadcast"
        raise Invalid(f"{ip} is the {what} address of {net}", hint="use an address in between")
    return interface


def _network(value: Network | str) -> Network:
    try:
        return ip_network(value)
    except ValueError:
        raise Invalid(
            f"'{display(str(value))}' is not a network", hint="write it like 10.0.3.0/24, or default"
        ) from None


def _address(value: Address | str) -> Address:
    try:
        return ip_address(value)
    except ValueError:
        raise Invalid(f"'{display(str(value))}' is not an address", hint="write it like 10.0.3.1") from None
