"""Links, whether they are up, and their properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from nsctl.engine.model.effects.base import UNKNOWN, EffectBase, LinkSetting
from nsctl.engine.model.host import Host, Needs, Watch
from nsctl.engine.model.observation import Known, Observation, absent, foreign, ours

if TYPE_CHECKING:
    from nsctl.engine.model.facts import Link

__all__ = ["LinkIs", "LinkSet", "LinkUp"]

_SWITCHES = {"on": "on", "1": "on", "true": "on", "yes": "on", "off": "off", "0": "off", "false": "off", "no": "off"}


class LinkIs(EffectBase, frozen=True, tag="link"):
    """
    A link of this name with this hardware address: the address is the mark of ownership.

    It is given when the link is created, atomically, which an alias is not.

    `master_index` is given where the master is not nsctl's: it is that very link, whatever it is called by now.
    """

    name: str
    mac: str
    type: str = ""
    master: str | None = None
    mtu: int | None = None
    netns: str | None = None
    master_index: int | None = None

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By hardware address, and by the index that it was made with: under another name it is still the link."""
        index = known.identity.get("index") if known.identity else None
        named = host.link(self.name, self.netns)
        link = named if named is not None and named.name == self.name else None
        if link is None or link.mac != self.mac:
            marked = host.link_by_index(index, self.netns) if index is not None else None
            if marked is not None and marked.mac == self.mac:
                return self._ours(marked, host)  # renamed, whoever has the name now
            if named is None:
                return absent()
            if link is None:
                return foreign(f"an alternative name of {named.name}")
            # The host gives no index twice: it is our link, with another address. A namespace of the same name might.
            if self.netns is not None or marked is None or marked.index != link.index:
                return foreign(f"mac {link.mac or 'none'}, expected {self.mac}")
        wrong = ""
        if self.type and link.type != self.type:
            wrong = f"type {link.type or 'none'}, expected {self.type}"
        elif self.netns is None and index is not None and link.index != index:
            # The hardware address is derived from names: whoever knows them can give it to a link of his own.
            wrong = f"another link with the same hardware address (index {link.index}, not {index})"
        return foreign(wrong) if wrong else self._ours(link, host)

    def _ours(self, link: Link, host: Host) -> Observation:
        drifts = []
        if link.name != self.name:
            drifts.append(f"renamed to {link.name}")
        if link.mac != self.mac:
            drifts.append(f"mac {link.mac or 'none'}, expected {self.mac}")
        if self.master_index is not None:
            if why := _on_another(self.master or "", self.master_index, link, host):
                drifts.append(why)
        elif self.master is not None and link.master != self.master:
            drifts.append(f"master {link.master or 'none'}, expected {self.master}")
        if self.mtu is not None and link.mtu != self.mtu:
            drifts.append(f"mtu {link.mtu}, expected {self.mtu}")
        drift = "; ".join(drifts)
        return ours(drift or "in place", drift, link.name if link.name != self.name else None)

    def identity(self, host: Host) -> dict[str, int] | None:
        """Its index."""
        link = host.link(self.name, self.netns)
        if link is None or self.mac != link.mac:  # somebody has renamed it already
            link = host.link_by_mac(self.mac, self.netns) if self.mac else None
        return {"index": link.index} if link and (link.name == self.name or link.mac == self.mac) else None

    def needs(self, needs: Needs) -> None:
        """The link."""
        needs.link(self.name, self.netns)

    def watch(self, watch: Watch) -> None:
        """The link, which a firewalld that starts may want in a zone."""
        if self.netns is None:
            watch.links.add(self.name)
            watch.zoned = True


def _on_another(master: str, index: int, link: Link, host: Host) -> str:
    # A bridge that is not nsctl's is known by its index: it may be renamed, and its hardware address follows its ports.
    there = host.link(link.master) if link.master is not None else None
    if there is not None and there.index == index:
        return ""
    theirs = host.link_by_index(index)
    if theirs is not None and theirs.type == "bridge":
        return f"master {link.master or 'none'}, expected {theirs.name}"
    if link.master is not None:
        return f"a port of {link.master}; the bridge {master} that it joined is gone"
    return f"a port of nothing: the bridge {master} that it joined is gone"


class LinkUp(LinkSetting, frozen=True, tag="up"):
    """The link is up."""

    name: str
    netns: str | None = None

    @property
    def host_link(self) -> str | None:
        """The link, on the host."""
        return self.name if self.netns is None else None

    def observe_by_name(self, host: Host) -> Observation:
        """By the link's flags."""
        link = host.link(self.name, self.netns)
        if link is None or link.name != self.name:
            return absent("no such link")
        return ours("up") if link.up else absent("down")

    def on_link(self, name: str) -> Self:
        """The same of the link of another name."""
        return replace(self, name=name)

    def needs(self, needs: Needs) -> None:
        """The link."""
        needs.link(self.name, self.netns)


class LinkSet(LinkSetting, frozen=True, tag="linkset"):
    """
    A property of a link has this value.

    `attribute` is one of addrgenmode, alias, mtu, master, group, group_fwd_mask, hairpin, isolated, promisc.
    """

    name: str
    attribute: str
    value: str
    netns: str | None = None

    @property
    def host_link(self) -> str | None:
        """The link, on the host."""
        return self.name if self.netns is None else None

    def observe_by_name(self, host: Host) -> Observation:
        """As `ip -d link` would print it."""
        link = host.link(self.name, self.netns)
        if link is None or link.name != self.name:
            return absent("no such link")
        found, wanted = host.linkset(self.name, self.attribute, self.netns), self.value
        if self.attribute in ("hairpin", "isolated", "promisc"):
            wanted = _SWITCHES.get(wanted, wanted)
        elif self.attribute == "group" and wanted == "default":
            wanted = "0"
        return ours() if found == wanted else absent(f"{self.attribute} {found or 'none'}, expected {self.value}")

    def on_link(self, name: str) -> Self:
        """The same of the link of another name."""
        return replace(self, name=name)

    def needs(self, needs: Needs) -> None:
        """The link."""
        needs.link(self.name, self.netns)
