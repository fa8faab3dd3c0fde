"""The snapshot of the host that modes plan from, gathered without starting a process, but for the firewall's rules."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network
from typing import TypeVar

from msgspec.structs import replace

from nsctl.engine.host import firewall, nftables, process
from nsctl.engine.host.content import sysctl
from nsctl.engine.host.kernel import Kernel, Reader
from nsctl.engine.host.netlink import Netlink, socket_in
from nsctl.engine.host.routing import policy_rules, table_routes
from nsctl.engine.host.zones import Zones
from nsctl.engine.kit.port_filter import FILTERED_PORTS
from nsctl.engine.model.facts import HIDDEN, Facts, Firewall, Link, Process, Route, Sandbox
from nsctl.engine.model.plan import Step
from nsctl.engine.planning import forecast as inventory
from nsctl.engine.planning.resolvers import only_loopback
from nsctl.engine.reach.model import LOCAL, MAIN, TableRoute

__all__ = ["RESOLV_CONFS", "default_routes", "gather", "resolv_conf"]

K = TypeVar("K")
V = TypeVar("V")

_RESOLV_CONF = "/etc/resolv.conf"
_RESOLV_CONF_BEHIND_STUB = "/run/systemd/resolve/resolv.conf"
RESOLV_CONFS = (_RESOLV_CONF, _RESOLV_CONF_BEHIND_STUB)
"""The files that `resolv_conf` reads."""
_HALF = 1
_GIVEN = 3
"""NET_ADDR_SET (linux/netdevice.h)."""
_LOW, _HIGH, _WHOLE = (0, 1), (1 << 31, 1), (0, 0)
"""First address and prefix length of a VPN's two halves, and of a default route."""


class _Lazy(Mapping[K, V]):
    """A mapping that looks each key up when it is first asked for, and keeps the answer."""

    def __init__(self, find: Callable[[K], V | None], names: Callable[[], Iterator[K]]) -> None:
        self._find = find
        self._names = names
        self._known: dict[K, V | None] = {}

    def __getitem__(self, key: K) -> V:
        if key not in self._known:
            self._known[key] = self._find(key)
        value = self._known[key]
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]  # any object may be asked for
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[K]:
        return self._names()

    def __len__(self) -> int:
        return sum(1 for _ in self._names())


def gather(
    state_dir: str,
    sandboxes: Mapping[str, Sandbox],
    steps: Mapping[str, Step],
    hidden: tuple[str, ...] = HIDDEN,
    read: Reader | None = None,
) -> Facts:
    """
    What modes may know of the host.

    Links, sysctls, processes, the firewall's rules and what the host lacks are read when they are asked for.

    Args:
        state_dir: nsctl's directory under /run.
        sandboxes: The sandboxes that are up, from the store.
        steps: The steps in place by key, from the store.
        hidden: Directories that no sandbox may reach.
        read: Runs `iptables-save`; without it, nothing is known of the firewall's rules.
    """
    kernel = Kernel(_no_commands)
    routes, ways = _routing(kernel)
    return Facts(
        links=_Lazy[str, Link](kernel.link, lambda: iter(kernel.links())),
        routes=routes,
        uplinks=tuple(dict.fromkeys(route.link for route in ways)),
        route_mtu=min((route.mtu for route in ways if route.mtu), default=None),
        sysctls=_Lazy[str, str](sysctl, _sysctl_keys),
        netns=kernel.netns_names(),
        sandboxes=sandboxes,
        steps=steps,
        networks=inventory.networks_of(steps.values()),
        addresses=kernel.host_addresses(),
        fixed_macs=_Lazy[str, bool](partial(_fixed_mac, kernel), lambda: iter(kernel.links())),
        processes=_Lazy[int, Process](_process, _pids),
        firewall=_firewall(read),
        lacks=_Lazy[str, str](nftables.why_lacking, lambda: iter((FILTERED_PORTS,))),
        state_dir=state_dir,
        hidden=hidden,
        hosts=_text("/etc/hosts") or "127.0.0.1\tlocalhost\n",
        resolv_conf=resolv_conf(),
    )


def _no_commands(argv: tuple[str, ...], netns: str | None) -> tuple[int, str]:
    raise AssertionError(f"facts are gathered without commands, not by {argv} in {netns}")


def _manager(name: str) -> Mapping[str, str] | None:
    return Zones().of_links if name == "firewalld" else None


def _firewall(read: Reader | None) -> Firewall:
    managers = _Lazy[str, Mapping[str, str]](_manager, lambda: iter(()))
    found = replace(firewall.backend(), managers=managers)
    if read is None or not found.backend:
        return found
    kernel = Kernel(read)

    def chain(key: str) -> Sequence[tuple[str, ...]] | None:
        family, table, name = key.split("/")
        return kernel.rules(table, name, int(family))

    def policy(key: str) -> str | None:
        family, table, name = key.split("/")
        rules = kernel.ruleset(int(family))
        return rules.policy(table, name) if rules is not None and rules.chain(table, name) is not None else None

    def keys() -> Iterator[str]:
        rules = kernel.ruleset()
        return (f"4/{table}/{name}" for table, name in rules.chains()) if rules is not None else iter(())

    chains = _Lazy[str, Sequence[tuple[str, ...]]](chain, keys)
    return replace(found, chains=chains, policies=_Lazy[str, str](policy, keys))


def _routing(kernel: Kernel) -> tuple[tuple[Route, ...], tuple[Route, ...]]:
    """
    The routes of the main table; and the default routes, or both halves of one, of it and of others that rules lead to.

    The latter in the order in which the tables are asked, of each table the best metric first.
    Rules for the host's own packets (`iif lo`) route no others.

    Args:
        kernel: The host, for the names of links.
    """

    def name_of(index: int) -> str | None:
        link = kernel.link_by_index(index)
        return link.name if link is not None else None

    with Netlink(socket_in()) as netlink:
        rules = [rule for rule in policy_rules(netlink) if rule.action == "table" and rule.iif != "lo"]
        asked = [table for table in dict.fromkeys(rule.table for rule in rules) if table != LOCAL]
        tables = {table: table_routes(netlink, name_of, table) for table in dict.fromkeys((MAIN, *asked))}
    routes = (
        Route(IPv4Network((route.destination, route.length)), hop.link, hop.via, route.metric)
        for route in tables[MAIN]
        if route.kind == "unicast" and not route.tos
        for hop in route.hops
        if hop.link
    )
    return tuple(routes), tuple(way for table in asked for way in default_routes(tables[table]))


def default_routes(routes: Iterable[TableRoute]) -> tuple[Route, ...]:
    """Of a table: the default routes, and both halves of one (a VPN's 0/1 and 128/1, which win), best metric first."""
    by_destination: dict[tuple[int, int], list[Route]] = {}
    for route in routes:
        if route.length <= _HALF and route.kind == "unicast":
            network = IPv4Network((route.destination, route.length))
            made = (Route(network, hop.link, hop.via, route.metric, route.mtu) for hop in route.hops if hop.link)
            by_destination.setdefault((route.destination, route.length), []).extend(made)
    low, high, whole = (by_destination.get(key, []) for key in (_LOW, _HIGH, _WHOLE))
    of_both = {route.link for route in low} & {route.link for route in high}
    halves = [route for route in (*low, *high) if route.link in of_both]
    return (*sorted(halves, key=_metric), *sorted(whole, key=_metric))


def _metric(route: Route) -> int:
    return route.metric


def _sysctl_keys() -> Iterator[str]:
    for directory, _, files in os.walk("/proc/sys/net"):
        for file in files:
            yield f"{directory}/{file}".removeprefix("/proc/sys/")


def _fixed_mac(kernel: Kernel, name: str) -> bool | None:
    # Netlink does not tell; and /sys is that of the network namespace that mounted it, not always this one.
    link, place = kernel.link(name), f"/sys/class/net/{name}"
    shown = [(_text(f"{place}/{file}") or "").strip() for file in ("ifindex", "address", "addr_assign_type")]
    if link is None or shown[:2] != [str(link.index), link.mac] or not shown[2].isdigit():
        return None
    return int(shown[2]) == _GIVEN


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


_pinned: dict[int, int] = {}
"""
Descriptors of network namespaces by inode number, held open as long as nsctl runs.

So the number stays that namespace's, whatever becomes of the process it was found by.
"""


def _process(pid: int) -> Process | None:
    start = process.start_of(pid)
    try:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        process.not_there(e)
        return None
    netns = os.fstat(fd).st_ino
    if _pinned.setdefault(netns, fd) != fd:
        os.close(fd)
    # The start is read again: in between the PID might have become another process's.
    return Process(pid, start, netns) if start is not None and process.start_of(pid) == start else None


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as f:
            return f.read()
    except OSError as e:
        process.not_there(e)
        return None


def resolv_conf() -> str | None:
    """The content of a sandbox's /etc/resolv.conf; None where the host has none."""
    content = _text(_RESOLV_CONF)
    if content is None or not only_loopback(content):
        return content
    # A stub on the host's loopback can't be reached from another network namespace.
    behind = _text(_RESOLV_CONF_BEHIND_STUB)
    return behind if behind is not None else content
