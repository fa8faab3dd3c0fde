"""Links: bridges, veth pairs, and their properties."""

from __future__ import annotations

from typing import NamedTuple

from nsctl.engine.kit.keys import at, check_link, link_key, needs, port_key, shared
from nsctl.engine.model.commands import AddLink, DeleteLink, Ip, Peer
from nsctl.engine.model.commands.typed import made_link
from nsctl.engine.model.effects import LinkIs, LinkSet, LinkUp
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_ifname, check_mac, check_name, derived_mac
from nsctl.engine.model.plan import Step

__all__ = [
    "InnerEnd",
    "bridge",
    "check_mtu",
    "hardware_address_inside",
    "inner_end",
    "link_set",
    "link_up",
    "peer_key",
    "veth",
]

_BEFORE = {
    "addrgenmode": "eui64",
    "group": "default",
    "group_fwd_mask": "0x0",
    "hairpin": "off",
    "isolated": "off",
    "promisc": "off",
}
"""What a new link has."""
_PORT = frozenset({"hairpin", "isolated"})
"""Properties that a link has as the port of a bridge."""
_BRIDGE = frozenset({"group_fwd_mask"})
"""Properties of a bridge."""


def check_mtu(mtu: int) -> int:
    """
    An MTU that a veth and a bridge can have; bytes.

    Raises:
        Invalid: It is too small for IPv4, or too large.
    """
    if not 68 <= mtu <= 65535:  # noqa: PLR2004 - RFC 791's minimum and the kernel's ETH_MAX_MTU
        raise Invalid(f"an MTU of {mtu} is not possible", hint="from 68 to 65535 bytes; 1500 is usual")
    return mtu


@shared
def bridge(name: str, *, mac: str | None = None, mtu: int | None = None) -> Step:
    """
    Make a bridge.

    Its hardware address is given when it is made: it stays whatever ports come and go, and marks the bridge as nsctl's.

    Args:
        name: Its name.
        mac: Its hardware address; derived from the name where not given.
        mtu: Bytes; the kernel's default where not given.
    """
    check_ifname(name, "bridge name")
    mac = derived_mac("bridge", name) if mac is None else check_mac(mac)
    size = None if mtu is None else check_mtu(mtu)
    return Step(
        key=link_key(name, None),
        why=f"make the bridge {name}",
        do=AddLink(name, "bridge", mac, size),
        undo=(DeleteLink(name),),
        effect=LinkIs(name, mac, type="bridge", mtu=mtu),
        after=(),
    )


def veth(
    name: str,
    *,
    peer: str,
    netns: str,
    master: str | None = None,
    master_index: int | None = None,
    mac: str | None = None,
    peer_mac: str | None = None,
    mtu: int | None = None,
) -> Step:
    """
    Make a veth pair whose peer is born inside a namespace, so that it never shows up on the host.

    Args:
        name: The host's end.
        peer: The end inside.
        netns: The namespace.
        master: The bridge that the host's end becomes a port of.
        master_index: Its ifindex, if it is not nsctl's: another bridge of that name is not the one.
        mac: The host end's hardware address; derived where not given.
        peer_mac: The hardware address inside; derived where not given.
        mtu: Of both ends; bytes.
    """
    check_ifname(name)
    check_ifname(peer)
    check_name(netns)
    mac = derived_mac(netns, name) if mac is None else check_mac(mac)
    peer_mac = derived_mac(netns, name, peer) if peer_mac is None else check_mac(peer_mac)
    size = None if mtu is None else check_mtu(mtu)
    port = None if master is None else check_ifname(master, "bridge name")
    joined = f", a port of {master}" if master else ""
    return Step(
        key=link_key(name, None),
        why=f"make the veth pair {name}{joined}, and {peer} inside {netns}",
        do=AddLink(name, "veth", mac, size, port, Peer(peer, netns, peer_mac, size)),
        undo=(DeleteLink(name),),
        effect=LinkIs(name, mac, type="veth", master=master, mtu=mtu, master_index=master_index),
        # What it may carry is said before it is there.
        after=(f"netns/{netns}", *((link_key(master, None), port_key(name)) if master else ())),
    )


class InnerEnd(NamedTuple):
    """The second link that a step makes: the peer of a veth pair; `mac` and `mtu` where they are given."""

    name: str
    netns: str | None
    mac: str | None
    mtu: int | None


def inner_end(step: Step) -> InnerEnd | None:
    """What a step's command says of the second link that it makes."""
    made = made_link(step.do)
    if made is None or (peer := made.peer) is None:
        return None
    return InnerEnd(peer.name, made.netns if peer.netns is None else peer.netns, peer.mac, peer.mtu)


def peer_key(step: Step) -> str | None:
    """The key of the second link that a step makes."""
    end = inner_end(step)
    return None if end is None else link_key(end.name, end.netns)


def hardware_address_inside(step: Step) -> str | None:
    """The hardware address of the second link that a step makes: that of a sandbox on a bridge."""
    end = inner_end(step)
    return None if end is None else end.mac


@shared
def link_up(name: str, *, netns: str | None = None) -> Step:
    """Set a link up."""
    check_link(name, netns)
    return Step(
        key=f"up/{at(name, netns)}",
        why=f"set {name} up",
        do=Ip("link", "set", (), name, ("up",), netns),
        undo=(Ip("link", "set", (), name, ("down",), netns),),
        effect=LinkUp(name, netns),
        removed_with=link_key(name, None) if netns is None else f"netns/{netns}",
        after=needs(name, netns),
    )


@shared
def link_set(
    name: str, attribute: str, value: str, *, before: str | None = None, netns: str | None = None, why: str = ""
) -> Step:
    """
    Set a property of a link.

    Args:
        name: The link.
        attribute: One of addrgenmode, alias, group, group_fwd_mask (as `0x4000`), hairpin, isolated, master, mtu,
            promisc.
        value: The value.
        before: What it was, for the undo; what a new link has, where not given.
        netns: The namespace that the link is in.
        why: One line for the reader of a dry run.

    Raises:
        Invalid: The property is unknown, or `before` must be given.
    """
    check_link(name, netns)
    if attribute not in {*_BEFORE, "alias", "master", "mtu"}:
        raise Invalid(f"'{attribute}' is no property of a link that nsctl can set")
    kind = ("type", "bridge_slave") if attribute in _PORT else ("type", "bridge") if attribute in _BRIDGE else ()
    if attribute == "master" and before is None:
        back: tuple[str, ...] = ("nomaster",)
    elif attribute == "alias" and before is None:
        back = ("alias", "")
    else:
        old = _BEFORE.get(attribute) if before is None else before
        if old is None:
            raise Invalid(f"setting '{attribute}' of {name} needs the value before, to be undone")
        back = (*kind, attribute, old)
    return Step(
        key=f"linkset/{at(name, netns)}/{attribute}",
        why=why or f"set {attribute} of {name} to {value}",
        do=Ip("link", "set", (), name, (*kind, attribute, value), netns),
        undo=(Ip("link", "set", (), name, back, netns),),
        effect=LinkSet(name, attribute, value, netns),
        removed_with=link_key(name, None) if netns is None else f"netns/{netns}",
        after=needs(name, netns),
    )
