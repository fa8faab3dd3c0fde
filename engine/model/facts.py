"""
Facts: a read-only snapshot of the host that modes plan from.

The same options and facts give the same plan.
The mappings may be lazy (the probe reads a link or a sysctl when it is asked for), but never change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network

from msgspec import Struct, field

from nsctl.engine.model.claims import Claims
from nsctl.engine.model.places import HIDDEN, HOST_DIR
from nsctl.engine.model.plan import Step

__all__ = ["HIDDEN", "HOST_DIR", "Facts", "Firewall", "Link", "Process", "Route", "Sandbox"]


class Link(Struct, frozen=True):
    """
    A link of the host.

    Args:
        name: Its name.
        index: Its ifindex; 0 for one that is only planned.
        mac: Its hardware address in lower case, empty where it has none.
        mtu: Bytes.
        type: The kind that `ip -d link` shows (`bridge`, `veth`, …), empty for hardware and lo.
        master: The name of the link it is a port of.
        up: Whether it is administratively up.
        group: Its netdevice group.
    """

    name: str
    index: int = 0
    mac: str = ""
    mtu: int = 1500
    type: str = ""
    master: str | None = None
    up: bool = True
    group: int = 0


class Route(Struct, frozen=True):
    """
    An IPv4 route of the host's.

    Args:
        destination: Where it leads.
        link: The link it leads by.
        via: The gateway, None where the destination is on the link itself.
        metric: Of several to the same destination the lowest counts.
        mtu: Bytes, as `ip route … mtu N` has it; 0 where it has none.
    """

    destination: IPv4Network
    link: str
    via: str | None = None
    metric: int = 0
    mtu: int = 0


class Process(Struct, frozen=True):
    """
    A process that a `container` sandbox wants to join.

    Args:
        pid: Its PID.
        start: Its start time in clock ticks since boot (field 22 of /proc/PID/stat): tells it from a later process
            of the same PID.
        netns: The inode number of its network namespace.
    """

    pid: int
    start: int
    netns: int


class Firewall(Struct, frozen=True):
    """
    Which iptables the host uses.

    Args:
        backend: `nft`, `legacy`, or nothing where iptables is missing.
        mixed: The back end that holds rules too, although `iptables` drives the other.
        chains: The rules of its chains, each as the words after `-A CHAIN`: `4/filter/FORWARD` → rules. A chain that
            does not exist is missing, and so are all where they can't be read (without root).
        policies: The policies of the built-in chains, by the same keys.
        managers: Programs that manage the firewall and run, each with what it has of links: `firewalld` → the zone of
            each link that is in one.
    """

    backend: str = "nft"
    mixed: str = ""
    chains: Mapping[str, Sequence[tuple[str, ...]]] = {}
    policies: Mapping[str, str] = {}
    managers: Mapping[str, Mapping[str, str]] = {}


class Sandbox(Struct, frozen=True):
    """
    A sandbox that is up.

    Args:
        name: Its name.
        mode: Its mode.
        options: The mode's options as plain data.
        addresses: Its addresses inside.
        network: The bridge or link it is attached to.
        netns: Whether it has a network namespace of its own name under /run/netns.
        pid: The init's PID on the host, if it has one.
        isolate: The kinds of namespaces it has of its own.
        ended: Its init, or its workload, has ended.
    """

    name: str
    mode: str
    options: Mapping[str, object] = {}
    addresses: tuple[str, ...] = ()
    network: str | None = None
    netns: bool = True
    pid: int | None = None
    isolate: tuple[str, ...] = ()
    ended: bool = False


class Facts(Struct, frozen=True):
    """
    What modes may know of the host.

    Args:
        links: The host's links by name.
        routes: The host's IPv4 routes, of the main table.
        uplinks: The links that carry a default route (or a VPN's 0/1 and 128/1), best first: of the main table, and of
            those that routing rules lead to.
        route_mtu: The smallest MTU that default routes have of their own (`mtu N`); bytes, None where none has.
        outer: The host's other links that packets from outside may come in by: neither lo, nor ports, nor nsctl's own.
        way_back: The steps in place by which the host forwards from whatever link to nsctl's.
        sysctls: Values by key (`net/ipv4/conf/eth0/forwarding`); a key that does not exist is missing.
        netns: The names under /run/netns.
        sandboxes: The sandboxes that are up, by name.
        steps: The steps in place, by key, as they were applied.
        networks: For each bridge (or other shared link) of nsctl's: its gateway address with prefix.
        names: For each of these whose network is not called like it: the network's name.
        claims: What sandboxes have claimed (`kit.claim`), by place: `address/nsbr0` → `10.0.3.2` → sandbox.
        addresses: The host's IPv4 addresses, each with its link; those of links that are down, too.
        fixed_macs: Whether a link's hardware address was given to it: a bridge without has that of its lowest port. A
            link of which that can't be seen is missing.
        processes: Processes by PID; a PID that does not exist is missing.
        firewall: Which iptables is in use.
        lacks: What this host can't do that others can, with the reason (see `kit.filters_ports`).
        state_dir: nsctl's directory under /run.
        hosts: The content of /etc/hosts.
        hidden: Directories that no sandbox may reach, beside the state directory: the audit trail's, other states'.
        resolv_conf: The content a sandbox should see as /etc/resolv.conf, None where the host has none.
    """

    links: Mapping[str, Link] = {}
    routes: tuple[Route, ...] = ()
    uplinks: tuple[str, ...] = ()
    route_mtu: int | None = None
    outer: tuple[str, ...] = ()
    way_back: tuple[Step, ...] = ()
    sysctls: Mapping[str, str] = {}
    netns: frozenset[str] = frozenset()
    sandboxes: Mapping[str, Sandbox] = {}
    steps: Mapping[str, Step] = {}
    networks: Mapping[str, IPv4Interface] = {}
    names: Mapping[str, str] = {}
    claims: Claims = {}
    addresses: tuple[tuple[str, IPv4Interface], ...] = ()
    fixed_macs: Mapping[str, bool] = {}
    processes: Mapping[int, Process] = {}
    firewall: Firewall = field(default_factory=Firewall)
    lacks: Mapping[str, str] = {}
    state_dir: str = HOST_DIR
    hidden: tuple[str, ...] = HIDDEN
    hosts: str = "127.0.0.1\tlocalhost\n"
    resolv_conf: str | None = None

    @property
    def default_mtu(self) -> int:
        """
        The smallest MTU of the uplinks and of their routes, 1500 where there is none; bytes.

        So what leaves the host fits whichever way it takes.
        """
        found = [self.links[name].mtu for name in self.uplinks if name in self.links]
        if self.route_mtu is not None:
            found.append(self.route_mtu)
        return min(found, default=1500)
