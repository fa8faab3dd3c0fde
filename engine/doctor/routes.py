"""Uplinks, forwarding, MTU, name servers, subnets."""

from __future__ import annotations

from ipaddress import IPv4Network

from nsctl.engine.doctor.finding import FAIL, OK, WARN, Finding, Scene
from nsctl.engine.kit.subnets import free_subnet
from nsctl.engine.model.errors import Conflict
from nsctl.engine.planning.resolvers import HINT, name_servers, no_resolver, on_loopback

__all__ = ["forwarding", "mtu", "resolvers", "source_checks", "subnets", "uplinks", "way_out"]

_ALL = "net/ipv4/conf/all/"
_STRICT = 1


def uplinks(scene: Scene) -> Finding:
    """The links that lead out."""
    names = scene.facts.uplinks
    if not names:
        return Finding(
            WARN, "no default route: sandboxes get no further than the host itself", "see: ip route; ip rule"
        )
    lame = [name for name in names if (link := scene.host.links.get(name)) is None or not (link.up and link.carrier)]
    if lame:
        return Finding(
            WARN, f"{', '.join(lame)}, which a default route leads to, is down or has no carrier", "see: ip link"
        )
    return Finding(OK, ", ".join(names))


def forwarding(scene: Scene) -> Finding:
    """Whether the host forwards by itself; nsctl switches on what it needs, and guards it."""
    on = scene.host.settings.get(_ALL + "forwarding", "0") != "0"
    if on:
        return Finding(OK, "the host forwards between all links")
    links = [
        name for name in scene.facts.uplinks if (link := scene.host.links.get(name)) is not None and link.forwarding
    ]
    also = f", but for what comes in by {', '.join(links)}" if links else ""
    return Finding(OK, f"the host does not forward{also}: a bridge network switches on what it needs, and guards it")


def source_checks(scene: Scene) -> Finding:
    """Whether strict source validation could drop answers: where there are several ways out."""
    general = int(scene.host.settings.get(_ALL + "rp_filter", "0") or 0)
    strict = [
        name
        for name in scene.facts.uplinks
        if (link := scene.host.links.get(name)) is not None and max(general, link.rp_filter) == _STRICT
    ]
    if strict and len(scene.facts.uplinks) > 1:
        keys = " ".join(f"net/ipv4/conf/{name}/rp_filter=2" for name in strict)
        what = (
            f"rp_filter is strict on {', '.join(strict)}, and there are several uplinks: it drops answers that come in"
        )
        return Finding(WARN, f"{what} by another one than packets go out by", f"sysctl -w {keys}")
    return Finding(OK, f"rp_filter is strict on {', '.join(strict)}, the only uplink" if strict else "not strict")


def mtu(scene: Scene) -> Finding:
    """The MTU that a new network gets."""
    facts = scene.facts
    size = facts.default_mtu
    by = [f"{name} {facts.links[name].mtu}" for name in facts.uplinks if name in facts.links]
    if facts.route_mtu is not None:
        by.append(f"a route {facts.route_mtu}")
    return Finding(OK, f"{size} bytes inside" + (f" ({', '.join(by)})" if by else ""))


def resolvers(scene: Scene) -> Finding:
    """The name servers that a sandbox gets."""
    servers = name_servers(scene.facts.resolv_conf or "")
    if not servers:
        return Finding(WARN, "/etc/resolv.conf names no name server", "names won't resolve in sandboxes, nor here")
    if all(map(on_loopback, servers)):
        return Finding(WARN, f"names won't resolve in sandboxes: {no_resolver(servers)}", HINT)
    return Finding(OK, ", ".join(servers))


def subnets(scene: Scene) -> Finding:
    """Whether there is room for a network, and whether the host's own networks get in each other's way."""
    try:
        free = free_subnet(scene.facts)
    except Conflict as e:
        return Finding(FAIL, e.message, e.hint)
    found: dict[IPv4Network, str] = {}
    for link, address in scene.facts.addresses:
        other = next((n for n, owner in found.items() if owner != link and n.overlaps(address.network)), None)
        if other is not None:
            what = f"{found[other]} has {other}, and {link} {address.network}: they overlap"
            return Finding(WARN, what, "only one of the two is reached; see: ip address")
        found.setdefault(address.network, link)
    return Finding(OK, f"the next free one is {free}")


def way_out(scene: Scene) -> Finding:
    """Whether a bridge network made now would have a way out."""
    return scene.bridge()
