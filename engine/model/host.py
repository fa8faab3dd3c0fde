"""The questions that effects ask of a host, and what they need to have been read; `nsctl.engine.host` answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nsctl.engine.model.facts import Link  # which stand above plans, as these above effects

__all__ = ["FirewalldZones", "Host", "Needs", "PortEntry", "PortTable", "Route", "Watch"]


class Route(Protocol):
    """A unicast route of the main table to `default` or a prefix; each of several next hops is one."""

    @property
    def destination(self) -> str:
        """`default`, or a prefix with its length."""

    @property
    def via(self) -> str | None:
        """The gateway."""

    @property
    def ifindex(self) -> int:
        """The link's index."""

    @property
    def metric(self) -> int:
        """The metric, which the kernel gives every route."""


class PortEntry(Protocol):
    """What the table `bridge nsctl` has of a port."""

    @property
    def listed(self) -> bool:
        """Whether it is judged at all."""

    @property
    def macs(self) -> tuple[str, ...]:
        """The hardware addresses that it may send from."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that it may send from."""


class PortTable(Protocol):
    """The table `bridge nsctl` of nftables."""

    @property
    def rules(self) -> int:
        """A number that stands for its chains, rules and sets, their elements left out."""

    def port(self, name: str) -> PortEntry:
        """What it has of a port."""


class FirewalldZones(Protocol):
    """firewalld's zones."""

    @property
    def of_links(self) -> Mapping[str, str] | None:
        """
        The zone of each link that is in one; None where no firewalld runs.

        Raises:
            Refused: It runs, and does not answer.
        """


class Host(Protocol):
    """
    Read-only questions about a host.

    `netns` names a network namespace under /run/netns, None is the host's; in one that does not exist there is nothing.
    """

    def link(self, name: str, netns: str | None = None) -> Link | None:
        """The link of this name; where it is another link's alternative name, that link, so its `name` differs."""

    def link_by_index(self, index: int, netns: str | None = None) -> Link | None:
        """The link of this index."""

    def link_by_mac(self, mac: str, netns: str | None = None) -> Link | None:
        """A link with this hardware address."""

    def links(self, netns: str | None = None) -> Mapping[str, Link]:
        """All links by name."""

    def linkset(self, name: str, attribute: str, netns: str | None = None) -> str | None:
        """A property of a link as `ip -d link` would print it, switches as `on` or `off`; None where there is none."""

    def addresses(self, link: str, netns: str | None = None) -> frozenset[str]:
        """The addresses of a link, with their prefix lengths."""

    def routes(self, netns: str | None = None, family: int = 4) -> Sequence[Route]:
        """The unicast routes of the main table; `family` is 4 or 6."""

    def sysctl(self, key: str, netns: str | None = None) -> str | None:
        """A sysctl's value (`net/ipv4/conf/eth0/forwarding`); None where it does not exist or can't be read."""

    def rules(
        self, table: str, chain: str, family: int = 4, netns: str | None = None, backend: str = ""
    ) -> Sequence[tuple[str, ...]] | None:
        """The rules of an iptables chain, each as the words after `-A CHAIN`; None without such a chain."""

    def nft_table(self) -> PortTable | None:
        """The table `bridge nsctl`; None where there is none."""

    @property
    def zones(self) -> FirewalldZones:
        """What firewalld says of its zones."""

    def netns_inode(self, name: str) -> int | None:
        """The inode number of the network namespace /run/netns/NAME; None where there is none."""

    def netns_cookie(self, name: str) -> int | None:
        """The number that the kernel gives to no other network namespace; None where there is none, or no namespace."""

    def netns_left_over(self, name: str) -> bool:
        """Whether /run/netns/NAME is an empty plain file."""

    def netns_taken(self, name: str) -> bool:
        """Whether there is anything of this name under /run/netns."""

    def someone_in(self, name: str) -> int | None:
        """The PID of a process in a named network namespace."""

    def process(self, pid: int) -> int | None:
        """The start time of a process in clock ticks since boot, None where there is none or it is dead."""

    def pid_in(self, pidfile: str) -> int | None:
        """The PID in a file; None where it holds none."""

    def init_of(self, pid: int) -> int:
        """The process that a process has started as another PID namespace's init, itself where it has none."""

    def traces(self, pid: int) -> tuple[str, ...]:
        """A process's command line, and the paths of its outputs."""

    def kind(self, path: str) -> str | None:
        """What is there, symbolic links not followed: `file`, `directory`, `other`, or None for nothing."""

    def file(self, path: str) -> str | None:
        """A regular file's content; None where there is no such file."""

    def output(self, argv: Sequence[str], netns: str | None = None) -> tuple[int, str] | None:
        """What a read-only command exits with and prints; None in a namespace that does not exist."""


class Needs:
    """What many effects will ask for: gathered first, so that it takes few reads."""

    def __init__(self) -> None:
        self.links: set[str] = set()
        """Links of the host's."""
        self.namespaces: dict[str, None] = {}
        """Namespaces whose inode and cookie will be compared."""
        self.inside: dict[str, list[str]] = {}
        """Namespaces to look into, with the sysctls that will be asked for there."""
        self.six: set[str] = set()
        """Those of them whose IPv6 addresses or routes will be asked for."""

    def link(self, name: str, netns: str | None) -> None:
        """A link, and what its message holds."""
        if netns is None:
            self.links.add(name)
        elif netns not in self.inside:
            self.inside[netns] = []

    def look_into(self, netns: str | None, *sysctls: str, six: bool = False) -> None:
        """Something in a namespace; of the host's, nothing is read before it is asked for."""
        if netns is not None:
            self.inside.setdefault(netns, []).extend(sysctls)
            if six:
                self.six.add(netns)


class Watch:
    """What a watcher has to look out for: the changes on the host that can be about effects."""

    def __init__(self) -> None:
        self.links: set[str] = set()
        """Links that are made, or of which something is set."""
        self.settings: set[str] = set()
        """Links of which a sysctl is set."""
        self.later_links = False
        """Whether something is set of links that come later."""
        self.zoned = False
        """Whether firewalld's zones matter."""
        self.namespaces: set[str] = set()
        self.chains: set[tuple[int, str, str]] = set()
        """Chains with rules: family (4 or 6), table, chain."""
        self.tables: set[tuple[str, str]] = set()
        """Tables of nftables that are nsctl's as a whole: family, name."""
