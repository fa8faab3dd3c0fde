"""
Links, addresses, routes and rules, as `ip -json` shows them, made comparable.

What changes by itself is left out: timers and lifetimes, everything that follows from a link's carrier (which comes and
goes asynchronously), and the progress of IPv6's duplicate address detection. What is kept says what somebody
configured, and which object it is: the interface's index tells a link from another of the same name.
"""

from __future__ import annotations

import json
from typing import Any

Section = dict[str, Any]

_CARRIER_FLAGS = frozenset({"LOWER_UP", "NO-CARRIER", "RUNNING", "M-DOWN", "DORMANT", "linkdown", "dead"})
_VOLATILE_OF_LINKS = frozenset(
    {
        *("operstate", "linkinfo", "addr_info", "hello_timer", "tcn_timer", "topology_change_timer", "gc_timer"),
        *("topology_change", "topology_change_detected", "hold_timer", "message_age_timer", "forward_delay_timer"),
        *("topology_change_ack", "config_pending", "state"),
    }
)
_VOLATILE_OF_ADDRESSES = frozenset(
    {"valid_life_time", "preferred_life_time", "tentative", "optimistic", "dadfailed", "deprecated"}
)
_VOLATILE_OF_ROUTES = frozenset({"expires", "age", "used", "cache", "error"})
_FOREVER = 0xFFFFFFFF

BATCH = "address show\nroute show table all\nrule show\n"
"""For `ip -details -json -batch -`; the rules of IPv6 need a second `ip`."""


def parse_arrays(text: str) -> list[list[dict[str, Any]]]:
    """JSON arrays one after another, as `ip -json -batch` prints them."""
    decoder, arrays, at = json.JSONDecoder(), [], 0
    while (at := _skip_space(text, at)) < len(text):
        array, at = decoder.raw_decode(text, at)
        arrays.append(array)
    return arrays


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def normalise(batch: str, rules6: str, *, ifindex: bool) -> dict[str, Section]:
    """
    The sections `links`, `addresses`, `routes` and `rules` of one network namespace.

    Args:
        batch: What `ip` printed for `BATCH`.
        rules6: What `ip -6 rule show` printed.
        ifindex: Whether a link's index counts.
    """
    interfaces, routes, rules4 = parse_arrays(batch)
    (rules6_array,) = parse_arrays(rules6)
    interfaces = [interface for interface in interfaces if interface]
    return {
        "links": {interface["ifname"]: _link(interface, ifindex=ifindex) for interface in interfaces},
        "addresses": _keyed(
            {"dev": interface["ifname"]} | _address(address)
            for interface in interfaces
            for address in interface["addr_info"]
        ),
        "routes": _keyed(_without(_flags(route), _VOLATILE_OF_ROUTES) for route in routes),
        "rules": _keyed(
            [{"family": "inet"} | rule for rule in rules4] + [{"family": "inet6"} | rule for rule in rules6_array]
        ),
    }


def _without(entry: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in keys}


def _flags(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"flags": sorted(set(entry.get("flags", [])) - _CARRIER_FLAGS)}


def _link(interface: dict[str, Any], *, ifindex: bool) -> dict[str, Any]:
    info = interface.get("linkinfo", {})
    flat = {key: value for key, value in info.items() if not isinstance(value, dict)}
    for part in ("info_data", "info_slave_data"):
        flat |= {f"{part}.{key}": value for key, value in info.get(part, {}).items() if key not in _VOLATILE_OF_LINKS}
    link = _without(_flags(interface), _VOLATILE_OF_LINKS) | flat
    if not ifindex:
        link = _without(link, frozenset({"ifindex", "link_index"}))
    return link


def _address(address: dict[str, Any]) -> dict[str, Any]:
    lasting = address.get("valid_life_time", _FOREVER) == _FOREVER
    return _without(address, _VOLATILE_OF_ADDRESSES) | {"lifetime": "forever" if lasting else "limited"}


def _keyed(entries: Any) -> Section:
    """Entries that have no name of their own: they are their own key, numbered where there are equal ones."""
    section: Section = {}
    for entry in entries:
        key = " ".join(f"{name}={_text(value)}" for name, value in entry.items() if value not in ([], None))
        number = 1
        while (numbered := key if number == 1 else f"{key} #{number}") in section:
            number += 1
        section[numbered] = "there"
    return section


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
