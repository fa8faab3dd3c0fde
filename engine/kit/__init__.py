"""
The vocabulary for authors of modes: each function returns a step complete with undo and effect.

A mode yields what these return: a step, a tuple of steps, or None where there is nothing to do.

Steps name the things they need and go with by key, whether or not the plan makes those things itself:
what nothing in the plan makes is taken to be there already.
Names and addresses are checked here, before they reach an argument vector.
"""

from __future__ import annotations

from nsctl.engine.kit.address import address, announce, default_route, route
from nsctl.engine.kit.choosing import Asked, Network, choose_network
from nsctl.engine.kit.claims import claim, claimed
from nsctl.engine.kit.files import directory, file
from nsctl.engine.kit.firewall import chain, filter_network, masquerade, own_sources, rule
from nsctl.engine.kit.forwarding import forward_back, way_back
from nsctl.engine.kit.joining import Joined, choose_joined
from nsctl.engine.kit.link import bridge, link_set, link_up, veth
from nsctl.engine.kit.macs import choose_mac
from nsctl.engine.kit.netns import join_process, join_sandbox, netns
from nsctl.engine.kit.networks import free_bridge, is_internal, name_network, network_named, unnamed_network
from nsctl.engine.kit.port_filter import filters_ports, keep_groups, own_addresses
from nsctl.engine.kit.process import spawn, spawn_paths
from nsctl.engine.kit.raw import command, succeeds
from nsctl.engine.kit.subnets import POOLS, check_subnet, free_address, free_subnet, host_addresses, overlap
from nsctl.engine.kit.sysctls import sysctl
from nsctl.engine.kit.zones import zone
from nsctl.engine.model.names import (
    check_ifname,
    check_mac,
    check_name,
    check_network,
    derived_mac,
    host_ifname,
    network_bridge,
    port_mac,
)

__all__ = [
    "POOLS",
    "Asked",
    "Joined",
    "Network",
    "address",
    "announce",
    "bridge",
    "chain",
    "check_ifname",
    "check_mac",
    "check_name",
    "check_network",
    "check_subnet",
    "choose_joined",
    "choose_mac",
    "choose_network",
    "claim",
    "claimed",
    "command",
    "default_route",
    "derived_mac",
    "directory",
    "file",
    "filter_network",
    "filters_ports",
    "forward_back",
    "free_address",
    "free_bridge",
    "free_subnet",
    "host_addresses",
    "host_ifname",
    "is_internal",
    "join_process",
    "join_sandbox",
    "keep_groups",
    "link_set",
    "link_up",
    "masquerade",
    "name_network",
    "netns",
    "network_bridge",
    "network_named",
    "overlap",
    "own_addresses",
    "own_sources",
    "port_mac",
    "route",
    "rule",
    "spawn",
    "spawn_paths",
    "succeeds",
    "sysctl",
    "unnamed_network",
    "veth",
    "way_back",
    "zone",
]
