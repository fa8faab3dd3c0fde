"""One network namespace as the kernel shows it, cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nsctl.engine.host import content, rtnl
from nsctl.engine.host.netlink import DumpInterruptedError, Netlink, socket_in
from nsctl.engine.host.routing import route_among, route_messages, rule_messages, rules_in
from nsctl.engine.host.rtnl import LinkRow, RouteRow
from nsctl.engine.model.facts import Link
from nsctl.engine.reach.model import PolicyRule, TableRoute

__all__ = ["NetnsView"]

_SINGLES = 48
"""
How many links are asked for one by one, whoever else there is, before all may be read at once.

Most commands ask for a handful, on a host that may have thousands.
"""
_DEARER = 2
"""A single get costs about as much as so many links of a dump (0.021 ms and 0.011 to 0.020)."""
_PARTS = 5
"""Of a link's setting: `net/ipv4/conf/eth0/forwarding`."""
_FEW = 4
"""Attempts to read at once what can be read one by one, too."""


class NetnsView:
    """
    A network namespace.

    The host's is read piece by piece, as it is asked for.
    A named one is small, and a socket in it has to be opened by a thread that joins it, and keeps it alive:
    so everything is read at once (`NetnsView.of`), and the socket is closed.

    Args:
        netns: The named network namespace, None for the host's.
    """

    def __init__(self, netns: str | None = None) -> None:
        self._netns = netns
        self._names: dict[str, LinkRow | None] = {}
        self._indices: dict[int, LinkRow | None] = {}
        self._macs: dict[str, LinkRow] | None = None
        self._whole = False
        self._restless = self._tried = False
        self._asked = 0
        self._count: int | None = None
        self._known: dict[int, Link] = {}
        self._addresses: dict[int, frozenset[str]] = {}
        self._all_addresses = False
        self._routes: dict[int, tuple[RouteRow, ...]] = {}
        self._settings: dict[str, str] = {}
        self._routing: tuple[list[bytes] | None, list[bytes]] | None = None
        self.cookie: int | None = None
        """The namespace's, where everything was read at once."""

    @classmethod
    def of(cls, netns: str) -> NetnsView:
        """
        Everything in a named namespace.

        Raises:
            NoNamespaceError: There is none.
        """
        view = cls(netns)
        with Netlink(socket_in(netns)) as netlink:
            view._read_all(netlink, six=True)
        return view

    @classmethod
    def here(cls, netns: str, settings: Iterable[str] = (), *, six: bool = False) -> NetnsView:
        """
        The namespace that the calling thread is in, read by one socket; what is asked for besides is read later.

        Args:
            netns: Its name.
            settings: The keys of sysctls that will be asked for.
            six: Whether IPv6's addresses and routes will be asked for.
        """
        view = cls(netns)
        with Netlink(socket_in(None)) as netlink:
            view._read_all(netlink, six=six)
        view._settings = content.sysctls(key for key in settings if view.sysctl(key) is None)
        return view

    def sysctl(self, key: str) -> str | None:
        """A setting that has been read, or of a link, as its message has it; None where there is none."""
        if key in self._settings:
            return self._settings[key]
        parts = key.split("/")
        row = self._names.get(parts[3]) if len(parts) == _PARTS else None
        return rtnl.conf(row, key) if row is not None and row.name == parts[3] else None

    def expect(self, count: int) -> None:
        """
        Say how many links will be asked for: if that is most of them, all are read at once.

        Where others change links all the time (the next batch of this very plan, perhaps), some may be missing, and
        are read one by one.
        """
        if count > _SINGLES and not self._whole and not self._tried and count * _DEARER >= self._how_many():
            with Netlink(socket_in(self._netns)) as netlink:
                rows, complete = rtnl.links_now(netlink)
            self._take(rows)
            self._whole, self._tried = complete, True

    def link(self, name: str) -> LinkRow | None:
        """The link of this name, or with this as an alternative name."""
        if name not in self._names and not self._whole:
            self._single()
            if name not in self._names and not self._whole:
                with Netlink(socket_in(self._netns)) as netlink:
                    row = self._names[name] = rtnl.link_by_name(netlink, name)
                if row is not None:
                    self._indices[row.ifindex] = row
        return self._names.get(name)

    def by_index(self, index: int) -> LinkRow | None:
        """The link of this index."""
        if index not in self._indices and not self._whole:
            self._single()
            if index not in self._indices and not self._whole:
                with Netlink(socket_in(self._netns)) as netlink:
                    row = self._indices[index] = rtnl.link_by_index(netlink, index)
                if row is not None:
                    self._names[row.name] = row
        return self._indices.get(index)

    def by_mac(self, mac: str) -> LinkRow | None:
        """A link with this hardware address."""
        if self._macs is None:
            self._macs = {row.mac: row for row in self.links() if row.mac}
        return self._macs.get(mac)

    def links(self) -> tuple[LinkRow, ...]:
        """All links, by index."""
        self._all_links()
        return tuple(row for _, row in sorted(self._indices.items()) if row is not None)

    def as_link(self, row: LinkRow) -> Link:
        """The link with its master's name."""
        known = self._known.get(row.ifindex)
        if known is None:
            master = self.by_index(row.master) if row.master else None
            known = self._known[row.ifindex] = Link(
                name=row.name,
                index=row.ifindex,
                mac=row.mac,
                mtu=row.mtu,
                type=row.type,
                master=master.name if master else None,
                up=row.up,
                group=row.group,
            )
        return known

    def addresses(self, name: str) -> frozenset[str]:
        """The addresses of a link; none where it is not there."""
        row = self.link(name)
        if row is None or row.name != name:
            return frozenset()
        if row.ifindex not in self._addresses and not self._all_addresses:
            if len(self._addresses) >= _SINGLES:
                self._at_once(self._read_addresses)
            if not self._all_addresses:
                with Netlink(socket_in(self._netns)) as netlink:
                    found = rtnl.addresses(netlink, row.ifindex)
                self._addresses[row.ifindex] = frozenset(a.address for a in found)
        return self._addresses.get(row.ifindex, frozenset())

    def routes(self, family: int) -> tuple[RouteRow, ...]:
        """The main table's unicast routes."""
        if family not in self._routes:
            with Netlink(socket_in(self._netns)) as netlink:
                self._routes[family] = tuple(rtnl.routes(netlink, family))
        return self._routes[family]

    def routing(self) -> tuple[list[PolicyRule], list[TableRoute]]:
        """The rules and the routes of all tables; IPv4."""
        if self._routing is None:
            with Netlink(socket_in(self._netns)) as netlink:
                self._routing = (rule_messages(netlink), route_messages(netlink))
        rules, messages = self._routing
        links = tuple((row.ifindex, row.name) for row in self.links())
        routes = (route_among(data, links) for data in messages)
        return rules_in(rules), [route for route in routes if route is not None]

    def _at_once(self, read: Callable[[Netlink], None]) -> None:
        if self._restless:
            return
        try:
            with Netlink(socket_in(self._netns), attempts=_FEW) as netlink:
                read(netlink)
        except DumpInterruptedError:
            self._restless = True

    def _how_many(self) -> int:
        # A twentieth of the work of reading them: a line for each, after two of titles.
        if self._count is None:
            try:
                with open("/proc/thread-self/net/dev", "rb") as f:
                    self._count = f.read().count(b"\n") - 2
            except OSError:
                self._count = 0
        return self._count

    def _single(self) -> None:
        self._asked += 1
        self.expect(self._asked)

    def _all_links(self) -> None:
        if not self._whole:
            with Netlink(socket_in(self._netns)) as netlink:
                self._read_links(netlink)

    def _read_all(self, netlink: Netlink, *, six: bool) -> None:
        self.cookie = netlink.cookie
        self._read_links(netlink)
        self._read_addresses(netlink, (4, 6) if six else (4,))
        routes = route_messages(netlink)
        self._routing = (rule_messages(netlink), routes)
        self._routes = {4: tuple(rtnl.main_routes(routes))}
        if six:
            self._routes[6] = tuple(rtnl.routes(netlink, 6))

    def _read_links(self, netlink: Netlink) -> None:
        self._take(rtnl.links(netlink))
        self._whole = True

    def _take(self, rows: Iterable[LinkRow]) -> None:
        rows = tuple(rows)
        self._known = {}
        self._indices = {row.ifindex: row for row in rows}
        self._names = {name: row for row in rows for name in row.altnames}
        self._names.update((row.name, row) for row in rows)

    def _read_addresses(self, netlink: Netlink, families: tuple[int, ...] = (4, 6)) -> None:
        found: dict[int, set[str]] = {}
        for row in rtnl.addresses(netlink, families=families):
            found.setdefault(row.ifindex, set()).add(row.address)
        self._addresses = {index: frozenset(group) for index, group in found.items()}
        self._all_addresses = True
