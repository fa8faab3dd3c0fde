"""
The vocabulary for authors of modes: each function returns a step complete with undo and effect.

A mode yields what these return: a step, a tuple of steps, or None where there is nothing to do.

Steps name the things they need and go with by key, whether or not the plan makes those things itself:
what nothing in the plan makes is taken to be there already.
Names and addresses are checked here, before they reach an argument vector.
"""

from __future__ import annotations

from nsctl.engine.kit.address import address, announce, default_route, route
from nsctl.engine.kit.files import directory, file
from nsctl.engine.kit.firewall import chain, filter_network, masquerade, own_sources, rule
from nsctl.engine.kit.forwarding import forward_back, way_back
from nsctl.engine.kit.link import bridge, link_set, link_up, veth
from nsctl.engine.kit.netns import join_process, join_sandbox, netns
from nsctl.engine.kit.port_filter import FILTERED_PORTS, own_addresses
from nsctl.engine.kit.process import spawn, spawn_paths
from nsctl.engine.kit.raw import command, succeeds
from nsctl.engine.kit.subnets import POOLS, check_subnet, free_address, free_subnet, overlap
from nsctl.engine.kit.sysctls import sysctl
from nsctl.engine.names import check_ifname, check_mac, check_name, derived_mac, host_ifname

__all__ = [
    "FILTERED_PORTS",
    "POOLS",
    "address",
    "announce",
    "bridge",
    "chain",
    "check_ifname",
    "check_mac",
    "check_name",
    "check_subnet",
    "command",
    "default_route",
    "derived_mac",
    "directory",
    "file",
    "filter_network",
    "forward_back",
    "free_address",
    "free_subnet",
    "host_ifname",
    "join_process",
    "join_sandbox",
    "link_set",
    "link_up",
    "masquerade",
    "netns",
    "overlap",
    "own_addresses",
    "own_sources",
    "route",
    "rule",
    "spawn",
    "spawn_paths",
    "succeeds",
    "sysctl",
    "veth",
    "way_back",
]
