"""
Joining a bridge of the host's that is not nsctl's: what has to fit before a port is added to it.

Of the bridge itself nothing is ever set, and nothing of it is taken away. What it gives (addresses, a way out) is for
whoever runs it to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from nsctl.engine.kit.choosing import PORTS
from nsctl.engine.kit.claims import claimed
from nsctl.engine.kit.subnets import check_subnet, host_addresses
from nsctl.engine.model.errors import Conflict, Invalid
from nsctl.engine.model.facts import Facts, Link
from nsctl.engine.model.names import check_ifname, derived_mac, display

__all__ = ["Joined", "choose_joined"]

_NO_BRIDGE = {
    "openvswitch": "an Open vSwitch, which gets its ports by ovs-vsctl",
    "bond": "a bond, which has only links of its own kind",
    "team": "a team, which has only links of its own kind",
    "vrf": "a VRF, which routes",
    "": "a network card, or something like it",
}
"""Links that people may take for bridges: the kind → what it is."""


@dataclass(frozen=True, slots=True)
class Joined:
    """
    A place on somebody else's bridge.

    Args:
        bridge: The bridge.
        index: Its ifindex: another bridge of the same name is another one.
        mac: Its hardware address.
        mtu: Its MTU, in bytes: a port with a smaller one would change it.
        address: The address inside, with its prefix length; None where the sandbox sees to that itself.
        gateway: The next hop of its default route; None where it gets none.
    """

    bridge: str
    index: int
    mac: str
    mtu: int
    address: IPv4Interface | None
    gateway: IPv4Address | None


def choose_joined(
    name: str,
    port_mac: str,
    facts: Facts,
    *,
    ip: IPv4Address | None = None,
    subnet: IPv4Network | None = None,
    gateway: IPv4Address | None = None,
) -> Joined:
    """
    The place on a bridge.

    Args:
        name: The bridge.
        port_mac: The hardware address of the port to be.
        facts: The host.
        ip: The address inside.
        subnet: Its subnet; by default that of the bridge's own address that it is in.
        gateway: The next hop of the default route.

    Raises:
        Refused: It is no bridge, or nsctl's; or the addresses don't fit.
    """
    link = _bridge(check_ifname(name, "--join"), facts)
    _check_port(link, port_mac, facts)
    if ip is None:
        for flag, given in (("--subnet", subnet), ("--gateway", gateway)):
            if given is not None:
                raise Invalid(
                    f"--join {name} with {flag} needs an address",
                    hint="say which: --ip; what is free there, nsctl can't know",
                )
        return Joined(name, link.index, link.mac, link.mtu, None, None)
    net = check_subnet(_subnet(link.name, ip, facts) if subnet is None else subnet)
    _check_addresses(link.name, ip, net, gateway, facts)
    return Joined(name, link.index, link.mac, link.mtu, IPv4Interface(f"{ip}/{net.prefixlen}"), gateway)


def _bridge(name: str, facts: Facts) -> Link:
    if name in facts.networks:
        called = facts.names.get(name)
        raise Conflict(f"{name} is a network of nsctl's", hint=f"join it with --network {called or name}")
    link = facts.links.get(name)
    if link is None or link.name != name:  # names may be alternative ones
        raise Conflict(f"there is no bridge '{name}'", hint="see the bridges with: ip link show type bridge")
    if link.type != "bridge":
        what = _NO_BRIDGE.get(link.type, f"a link of the kind {display(link.type)}")
        way = "see the bridges with: ip link show type bridge"
        if link.master is not None and link.master in facts.links and facts.links[link.master].type == "bridge":
            way = f"it is a port of the bridge {link.master}: --join {link.master}"
        raise Conflict(f"{name} is no bridge, but {what}", hint=way)
    if link.mac == derived_mac("bridge", name) or not link.index:
        raise Conflict(
            f"{name} is nsctl's, of another state directory", hint="use its own nsctl: NSCTL_STATE_DIR says which"
        )
    if not link.up:
        raise Conflict(f"the bridge {name} is down", hint=f"set it up first: ip link set dev {name} up")
    return link


def _check_port(link: Link, port_mac: str, facts: Facts) -> None:
    ports = [found.mac for name in facts.links if (found := facts.links.get(name)) and found.master == link.name]
    if len(ports) >= PORTS:
        raise Conflict(f"{link.name} has {PORTS} ports, and a bridge has no more", hint="join another bridge")
    # A bridge that nobody gave a hardware address has that of its lowest port (br_stp_recalculate_bridge_id).
    if facts.fixed_macs.get(link.name) is not True and min(ports, default=port_mac) >= port_mac:
        raise Conflict(
            f"{link.name} has no hardware address of its own, and would change it with its ports"
            if link.name in facts.fixed_macs
            else f"whether {link.name} has a hardware address of its own can't be seen in /sys from here",
            hint=f"give it the one that it has: ip link set dev {link.name} address {link.mac}"
            if link.name in facts.fixed_macs
            else "give it another port first, or use nsctl where /sys shows this network",
        )


def _subnet(bridge: str, ip: IPv4Address, facts: Facts) -> IPv4Network:
    found = next((a.network for link, a in facts.addresses if link == bridge and ip in a.network), None)
    if found is None:
        raise Invalid(
            f"{bridge} has no address itself whose subnet {ip} is in",
            hint=f"say it with its prefix length: --ip {ip}/24",
        )
    return found


def _check_addresses(bridge: str, ip: IPv4Address, net: IPv4Network, gateway: IPv4Address | None, facts: Facts) -> None:
    first, last = host_addresses(net)
    for flag, address in (("--ip", ip), ("--gateway", gateway)):
        if address is None:
            continue
        if address not in net:
            raise Invalid(f"{flag}: {address} is not in {net}", hint="choose another one, or another --subnet")
        if not first <= address <= last:
            what = "network" if address < first else "broadcast"
            raise Invalid(f"{flag}: {address} is the {what} address of {net}", hint="use an address in between")
    if ip == gateway:
        raise Invalid(f"{ip} can't be both address and gateway", hint="the gateway is another host of that network")
    own = next((link for link, address in facts.addresses if address.ip == ip), None)
    if own is not None:
        raise Conflict(f"{ip} is the host's own address, of {own}", hint="choose another --ip")
    if (holder := claimed(f"address/{bridge}", facts).get(str(ip))) is not None:
        raise Conflict(f"{ip} is taken by '{holder}'", hint="choose another --ip")
