"""Hardware addresses on a bridge: each is one's only."""

from __future__ import annotations

from nsctl.engine.kit.claims import claimed
from nsctl.engine.model.errors import Conflict
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import check_mac, derived_mac

__all__ = ["choose_mac"]


def choose_mac(
    bridge: str, end: str, name: str, facts: Facts, *, cable: str, usual: str, wanted: str | None = None
) -> str:
    """
    The hardware address of a sandbox on a bridge.

    Args:
        bridge: The bridge.
        end: The host's end of its cable.
        name: The sandbox.
        facts: The host.
        cable: The hardware address of the host's end.
        usual: What it is by default.
        wanted: What was asked for.

    Raises:
        Conflict: It is another's on that bridge, or that of one of its ports.
    """
    mac = usual if wanted is None else check_mac(wanted)
    owner = _owner_of(mac, bridge, name, facts)
    if not owner and wanted is not None:
        owner = f"{end}, the host's end of its own cable" if mac == cable else _port_of(mac, bridge, facts)
    if owner:
        raise Conflict(f"{mac} is the hardware address of {owner}", hint="choose another --mac, or leave it out")
    # What is for the address of a port never leaves the host by the bridge.
    if there := _owner_of(cable, bridge, name, facts):
        raise Conflict(
            f"{cable} has to be the hardware address of {end}, the host's end of the cable, and is that of {there}",
            hint="choose another --name or --ifname, or take that one down",
        )
    return mac


def _owner_of(mac: str, bridge: str, name: str, facts: Facts) -> str:
    there = claimed(f"mac/{bridge}", facts).get(mac, name)
    if there != name:
        return f"'{there}' on {bridge}"
    own = facts.links[bridge].mac if bridge in facts.links else derived_mac("bridge", bridge)
    return f"{bridge} itself" if mac == own else ""


def _port_of(mac: str, bridge: str, facts: Facts) -> str:
    # A bridge that is only planned has no ports but those of sandboxes.
    if bridge not in facts.links or not facts.links[bridge].index:
        return ""
    ports = (link for n in facts.links if (link := facts.links.get(n)) is not None and link.master == bridge)
    return next((f"{port.name}, a port of {bridge}" for port in ports if port.mac == mac), "")
