"""Subnets and addresses: which are usable, which are free."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network

from nsctl.engine.kit.claims import claimed
from nsctl.engine.model.errors import Conflict, Invalid
from nsctl.engine.model.facts import Facts

__all__ = ["POOLS", "check_subnet", "free_address", "free_subnet", "host_addresses", "overlap"]

POOLS = (IPv4Network("10.77.0.0/16"), IPv4Network("172.16.0.0/16"))
"""
Where subnets are taken from by default.

No peer's defaults are in them: Docker 172.17-31 and 192.168, podman 10.88-95, 10.96/11 and 10.128/9, LXC 10.0.3,
libvirt 192.168.122, Kubernetes 10.96/12 and 10.244, k3s 10.42-43, CNI examples 10.22 and 10.85, OpenVPN 10.8,
CGNAT and Tailscale 100.64/10.
"""
_UNUSABLE = {
    IPv4Network("0.0.0.0/8"): "means 'this network'",
    IPv4Network("127.0.0.0/8"): "is the loopback's",
    IPv4Network("224.0.0.0/4"): "is multicast",
    IPv4Network("240.0.0.0/4"): "is reserved",
}
_SMALLEST, _LARGEST = 31, 8
_SIZE = 256
"""Addresses in a /24."""
_HALF = 1
"""A default route, or one of the two halves by which VPNs override it: it covers all, and overlaps nothing."""


def check_subnet(subnet: IPv4Network) -> IPv4Network:
    """
    A subnet that a network can have.

    Raises:
        Invalid: It is too small, too large, or not for unicast.
    """
    if not _LARGEST <= subnet.prefixlen <= _SMALLEST:
        one = "too small: it has a single address"
        raise Invalid(
            f"the subnet {subnet} is {one if subnet.prefixlen > _SMALLEST else 'too large'}",
            hint="from /8 to /31; /24 is usual",
        )
    for block, reason in _UNUSABLE.items():
        if subnet.overlaps(block):
            raise Invalid(
                f"the subnet {subnet} can't be used: {block} {reason}", hint="take a private one, like 10.0.3.0/24"
            )
    return subnet


def host_addresses(subnet: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    """The first and the last address that a host can have: in a /31 both of its two (RFC 3021)."""
    if subnet.prefixlen >= _SMALLEST:
        return subnet[0], subnet[-1]
    return subnet[1], subnet[-2]


def overlap(subnet: IPv4Network, facts: Facts) -> str | None:
    """
    What on the host a new subnet would get in the way of, in words; None where nothing.

    Routes to everything (the default route, and the 0/1 and 128/1 of VPNs) don't count.
    """
    for bridge, gateway in facts.networks.items():
        if subnet.overlaps(gateway.network):
            return f"{gateway.network} of nsctl's bridge {bridge}"
    for route in facts.routes:
        if route.destination.prefixlen > _HALF and subnet.overlaps(route.destination):
            hop = f" via {route.via}" if route.via else ""
            return f"the host's route {route.destination}{hop} dev {route.link}"
    for link, address in facts.addresses:
        # Of a link that is down there is no route, until it comes up.
        if link not in facts.networks and subnet.overlaps(address.network):
            return f"the address {address} of {link}"
    for server in _nameservers(facts):
        if server in subnet:
            return f"the host's name server {server}"
    return None


def free_subnet(facts: Facts) -> IPv4Network:
    """
    The first /24 of the pools that is in nothing's way.

    Raises:
        Conflict: There is none.
    """
    in_use = [gateway.network for gateway in facts.networks.values()]
    in_use += [route.destination for route in facts.routes if route.destination.prefixlen > _HALF]
    in_use += [IPv4Network(server) for server in _nameservers(facts)]
    in_use += [address.network for _, address in facts.addresses]
    spans = sorted({(int(net[0]), int(net[-1])) for net in in_use})
    for pool in POOLS:
        at, end = int(pool[0]), int(pool[-1])
        for first, last in spans:
            if last < at:
                continue
            if first > at + _SIZE - 1:
                break
            at = last // _SIZE * _SIZE + _SIZE  # the first /24 behind it
        if at + _SIZE - 1 <= end:
            return IPv4Network((at, 24))
    pools = " and ".join(str(p) for p in POOLS)
    raise Conflict(f"every /24 of {pools} overlaps a route of the host", hint="choose one with --subnet")


def free_address(bridge: str, subnet: IPv4Network, gateway: IPv4Address, facts: Facts) -> IPv4Address:
    """
    An address of a bridge's subnet that nobody has claimed: the lowest, where those below it are without a gap.

    Takes time in the logarithm of how many are claimed, unless the subnet is nearly full.

    Raises:
        Conflict: There is none.
    """
    first, last = map(int, host_addresses(subnet))
    claims = claimed(f"address/{bridge}", facts)

    def taken(number: int) -> bool:
        return number == int(gateway) or str(IPv4Address(number)) in claims

    if not taken(first):
        return IPv4Address(first)
    low, stride = first, 1
    while (high := low + stride) <= last:
        if not taken(high):
            while high - low > 1:  # low is taken, high is free
                middle = (low + high) // 2
                low, high = (middle, high) if taken(middle) else (low, middle)
            return IPv4Address(high)
        low, stride = high, stride * 2
    for number in range(first, last + 1):
        if not taken(number):
            return IPv4Address(number)
    holders = {name for address, name in claims.items() if IPv4Address(address) in subnet}
    ended = sorted(name for name in holders if name in facts.sandboxes and facts.sandboxes[name].ended)
    if ended:
        raise Conflict(
            f"every address of {subnet} is taken, some by sandboxes that have ended: {', '.join(ended)}",
            hint=f"free them: nsctl down {' '.join(ended)}",
        )
    raise Conflict(f"every address of {subnet} is taken", hint="take a sandbox down, or use another --subnet")


def _nameservers(facts: Facts) -> list[IPv4Address]:
    found = []
    for line in (facts.resolv_conf or "").splitlines():
        match line.split():
            case ["nameserver", server, *_]:
                try:
                    found.append(IPv4Address(server))
                except AddressValueError:
                    continue  # IPv6
            case _:
                pass
    return found
