"""A host, and the network namespaces of sandboxes, as far as it decides where packets go: read for `engine.reach`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from nsctl.engine.host import firewall, rtnl
from nsctl.engine.host.base_chains import foreign_chains
from nsctl.engine.host.content import sysctl
from nsctl.engine.host.kernel import Kernel
from nsctl.engine.host.netlink import Netlink, socket_in
from nsctl.engine.host.netns import NetnsView
from nsctl.engine.host.routing import policy_rules, table_routes
from nsctl.engine.host.rtnl import LinkRow
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.reach.model import Device, Host, PolicyRule, Ruleset, TableRoute

__all__ = ["insides", "read_host"]

_ALL = "net/ipv4/conf/all/"
_SETTINGS = (_ALL + "rp_filter", _ALL + "ignore_routes_with_linkdown", _ALL + "src_valid_mark", _ALL + "forwarding")
_BUSY_PORT = 3
"""A bridge's port that forwards, or that no bridge has, has this state or none (linux/if_bridge.h)."""


class _Devices(Mapping[str, Device]):
    """The links of a namespace, read when they are asked for."""

    def __init__(self, view: NetnsView) -> None:
        self._view = view
        self._known: dict[str, Device] = {}

    def __getitem__(self, name: str) -> Device:
        if name not in self._known:
            row = self._view.link(name)
            if row is None or row.name != name:
                raise KeyError(name)
            self._known[name] = _device(row, self._view)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return (row.name for row in self._view.links())

    def __len__(self) -> int:
        return len(self._view.links())


def read_host(
    kernel: Kernel, *, own: Collection[str] = (), backend: str = "", rulesets: Sequence[Ruleset] | None = None
) -> Host:
    """
    The host: what does not need a process is read over netlink; `iptables-save` runs once, unless it did already.

    Args:
        kernel: The kernel, with what was read of it before.
        own: The sysctls that nsctl set.
        backend: The back end of iptables that nsctl's rules are in; the one in use, if empty.
        rulesets: The packet filters, if they are known already; no process is started then.
    """
    view = kernel.view() or NetnsView()
    with Netlink(socket_in()) as netlink:
        rules, tables = _routing(netlink, lambda i: row.name if (row := view.by_index(i)) is not None else None)
    unseen: tuple[str, ...] = ()
    if rulesets is None:
        rulesets, unseen = _rulesets(kernel, backend)
    settings = {key: value for key in _SETTINGS if (value := sysctl(key)) is not None}
    chains, more = foreign_chains(kernel)
    return Host(_Devices(view), rules, tables, settings, rulesets, chains, own, (*unseen, *more))


def _routing(
    netlink: Netlink, name_of: Callable[[int], str | None]
) -> tuple[list[PolicyRule], dict[int, list[TableRoute]]]:
    return policy_rules(netlink), _by_table(table_routes(netlink, name_of))


def _by_table(routes: Iterable[TableRoute]) -> dict[int, list[TableRoute]]:
    tables: dict[int, list[TableRoute]] = {}
    for route in routes:
        tables.setdefault(route.table, []).append(route)
    return tables


def _rulesets(kernel: Kernel, backend: str) -> tuple[Sequence[Ruleset], tuple[str, ...]]:
    in_use = firewall.backend()
    wanted = dict.fromkeys(name for name in (backend or in_use.backend, in_use.backend, in_use.mixed) if name)
    found: list[Ruleset] = []
    unseen: list[str] = []
    for name in wanted:
        try:
            rules = kernel.ruleset(4, None, "" if name == in_use.backend else name)
        except NsctlError as e:
            unseen.append(e.message)
        else:
            found += [rules] if rules is not None else []
    return found, tuple(unseen)


def _device(row: LinkRow, view: NetnsView) -> Device:
    master = view.by_index(row.master) if row.master else None
    state = rtnl.port_state(row)
    forwarding, checked = (rtnl.conf(row, f"net/ipv4/conf/x/{name}") for name in ("forwarding", "rp_filter"))
    return Device(
        name=row.name,
        up=row.up,
        carrier=rtnl.carrier(row),
        kind=row.type,
        master=master.name if master is not None else None,
        group=row.group,
        disabled=state is not None and state != _BUSY_PORT,
        forwarding=None if forwarding is None else forwarding != "0",
        rp_filter=int(checked or 0),
        source_mark=rtnl.conf(row, "net/ipv4/conf/x/src_valid_mark") == "1",
    )


def insides(names: Iterable[str], kernel: Kernel) -> dict[str, Host | None]:
    """
    What of network namespaces decides whether their processes get out; None for one that is not there.

    Args:
        names: Their names.
        kernel: The kernel, as the host's.

    Raises:
        OSError: No privilege, no descriptor, or no thread to be had.
    """
    chosen = tuple(names)
    kernel.enter(chosen)
    found: dict[str, Host | None] = {}
    for name in chosen:
        view = kernel.view(name)
        found[name] = _inside(view) if view is not None else None
    return found


def _inside(view: NetnsView) -> Host:
    rules, routes = view.routing()
    tables = _by_table(routes)
    links = {row.name: Device(row.name, row.up, rtnl.carrier(row), row.type) for row in view.links()}
    return Host(links, rules, tables)
