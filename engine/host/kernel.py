"""The kernel, as effects are compared with it: one cached face over links, rules, processes, files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Interface
from typing import TypeVar

from nsctl.engine.host import content, nftables, process, rtnl
from nsctl.engine.host.firewall import Rules, backend_in_use, save_tool
from nsctl.engine.host.netlink import Netlink, NoNamespaceError, cookie_at, in_netns, socket_in, visited
from nsctl.engine.host.netns import NetnsView
from nsctl.engine.host.rtnl import RouteRow
from nsctl.engine.host.setns import NETNS_DIR, named_inode, own_cookie
from nsctl.engine.host.zones import Zones
from nsctl.engine.model.effects import Effect
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.facts import Link
from nsctl.engine.model.host import Needs

__all__ = ["Kernel", "Reader"]

T = TypeVar("T")

Reader = Callable[[tuple[str, ...], str | None], tuple[int, str]]
"""Runs a read-only command, in a named network namespace or on the host, and returns its exit status and output."""


class Kernel:
    """
    A cached view of the kernel.

    What takes a system call to another namespace, a dump or a process to find out is kept until `forget`:
    whoever changes something has to call that before looking again.
    In a network namespace that does not exist there is nothing.

    Args:
        reader: Runs read-only commands; used for the firewall's rules and for an author's own checks.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.forget()

    def forget(self) -> None:
        """Drop everything that was read."""
        self._views: dict[str | None, NetnsView | None] = {None: NetnsView()}
        self._rules: dict[tuple[str, str | None], Rules] = {}
        self.zones = Zones()
        self._tools: dict[tuple[int, str], str] = {}
        self._nft: tuple[nftables.BridgeTable | None, ...] = ()
        self._sysctls: dict[tuple[str, str | None], str | None] = {}
        self._inodes: dict[str, int | None] = {}
        self._cookies: dict[str, int | None] = {}
        self._starts: dict[int, int | None] = {}
        self._inhabitants: dict[int, int] | None = None
        self._hideouts: list[process.Hideout] | None = None
        self._outputs: dict[tuple[tuple[str, ...], str | None], tuple[int, str]] = {}

    # Links, addresses, routes.

    def view(self, netns: str | None = None) -> NetnsView | None:
        """A namespace, the host's if None is named; None for one that does not exist."""
        if netns not in self._views:
            self._views[netns] = None if netns is None else self._there(netns, lambda: NetnsView.of(netns))
        return self._views[netns]

    def _there(self, netns: str, function: Callable[[], T]) -> T | None:
        """What the function returns, None if the namespace does not exist."""
        if self.netns_inode(netns) is None:
            return None
        try:
            return function()
        except NoNamespaceError:  # it has just gone
            return None

    def link(self, name: str, netns: str | None = None) -> Link | None:
        """The link of this name; where it is another link's alternative name, that link, so its `name` differs."""
        view = self.view(netns)
        row = view.link(name) if view else None
        return view.as_link(row) if view and row else None

    def link_by_index(self, index: int, netns: str | None = None) -> Link | None:
        """The link of this index."""
        view = self.view(netns)
        row = view.by_index(index) if view else None
        return view.as_link(row) if view and row else None

    def link_by_mac(self, mac: str, netns: str | None = None) -> Link | None:
        """A link with this hardware address."""
        view = self.view(netns)
        row = view.by_mac(mac) if view else None
        return view.as_link(row) if view and row else None

    def links(self, netns: str | None = None) -> Mapping[str, Link]:
        """All links by name."""
        view = self.view(netns)
        return {row.name: view.as_link(row) for row in view.links()} if view else {}

    def expect(self, effects: Iterable[Effect | None]) -> None:
        """
        Say what will be compared: if that concerns most of the host's links, they are read all at once.

        So are the cookies of many namespaces.
        """
        self._expect(_needs_of(effects))

    def _expect(self, needs: Needs) -> None:
        view = self.view(None)
        if view is not None:
            view.expect(len(needs.links))
        there = [n for n in needs.namespaces if n not in self._cookies and self.netns_inode(n) is not None]
        if len(there) > 1:
            self._cookies.update(visited(there, lambda _: own_cookie()))

    def visit(self, effects: Iterable[Effect | None]) -> None:
        """Look into the named namespaces that these effects are in: each is entered once, whatever there is to see."""
        self._visit(_needs_of(effects))

    def read(self, effects: Iterable[Effect | None]) -> None:
        """Both of it, for a look at everything: what is on the host, and what is in its namespaces."""
        needs = _needs_of(effects)
        self._visit(needs)
        self._expect(needs)

    def enter(self, names: Iterable[str]) -> None:
        """Look into these namespaces, whatever will be asked for."""
        needs = Needs()
        for name in names:
            needs.look_into(name)
        self._visit(needs)

    def _visit(self, needs: Needs) -> None:
        names = needs.inside
        there = [name for name in sorted(names.keys() - self._views.keys()) if self.netns_inode(name) is not None]
        if len(there) > 1:  # one by itself is looked at when it is asked for, at the same price
            views = visited(there, lambda name: NetnsView.here(name, names[name], six=name in needs.six))
            self._views.update(views)
            self._cookies.update((name, view.cookie) for name, view in views.items() if view is not None)

    def addresses(self, link: str, netns: str | None = None) -> frozenset[str]:
        """The addresses of a link, with their prefix lengths."""
        view = self.view(netns)
        return view.addresses(link) if view else frozenset()

    def host_addresses(self) -> tuple[tuple[str, IPv4Interface], ...]:
        """The host's IPv4 addresses, each with its link, up or not; without those of the loopback's net."""
        with Netlink(socket_in(None)) as netlink:
            rows = [row for row in rtnl.addresses(netlink, families=(4,)) if not row.address.startswith("127.")]
        found = []
        for row in rows:
            link = self.link_by_index(row.ifindex)
            if link is not None:
                found.append((link.name, IPv4Interface(row.address)))
        return tuple(found)

    def routes(self, netns: str | None = None, family: int = 4) -> tuple[RouteRow, ...]:
        """The unicast routes of the main table."""
        view = self.view(netns)
        return view.routes(family) if view else ()

    def linkset(self, name: str, attribute: str, netns: str | None = None) -> str | None:
        """
        A property of a link as `ip -d link` would print it, switches as `on` or `off`.

        None where there is no such link or no such property.
        """
        view = self.view(netns)
        row = view.link(name) if view else None
        if view is None or row is None or row.name != name:
            return None
        if attribute == "mtu":
            return str(row.mtu)
        if attribute == "group":
            return str(row.group)
        if attribute == "master":
            return view.as_link(row).master
        return rtnl.link_attribute(row, attribute)

    def far_end(self, name: str, netns: str | None = None) -> int | None:
        """The index of a pair's other end, in the namespace that it is in."""
        view = self.view(netns)
        row = view.link(name) if view else None
        return rtnl.far_end(row) if row else None

    def port_state(self, name: str) -> int | None:
        """What a link of the host's does as a bridge port (linux/if_bridge.h); None where it is none, or not yet."""
        view = self.view(None)
        row = view.link(name) if view else None
        return rtnl.port_state(row) if row else None

    # The firewall and sysctls.

    def rules(
        self, table: str, chain: str, family: int = 4, netns: str | None = None, backend: str = ""
    ) -> list[tuple[str, ...]] | None:
        """The rules of a chain, each as the words after `-A CHAIN`; None without such a chain. See `ruleset`."""
        found = self.ruleset(family, netns, backend)
        return found.chain(table, chain) if found is not None else None

    def ruleset(self, family: int = 4, netns: str | None = None, backend: str = "") -> Rules | None:
        """
        All rules of a back end; None in a namespace that does not exist.

        Args:
            family: 4 or 6.
            netns: The named network namespace; the host's, if None.
            backend: `nft` or `legacy`: the back end to look into, whatever `iptables` stands for now.

        Raises:
            NsctlError: They can't be read.
        """
        if netns is not None and self.netns_inode(netns) is None:
            return None
        # Without `-t`: only tables that are in use are read, so none is brought to life by looking.
        tool = self._tools.get((family, backend))
        if tool is None:
            tool = self._tools[(family, backend)] = save_tool(family, backend)
        if (tool, netns) not in self._rules:
            status, output = self._reader((tool,), netns)
            if status != 0:
                raise NsctlError(
                    f"the firewall's rules can't be read: {tool} exits with {status}", hint=f"run {tool} and see"
                )
            self._rules[(tool, netns)] = Rules(output, backend or backend_in_use())
        return self._rules[(tool, netns)]

    def nft_table(self) -> nftables.BridgeTable | None:
        """The table of the host's that says what may come in by which port of a bridge; see `nftables.read`."""
        self._nft = self._nft or (nftables.read(),)
        return self._nft[0]

    def sysctl(self, key: str, netns: str | None = None) -> str | None:
        """A sysctl's value (`net/ipv4/conf/eth0/forwarding`); None where it does not exist or can't be read."""
        place = (key, netns)
        if place not in self._sysctls:
            self._sysctls[place] = content.sysctl(key) if netns is None else self._sysctl_there(key, netns)
        return self._sysctls[place]

    def _sysctl_there(self, key: str, netns: str) -> str | None:
        # Of a namespace that was looked at as a whole, its links' messages hold most of them already.
        view = self._views.get(netns)
        found = view.sysctl(key) if view is not None else None
        return found if found is not None else self._there(netns, lambda: in_netns(netns, lambda: content.sysctl(key)))

    # Namespaces.

    def netns_inode(self, name: str) -> int | None:
        """
        The inode number of the network namespace /run/netns/NAME.

        None where there is none; a plain file of that name is none.
        """
        if name not in self._inodes:
            self._inodes[name] = named_inode(f"{NETNS_DIR}/{name}")
        return self._inodes[name]

    def netns_names(self) -> frozenset[str]:
        """The names under /run/netns."""
        try:
            return frozenset(os.listdir(NETNS_DIR))
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()

    def netns_left_over(self, name: str) -> bool:
        """Whether /run/netns/NAME is an empty plain file: its namespace was unmounted, or never mounted."""
        try:
            found = os.lstat(f"{NETNS_DIR}/{name}")
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == 0 and self.netns_inode(name) is None

    def netns_taken(self, name: str) -> bool:
        """Whether there is anything of this name under /run/netns."""
        return os.path.lexists(f"{NETNS_DIR}/{name}")

    def someone_in(self, name: str) -> int | None:
        """The PID of a process in a named network namespace."""
        inode = self.netns_inode(name)
        return process.someone_in(inode) if inode is not None else None

    def someone_in_inode(self, inode: int, cookie: int | None = None) -> int | None:
        """
        The PID of a process in a network namespace, whatever its name is; one look at /proc for all that ask.

        Args:
            inode: The namespace's inode number.
            cookie: Its cookie: another namespace of the same number does not count.
        """
        if self._inhabitants is None:
            self._inhabitants = process.inhabitants()
        pid = self._inhabitants.get(inode)
        if pid is None or cookie is None or cookie_at(f"/proc/{pid}/ns/net") in {None, cookie}:
            return pid
        return None

    def hideouts(self) -> list[process.Hideout]:
        """The mount namespaces of sandboxes; one look at /proc for all that ask."""
        if self._hideouts is None:
            self._hideouts = process.hideouts()
        return self._hideouts

    def netns_cookie(self, name: str) -> int | None:
        """
        The kernel's own number for the network namespace /run/netns/NAME, which it gives to no other until it reboots.

        Inode numbers are given again at once. None where there is none, or where the kernel has none (before 5.14).
        """
        if name not in self._cookies:
            inode = self.netns_inode(name)
            self._cookies[name] = cookie_at(f"{NETNS_DIR}/{name}") if inode is not None else None
        return self._cookies[name]

    # Processes.

    def forget_processes(self) -> None:
        """Drop what was read of processes, and nothing else."""
        self._starts = {}
        self._inhabitants = self._hideouts = None

    def process(self, pid: int) -> int | None:
        """The start time of a process, None where there is none or it is dead."""
        if pid not in self._starts:
            self._starts[pid] = process.start_of(pid)
        return self._starts[pid]

    def pid_in(self, pidfile: str) -> int | None:
        """The PID in a file; None where it holds none."""
        return process.pid_in(pidfile)

    def init_of(self, pid: int) -> int:
        """The process that a process has started as another PID namespace's init, itself where it has none."""
        return process.init_of(pid)

    def traces(self, pid: int) -> tuple[str, ...]:
        """A process's command line, and the paths of its outputs."""
        return (process.command_of(pid), *process.outputs_of(pid))

    def children(self, pid: int) -> tuple[int, ...]:
        """A process's children."""
        return process.children(pid)

    # Files and commands.

    def kind(self, path: str) -> str | None:
        """What is there, symbolic links not followed: `file`, `directory`, `other`, or None for nothing."""
        return content.kind(path)

    def file(self, path: str) -> str | None:
        """A regular file's content (16 MiB at most); None where there is no such file."""
        return content.text(path)

    def output(self, argv: Iterable[str], netns: str | None = None) -> tuple[int, str] | None:
        """What a read-only command exits with and prints; None in a namespace that does not exist."""
        if netns is not None and self.netns_inode(netns) is None:
            return None
        key = (tuple(argv), netns)
        if key not in self._outputs:
            self._outputs[key] = self._reader(*key)
        return self._outputs[key]


def _needs_of(effects: Iterable[Effect | None]) -> Needs:
    needs = Needs()
    for effect in effects:
        if effect is not None:
            effect.needs(needs)
    return needs
