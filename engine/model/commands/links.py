"""Commands of iproute2: links, addresses, routes, names of namespaces."""

from __future__ import annotations

from msgspec import Struct

from nsctl.engine.model.commands.base import Known

__all__ = ["AddLink", "Announce", "DeleteLink", "Ip", "Peer", "RenameLink"]


class Ip(Known, frozen=True, tag="ip"):
    """
    A command of `ip` without a kind of its own: `ip OBJECT VERB WORDS [dev DEV] SETTINGS`.

    Args:
        object: `link`, `addr`, `route`, `netns`, …
        verb: `add`, `del`, `set`, `attach`, …
        words: What comes before the link.
        dev: The link that it is about.
        settings: What comes behind it.
        netns: The namespace it runs in.
    """

    object: str
    verb: str
    words: tuple[str, ...] = ()
    dev: str | None = None
    settings: tuple[str, ...] = ()
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        link = () if self.dev is None else ("dev", self.dev)
        return ("ip", self.object, self.verb, *self.words, *link, *self.settings)


class Peer(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    The other end of a veth pair.

    Args:
        name: Its name.
        netns: The namespace that it is made in; that of the command where not given.
        mac: Its hardware address.
        mtu: Bytes.
    """

    name: str
    netns: str | None = None
    mac: str | None = None
    mtu: int | None = None


class AddLink(Known, frozen=True, tag="add_link"):
    """
    Make a link.

    Args:
        name: Its name.
        type: `bridge`, `veth`, …
        mac: Its hardware address.
        mtu: Bytes.
        master: The link that it becomes a port of.
        peer: The other end, of a veth pair.
        netns: The namespace it runs in.
    """

    name: str
    type: str
    mac: str | None = None
    mtu: int | None = None
    master: str | None = None
    peer: Peer | None = None
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        mac = () if self.mac is None else ("address", self.mac)
        mtu = () if self.mtu is None else ("mtu", str(self.mtu))
        port = () if self.master is None else ("master", self.master)
        made = ("ip", "link", "add", "dev", self.name, *mac, *mtu, *port, "type", self.type)
        if (peer := self.peer) is None:
            return made
        there = () if peer.netns is None else ("netns", peer.netns)
        mac = () if peer.mac is None else ("address", peer.mac)
        mtu = () if peer.mtu is None else ("mtu", str(peer.mtu))
        return (*made, "peer", "name", peer.name, *there, *mac, *mtu)


class DeleteLink(Known, frozen=True, tag="delete_link"):
    """Delete a link, and a veth's other end with it."""

    name: str
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("ip", "link", "del", "dev", self.name)


class RenameLink(Known, frozen=True, tag="rename_link"):
    """Give a link another name; before Linux 6.2 it has to be down for that."""

    old: str
    new: str
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("ip", "-batch", "-")

    @property
    def stdin(self) -> str | None:
        """What `ip` reads."""
        return f"link set dev {self.old} down\nlink set dev {self.old} name {self.new}\n"


class Announce(Known, frozen=True, tag="announce"):
    """Set a link's hardware address, be it the same: with `arp_notify` the kernel then tells the neighbours."""

    link: str
    mac: str
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("ip", "link", "set", "dev", self.link, "address", self.mac)
