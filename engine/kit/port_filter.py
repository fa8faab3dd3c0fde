"""
What a sandbox on a bridge may send: in its own name only, whatever it is for.

Frames between two ports of a bridge never reach iptables, so the table is of nft's bridge family, before the bridge
learns from a frame or passes it on. It has few rules, the same for all, and sets that say which port sends as whom.
"""

from __future__ import annotations

import re
from functools import cache
from ipaddress import IPv4Address

from msgspec.structs import replace

from nsctl.engine.kit.keys import port_key, shared
from nsctl.engine.kit.link import link_set
from nsctl.engine.model.commands import Nft
from nsctl.engine.model.effects import LinkIs, NftTable, PortFilter
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import check_ifname, check_mac
from nsctl.engine.model.plan import Plan, Step

__all__ = [
    "FILTERED_PORTS",
    "PORT",
    "TABLE",
    "TABLE_KEY",
    "filters_ports",
    "is_own_nft",
    "keep_groups",
    "made_anew",
    "own_addresses",
    "port_table",
    "unfiltered",
    "without",
]

FILTERED_PORTS = "filtered ports"
"""What `Facts.lacks` calls it where the host can't filter on bridges."""
TABLE_KEY = "nft/bridge/nsctl"
TABLE = """\
table bridge nsctl {
    set ports { type ifname; }
    set hardware { type ifname . ether_addr; }
    set addresses { type ifname . ipv4_addr; }
    chain prerouting {
        type filter hook prerouting priority filter; policy accept;
        iifname @ports goto guarded
    }
    chain input {
        type filter hook input priority filter; policy accept;
        iifname @ports ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop
    }
    chain guarded {
        iifname . ether saddr != @hardware drop
        ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop
        iifname . ip saddr @addresses accept
        ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 goto senders
        ether type ip6 accept
        drop
    }
    chain senders {
        iifname . arp saddr ether != @hardware drop
        iifname . arp saddr ip @addresses accept
        arp operation request arp saddr ip 0.0.0.0 accept
        drop
    }
}
"""
"""
What is accepted is named, and the rest dropped: what a rule can't read (a header cut short) it does not match.

Nor is it IPv4 or ARP behind more than one VLAN's tag, or in LLC and SNAP, which some receivers take for the plain one
(CVE-2021-27853 and its kin). A probe for an address has no sender yet (RFC 5227).
What is for the groups that bridges keep to themselves (IEEE 802.1D), the host would take in by the port, past all that
is said of the bridge: that comes by input, or by prerouting, see `keep_groups`.
The rules are written as nft lists them, so that a ruleset which was saved and restored is the same.
"""
_DELETE = "delete table bridge nsctl"
_AGAIN = f"{_DELETE}\n"
PORT = r'"[a-z][A-Za-z0-9_.-]{0,14}"'
_MAC = r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}"
_IP = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_ELEMENT = rf"{PORT}(?: \. (?:{_MAC}|{_IP}))?"
_ELEMENTS = rf"(?:add|delete) element bridge nsctl (?:ports|hardware|addresses) \{{ {_ELEMENT}(?:, {_ELEMENT})* \}}"


@cache
def _statements() -> re.Pattern[str]:
    return re.compile(rf"{_ELEMENTS}(?:; {_ELEMENTS})*")  # takes a millisecond, and only who judges commands needs it


def filters_ports(facts: Facts) -> bool:
    """Whether the host can do what `kit.own_addresses` asks for; where it can't, `up` says so."""
    return FILTERED_PORTS not in facts.lacks


@shared
def port_table() -> Step:
    """The table: what comes in by one of its ports passes only if it is sent in the name of who is behind that port."""
    return Step(
        key=TABLE_KEY,
        why="filter sender addresses on the ports of nsctl's bridges",
        do=Nft(TABLE),
        undo=(Nft(_DELETE),),
        effect=NftTable("bridge", "nsctl"),
        after=(),
    )


def keep_groups(bridge: str) -> Step:
    """
    Have a bridge of nsctl's treat frames for the group of LLDP as any others, so that they come by what judges a port.

    Else the kernel hands them to the host right away, by no hook of the bridge's (br_handle_frame).
    """
    why = f"{bridge}: filter LLDP frames as any others"
    return link_set(bridge, "group_fwd_mask", "0x4000", why=why)


def own_addresses(port: str, mac: str, *addresses: IPv4Address) -> tuple[Step, ...]:
    """
    Nothing comes in by a port of a bridge but what has this hardware address, and one of these as its source.

    Neither IPv4 nor ARP in the name of another on the bridge, of the bridge itself, or of the host's; nothing but IPv4,
    ARP and IPv6, of which only the hardware address is judged. A cable made by `kit.veth` comes after it, so it has
    carried nothing before.

    Args:
        port: The host's end of the cable.
        mac: The hardware address of the other end.
        addresses: The addresses there.
    """
    check_ifname(port)
    check_mac(mac)
    found = tuple(map(str, addresses))
    return (
        port_table(),
        Step(
            key=port_key(port),
            why=f"{port}: accept only {mac} with {' or '.join(found)} as the sender",
            do=Nft(_statement("add", port, (mac,), found)),
            undo=(Nft(_statement("delete", port, (mac,), found)),),
            effect=PortFilter(port, mac, found),
            removed_with=TABLE_KEY,
            after=(TABLE_KEY,),
        ),
    )


def without(step: Step, *, listed: bool, macs: tuple[str, ...], addresses: tuple[str, ...]) -> Step:
    """
    The same step, whose undo takes away what the table really has of the port.

    Args:
        step: The port's.
        listed: Whether it is among the ports.
        macs: Its hardware addresses there.
        addresses: Its addresses there.
    """
    if not isinstance(step.effect, PortFilter):
        return step
    statement = _statement("delete", step.effect.port, macs, addresses, listed=listed)
    return replace(step, undo=(Nft(statement),))


def made_anew(elements: dict[str, tuple[bool, tuple[str, ...], tuple[str, ...]]]) -> Nft:
    """
    The command that makes the table once more, all at once, with ports that it has.

    Args:
        elements: For each port: whether it is listed, its hardware addresses, and its addresses.
    """
    lines = [
        _statement("add", port, macs, addresses, listed=listed) + "\n"
        for port, (listed, macs, addresses) in sorted(elements.items())
    ]
    return Nft("".join([_AGAIN, TABLE, *lines]))


def _statement(verb: str, port: str, macs: tuple[str, ...], addresses: tuple[str, ...], *, listed: bool = True) -> str:
    sets = {
        "ports": [f'"{port}"'] if listed else [],
        "hardware": [f'"{port}" . {mac}' for mac in macs],
        "addresses": [f'"{port}" . {address}' for address in addresses],
    }
    return "; ".join(f"{verb} element bridge nsctl {name} {{ {', '.join(e)} }}" for name, e in sets.items() if e)


def is_own_nft(command: Nft) -> bool:
    """Whether a command of nft's is one that these functions make."""
    if "\n" not in command.text:
        return command.text == _DELETE or _statements().fullmatch(command.text) is not None
    head, table, rest = command.text.partition(TABLE)
    return bool(table) and head in {"", _AGAIN} and all(map(_statements().fullmatch, rest.splitlines()))


def unfiltered(plan: Plan, facts: Facts) -> list[str]:
    """What the user has to know of ports that are not judged, since the host can't do that."""
    keys = {step.key for step in plan.steps}
    effects = [step.effect for step in plan.steps]
    ports = [e for e in effects if isinstance(e, LinkIs) and e.netns is None and e.master and e.type == "veth"]
    bridges = dict.fromkeys(e.master for e in ports if port_key(e.name) not in keys)
    if not bridges or plan.options.get("allow_spoofing") or (why := facts.lacks.get(FILTERED_PORTS)) is None:
        return []
    return [f"sandboxes on {bridge} can take each other's address: {why}" for bridge in bridges]
