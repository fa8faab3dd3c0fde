"""A bridge of the host's: sandboxes on it reach each other, the host, and the outside with the host's address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from nsctl import Conflict, Facts, Invalid, Mode, Refused, Request, Step, Steps, hookimpl, kit, opt

__all__ = ["MODE", "Options", "steps"]

METRIC = 100
"""Of the default route: stated, so that a route of another network can stand beside it."""
IPV6_MTU = 1280
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The mode's options."""

    network: str | None = opt(
        None, "the network; by default the one that all share who name none: nsbr0, if that is free", metavar="NAME"
    )
    subnet: IPv4Network | None = opt(None, "the network's subnet; by default the first free /24 of a pool")
    ip: IPv4Address | IPv4Interface | None = opt(None, "the address inside; by default a free one, with --join none")
    gateway: IPv4Address | None = opt(
        None, "the bridge's own address; by default the subnet's first; with --join the next hop, by default none"
    )
    bridge: str | None = opt(None, "the network's bridge; by default one named after it", metavar="NAME")
    join: str | None = opt(
        None, "a bridge of the host's, not nsctl's, to add a port to; nothing of it is changed", metavar="BRIDGE"
    )
    ifname: str = opt("eth0", "the interface's name inside", metavar="NAME")
    mac: str | None = opt(None, "the hardware address inside; by default derived from the name", metavar="MAC")
    mtu: int | None = opt(
        None,
        "bytes; by default those of the bridge, or the smallest of links and routes that lead out",
        metavar="BYTES",
    )
    internal: bool = opt(False, "the network has no way out: no default route, no masquerade, nothing forwarded")  # noqa: FBT003
    allow_overlap: bool = opt(False, "take the subnet even if it overlaps a route of the host")  # noqa: FBT003
    allow_address: tuple[IPv4Address, ...] = opt(
        (), "another address of the subnet that it may send from, for one added inside (may be repeated)"
    )
    allow_spoofing: bool = opt(
        False,  # noqa: FBT003
        "it may send with addresses that are not its own: for VRRP, and for bridges or macvlan inside",
    )
    uplink: str | None = opt(
        None, "the only link that answers may come in by; by default any, now and later", metavar="LINK"
    )


def steps(request: Request, facts: Facts) -> Steps:
    """Plan."""
    o = split_prefix(request.options)
    check(o, facts)
    yield from joined_steps(request.name, o, facts) if o.join is not None else network_steps(request.name, o, facts)


def network_steps(name: str, o: Options, facts: Facts) -> Steps:
    """Plan an endpoint on an nsctl network."""
    network = choose(o, facts)
    bridge, gateway, mtu, internal = network.bridge, network.gateway, network.mtu, network.internal
    ip = choose_address(o, network, facts)
    check_more(o, bridge, gateway.network, gateway.ip, name, facts)
    ifname, end = o.ifname, kit.host_ifname(name, o.ifname)
    check_end(end, bridge, name, facts)
    # By default one that goes with the address: whoever talked to its last owner reaches the next one at once.
    usual = kit.derived_mac("address", str(ip))
    cable = kit.derived_mac(name, end)
    mac = kit.choose_mac(bridge, end, name, facts, cable=cable, wanted=o.mac, usual=usual)
    quiet = "no IPv6 address of its own: this is an IPv4 network"
    # Below its smallest MTU the kernel has no IPv6 on a link at all (RFC 8200, 5), and nothing to switch off.
    ipv6 = "net/ipv6/conf/default/disable_ipv6" in facts.sysctls and mtu >= IPV6_MTU

    yield claims(bridge, ip, mac, cable)
    judged = not o.allow_spoofing and kit.filters_ports(facts)
    if judged:
        yield kit.own_addresses(end, mac, ip, *o.allow_address)
    yield kit.netns(name)
    yield kit.bridge(bridge, mtu=mtu)
    yield kit.name_network(bridge, network.name)
    if judged:
        yield kit.keep_groups(bridge)
    if ipv6:
        yield kit.link_set(bridge, "addrgenmode", "none", why=f"{bridge}: {quiet}")
        yield kit.sysctl(
            facts,
            f"net/ipv6/conf/{bridge}/accept_ra",
            "0",
            why=f"{bridge}: ignore router advertisements",
        )
        yield kit.sysctl(facts, f"net/ipv6/conf/{bridge}/disable_ipv6", "1", why=f"{bridge}: no IPv6")
    yield kit.address(bridge, gateway)
    yield kit.link_up(bridge)
    yield kit.veth(end, master=bridge, peer=ifname, netns=name, peer_mac=mac, mtu=mtu)
    if ipv6:
        yield kit.link_set(end, "addrgenmode", "none", why=f"{end}: {quiet}")
        yield kit.sysctl(facts, f"net/ipv6/conf/{ifname}/disable_ipv6", "1", netns=name, why=f"{ifname}: no IPv6")
    yield notify(ifname, name, facts)

    yield kit.own_sources(bridge, gateway.network, internal=internal)
    isolation = kit.filter_network(bridge, internal=internal)
    yield isolation
    yield kit.zone(bridge, facts, after=tuple(step.key for step in isolation))
    if not internal:
        yield kit.masquerade(gateway.network, unless_to=bridge)
    yield kit.sysctl(
        facts,
        f"net/ipv4/conf/{bridge}/forwarding",
        "0" if internal else "1",
        why=_forwarding(bridge, internal=internal),
    )
    if not internal:
        yield from kit.way_back(bridge, facts, uplink=o.uplink)

    yield kit.link_up(end)
    yield kit.link_up("lo", netns=name)
    yield kit.address(ifname, f"{ip}/{gateway.network.prefixlen}", netns=name)
    yield kit.link_up(ifname, netns=name)
    if not internal:
        yield kit.default_route(gateway.ip, link=ifname, metric=METRIC, netns=name)
    # A new bridge has no stale neighbours; and each announcement floods all ports.
    if bridge in facts.links and facts.links[bridge].index:
        yield kit.announce(ifname, mac, netns=name, after=(f"route/{name}:default/{METRIC}",))


def joined_steps(name: str, o: Options, facts: Facts) -> Steps:
    """Plan a port on an existing host bridge; no setting of the bridge is changed."""
    bridge, ifname, end = o.join or "", o.ifname, kit.host_ifname(name, o.ifname)
    cable = kit.port_mac(name, end)
    check_end(end, bridge, name, facts)
    place = kit.choose_joined(bridge, cable, facts, ip=plain_ip(o), subnet=o.subnet, gateway=o.gateway)
    address = place.address
    # Without an address it differs between two hosts' sandboxes of one name, too.
    own = (name, end, place.mac) if address is None else ("address", str(address.ip))
    mac = kit.choose_mac(bridge, end, name, facts, cable=cable, wanted=o.mac, usual=kit.derived_mac(*own))
    ipv6 = "net/ipv6/conf/default/disable_ipv6" in facts.sysctls and place.mtu >= IPV6_MTU

    yield claims(bridge, None if address is None else address.ip, mac, cable)
    if address is not None:
        check_more(o, bridge, address.network, place.gateway, name, facts)
        if not o.allow_spoofing and kit.filters_ports(facts):
            yield kit.own_addresses(end, mac, address.ip, *o.allow_address)
    yield kit.netns(name)
    yield kit.veth(
        end, master=bridge, master_index=place.index, mac=cable, peer=ifname, netns=name, peer_mac=mac, mtu=place.mtu
    )
    if ipv6:
        yield kit.link_set(end, "addrgenmode", "none", why=f"{end}: no IPv6 address of its own: it is only a port")
    if ipv6 and address is not None:
        yield kit.sysctl(facts, f"net/ipv6/conf/{ifname}/disable_ipv6", "1", netns=name, why=f"{ifname}: no IPv6")
    if address is not None:
        yield notify(ifname, name, facts)
    yield kit.link_up(end)
    yield kit.link_up("lo", netns=name)
    if address is not None:
        yield kit.address(ifname, address, netns=name)
    yield kit.link_up(ifname, netns=name)
    if place.gateway is not None:
        yield kit.default_route(place.gateway, link=ifname, metric=METRIC, netns=name)
    yield kit.announce(ifname, mac, netns=name, after=(f"route/{name}:default/{METRIC}",)) if address else None


def claims(bridge: str, ip: IPv4Address | None, *macs: str) -> Iterator[Step]:
    """What nobody else may have on a bridge: the address inside, and the hardware addresses of both ends."""
    if ip is not None:
        yield kit.claim(f"address/{bridge}", ip)
    for mac in macs:
        yield kit.claim(f"mac/{bridge}", mac)


def notify(ifname: str, name: str, facts: Facts) -> Step | None:
    """Announce the address to neighbours when it comes up."""
    key, why = f"net/ipv4/conf/{ifname}/arp_notify", "announce the address to the neighbours when it comes up"
    return kit.sysctl(facts, key, "1", netns=name, why=why)


def split_prefix(o: Options) -> Options:
    """
    The options, with what `--ip ADDRESS/PREFIX` says of the subnet in its own place.

    Raises:
        Invalid: --subnet says something else.
    """
    if not isinstance(o.ip, IPv4Interface):
        return o
    if o.subnet not in {None, o.ip.network}:
        raise Invalid(
            f"--ip {o.ip} is not in --subnet {o.subnet}, or has another prefix length",
            hint="say the prefix length once",
        )
    return replace(o, ip=o.ip.ip, subnet=o.ip.network)


def plain_ip(o: Options) -> IPv4Address | None:
    """The address asked for, without a prefix length."""
    return o.ip.ip if isinstance(o.ip, IPv4Interface) else o.ip


def check(o: Options, facts: Facts) -> None:
    """
    Refuse what is wrong whatever network it becomes.

    Raises:
        Refused: An option is wrong, or the host's firewall is in no state to add to.
    """
    kit.check_ifname(o.ifname, "--ifname")
    if o.mac is not None:
        kit.check_mac(o.mac)
    if o.subnet is not None:
        kit.check_subnet(o.subnet)
    if o.allow_spoofing and o.allow_address:
        raise Invalid("--allow-spoofing allows every address", hint="leave --allow-address out")
    if o.join is not None:
        check_join(o)
        return
    if o.allow_overlap and o.subnet is None:
        raise Invalid("--allow-overlap is about --subnet", hint="say which one, or leave it out: a free one is chosen")
    if o.uplink is not None and o.internal:
        raise Invalid("--internal has no way out, so no --uplink", hint="leave one of them out")
    if o.uplink is not None and o.uplink not in facts.links:
        raise Invalid(
            f"there is no link '{kit.check_ifname(o.uplink, '--uplink')}'", hint="see the links with: ip link"
        )
    if not facts.firewall.backend:
        raise Refused("the tool 'iptables' is missing", hint="apt install iptables")
    if facts.firewall.mixed:
        raise Conflict(
            f"the host has {facts.firewall.mixed} iptables rules, while iptables drives {facts.firewall.backend}",
            hint="two back ends contradict each other: move all rules to one (update-alternatives --config iptables)",
        )


def check_end(end: str, bridge: str, name: str, facts: Facts) -> None:
    """
    Refuse a cable whose end on the host would be called like a bridge.

    Raises:
        Conflict: It would.
    """
    if end == bridge or end in facts.networks:
        raise Conflict(
            f"{end} is a bridge, and has to be the host's end of the cable of '{name}'",
            hint="choose another --bridge, or another --name",
        )


def check_join(o: Options) -> None:
    """
    Refuse options that don't apply to a bridge that nsctl did not make.

    Raises:
        Invalid: One of them was given.
    """
    for flag, given in (("--network", o.network), ("--bridge", o.bridge)):
        if given is not None:
            raise Invalid(f"--join {o.join} and {flag} {given} are two bridges", hint="leave one of them out")
    open_anyway = "without --ip, what it may send is not judged"
    for flag, unusable, why in (
        ("--allow-address", o.ip is None and o.allow_address, open_anyway),
        ("--allow-spoofing", o.ip is None and o.allow_spoofing, open_anyway),
        ("--mtu", o.mtu is not None, "a port has the bridge's MTU"),
        ("--internal", o.internal, "where it leads is for whoever runs it to say"),
        ("--uplink", o.uplink is not None, "where it leads is for whoever runs it to say"),
        ("--allow-overlap", o.allow_overlap, "no subnet is made"),
    ):
        if unusable:
            raise Invalid(f"--join {o.join} goes without {flag}: {why}", hint=f"leave {flag} out")


def choose(o: Options, facts: Facts) -> kit.Network:
    """
    The network: one of nsctl's that fits, or a new one.

    Raises:
        Refused: What is asked for contradicts what is there.
    """
    network = kit.choose_network(
        kit.Asked(o.network, o.bridge, o.subnet, o.gateway, plain_ip(o), o.mtu, o.internal, o.allow_overlap), facts
    )
    if network.internal and o.uplink is not None:
        raise Conflict(f"the network '{network.name}' has no way out, so no --uplink", hint="leave --uplink out")
    return network


def choose_address(o: Options, network: kit.Network, facts: Facts) -> IPv4Address:
    """
    The address inside.

    Raises:
        Refused: The one asked for can't be had, or none is free.
    """
    net, gateway = network.gateway.network, network.gateway.ip
    ip = plain_ip(o)
    if ip is None:
        return kit.free_address(network.bridge, net, gateway, facts)
    if ip not in net:
        raise Invalid(
            f"{ip} is not in {net}, the subnet of {network.bridge}",
            hint="choose another --ip or --subnet, or leave --ip out",
        )
    first, last = kit.host_addresses(net)
    if ip == gateway or not first <= ip <= last:
        what = "gateway" if ip == gateway else "network address" if ip < first else "broadcast address"
        raise Invalid(f"{ip} is the {what} of {net}", hint="choose another --ip, or leave it out")
    if (holder := kit.claimed(f"address/{network.bridge}", facts).get(str(ip))) is not None:
        if holder in facts.sandboxes and facts.sandboxes[holder].ended:
            raise Conflict(f"{ip} is taken by '{holder}', which has ended", hint=f"free it: nsctl down {holder}")
        raise Conflict(f"{ip} is taken by '{holder}'", hint="choose another --ip, or leave it out")
    return ip


def check_more(o: Options, bridge: str, net: IPv4Network, gateway: IPv4Address | None, name: str, facts: Facts) -> None:
    """
    Refuse to let a sandbox send in the name of what is there.

    Raises:
        Refused: An address is outside of the network, the gateway's, or another sandbox's.
    """
    first, last = kit.host_addresses(net)
    for address in o.allow_address:
        if not first <= address <= last:
            raise Invalid(f"{address} is no host address of {net}", hint="choose another --allow-address")
        if address == gateway:
            raise Invalid(f"{address} is the gateway of {net}", hint="choose another --allow-address")
        if (holder := kit.claimed(f"address/{bridge}", facts).get(str(address), name)) != name:
            raise Conflict(f"{address} is taken by '{holder}'", hint="choose another --allow-address")


def _forwarding(bridge: str, *, internal: bool) -> str:
    return f"forward nothing that comes from {bridge}" if internal else f"forward what comes from {bridge}"


MODE = Mode(
    "bridge",
    "a private network on a host bridge, shared with other sandboxes, with NAT to the outside",
    Options,
    steps,
    example="nsctl up bridge --name web --subnet 10.0.3.0/24 --workdir $(mktemp -d) -- python3 -m http.server 80",
)


@hookimpl
def nsctl_modes() -> list[Mode]:
    """The mode."""
    return [MODE]
