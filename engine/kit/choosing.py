"""
Which network a sandbox gets: one of nsctl's that fits what is asked for, or a new one.

It is meant by a name, a bridge, a subnet, or an address of it; without any of these it is the one that all get.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

from nsctl.engine.kit.claims import claimed
from nsctl.engine.kit.networks import free_bridge, is_internal, network_named, unnamed_network
from nsctl.engine.kit.subnets import free_subnet, host_addresses, overlap
from nsctl.engine.model.effects import LinkIs
from nsctl.engine.model.errors import Conflict, Invalid
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import check_ifname, check_network, network_bridge

__all__ = ["Asked", "Network", "choose_network"]

PORTS = 1023
"""The most ports a bridge of the kernel's has (BR_MAX_PORTS - 1)."""


class Asked(NamedTuple):
    """
    What is asked for; None where it may be anything.

    Args:
        name: The network's name.
        bridge: Its bridge.
        subnet: Its subnet.
        gateway: The bridge's own address.
        ip: The address inside, which has to be one of the subnet's.
        mtu: Bytes.
        internal: It has no way out.
        allow_overlap: Its subnet may get in the way of a route of the host.
    """

    name: str | None = None
    bridge: str | None = None
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    ip: IPv4Address | None = None
    mtu: int | None = None
    internal: bool = False
    allow_overlap: bool = False


class Network(NamedTuple):
    """
    What the sandboxes on a bridge share.

    Args:
        bridge: The bridge.
        gateway: Its address, which is the sandboxes' gateway.
        mtu: Bytes.
        internal: It has no way out.
        name: Its name; the bridge's, if it has no other.
    """

    bridge: str
    gateway: IPv4Interface
    mtu: int
    internal: bool
    name: str


def choose_network(asked: Asked, facts: Facts) -> Network:
    """
    The network: one of nsctl's that fits, or a new one.

    Raises:
        Refused: What is asked for contradicts what is there.
    """
    if asked.bridge is not None:
        check_ifname(asked.bridge, "--bridge")
    existing = _meant(asked, facts)
    return _new(asked, facts) if existing is None else _joined(existing, asked, facts)


def _meant(asked: Asked, facts: Facts) -> str | None:
    """The bridge of the network that is meant; None where it is yet to be made."""
    if asked.name is not None:
        check_network(asked.name)
        bridge = network_named(asked.name, facts)
        if bridge is not None and asked.bridge not in {None, bridge}:
            raise Conflict(
                f"the network '{asked.name}' is on the bridge {bridge}, not {asked.bridge}",
                hint="leave one of --network and --bridge out",
            )
        return bridge
    if asked.bridge is not None:
        return asked.bridge if asked.bridge in facts.networks else None
    if asked.subnet is None and asked.ip is None and asked.gateway is None:
        return unnamed_network(facts, internal=asked.internal)
    return next((bridge for bridge, gateway in facts.networks.items() if _fits(gateway, asked)), None)


def _fits(gateway: IPv4Interface, asked: Asked) -> bool:
    # By its subnet, else by an address of it.
    if asked.subnet is not None:
        return gateway.network == asked.subnet
    return asked.ip in gateway.network if asked.ip is not None else gateway.ip == asked.gateway


def _joined(bridge: str, asked: Asked, facts: Facts) -> Network:
    gateway, mtu = facts.networks[bridge], _mtu(bridge, facts)
    name = facts.names.get(bridge, bridge)
    shown = bridge if name == bridge else f"the network '{name}'"
    another = "make another network with --network"
    for what, has, wanted in (
        ("subnet", gateway.network, asked.subnet),
        ("gateway", gateway.ip, asked.gateway),
        ("MTU", mtu, asked.mtu),
    ):
        if wanted is not None and wanted != has:
            raise Conflict(
                f"{shown} has the {what} {has}, not {wanted}", hint=f"leave --{what.lower()} out, or {another}"
            )
    internal = is_internal(bridge, facts)
    if asked.internal and not internal:
        raise Conflict(f"{shown} is no internal network", hint=f"leave out --internal, or {another}")
    if len(claimed(f"mac/{bridge}", facts)) >= 2 * PORTS:  # each has one at either end of its cable
        raise Conflict(f"{shown} has {PORTS} sandboxes, and a bridge has no more ports", hint=another)
    return Network(bridge, gateway, mtu, internal, name)


def _new(asked: Asked, facts: Facts) -> Network:
    name, bridge = _place(asked, facts)
    subnet = asked.subnet
    if subnet is None:
        if asked.ip is not None or asked.gateway is not None:
            address = asked.ip or asked.gateway
            what = f"no network of nsctl's has {address}"
            if asked.name is not None:
                what = f"the network '{name}' is not there yet, and has no subnet that {address} could be in"
            raise Invalid(what, hint="say which subnet it is in: --subnet")
        subnet = free_subnet(facts)
    elif (has := _of_subnet(subnet, facts)) is not None:  # where one is named, else it were joined
        raise Conflict(
            f"the subnet {subnet} is that of the network '{has}'",
            hint=f"join it as the network '{has}', or choose another --subnet",
        )
    elif not asked.allow_overlap and (found := overlap(subnet, facts)):
        raise Conflict(f"the subnet {subnet} overlaps {found}", hint="choose another --subnet, or say --allow-overlap")
    first, last = host_addresses(subnet)
    gateway = first if asked.gateway is None else asked.gateway
    if not first <= gateway <= last:
        raise Invalid(f"the gateway {gateway} is not a host address of {subnet}", hint=f"the usual one is {first}")
    mtu = facts.default_mtu if asked.mtu is None else asked.mtu
    return Network(bridge, IPv4Interface(f"{gateway}/{subnet.prefixlen}"), mtu, asked.internal, name)


def _of_subnet(subnet: IPv4Network, facts: Facts) -> str | None:
    found = (bridge for bridge, gateway in facts.networks.items() if gateway.network == subnet)
    return next((facts.names.get(bridge, bridge) for bridge in found), None)


def _place(asked: Asked, facts: Facts) -> tuple[str, str]:
    """The name and the bridge of a network that is yet to be made."""
    if asked.name is None and asked.bridge is None:
        bridge = free_bridge(facts)
        return bridge, bridge
    bridge = asked.bridge or network_bridge(asked.name or "")
    name = asked.name or bridge
    if bridge in facts.networks:
        has = facts.names.get(bridge, bridge)
        raise Conflict(
            f"{bridge} is the bridge of the network '{has}', not of '{name}'",
            hint="choose another --network or --bridge, or leave one of them out",
        )
    if (there := network_named(name, facts)) is not None:
        raise Conflict(
            f"there is a network '{name}' already, on the bridge {there}", hint=f"join it with --network {name}"
        )
    if bridge in facts.links:
        way = "choose another --bridge, or leave it out" if asked.bridge else "choose another --network, or a --bridge"
        raise Conflict(f"{bridge} is there already, and not nsctl's", hint=way)
    if name != bridge and network_bridge(name) == name:
        raise Invalid(f"the network '{name}' can't be on {bridge}: it is the bridge {name}", hint="leave --bridge out")
    return name, bridge


def _mtu(bridge: str, facts: Facts) -> int:
    # As it was made, not as somebody may have changed it since: the step is shared only if it is the same.
    made = facts.steps.get(f"link/{bridge}")
    if made is not None and isinstance(made.effect, LinkIs) and made.effect.mtu is not None:
        return made.effect.mtu
    return facts.links[bridge].mtu if bridge in facts.links else facts.default_mtu
