"""
Names: what is allowed, and what is derived from them.

`ip` accepts much that a person never meant (`ip link set X netns 1234` falls back to PID 1234, `010.0.0.1` is octal),
so every name and address passes one of these before it reaches an argument vector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.hashing import sha256

__all__ = [
    "MASK",
    "check_ifname",
    "check_mac",
    "check_name",
    "check_network",
    "derived_mac",
    "display",
    "host_ifname",
    "is_name",
    "listed",
    "mask_of",
    "network_bridge",
    "port_mac",
    "rule_tag",
    "said_by",
]

MASK = "nsctl:"
"""What the sources of nsctl's mounts begin with that hide something; the sandbox's name follows."""

# Patterns are text, compiled when they are first used: for a command most never are.
_NAME = r"[a-z][a-z0-9_-]*"
_IFNAME = r"[a-z][a-z0-9_.-]*"
_MAC = r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"
NAME_MAX = 63
"""The longest label of a host name (RFC 1035), since the name is the sandbox's hostname."""
SHOWN_MAX = 80
"""Characters of somebody else's text in one of nsctl's lines."""
IFNAME_MAX = 15
"""IFNAMSIZ - 1."""
_RESERVED_IFNAMES = {
    "lo": "every network namespace has an interface of that name",
    "all": "in the kernel's settings it means every interface (net/ipv4/conf/all)",
    "default": "in the kernel's settings it means interfaces to come (net/ipv4/conf/default)",
}
_NUMBERED = r"nsbr[0-9]{1,6}"
_OTHER_MEANING = {
    "default": "the default network is the one without --network",
    "all": "it would read as all networks",
    **{mode: f"it is a mode: nsctl up {mode}" for mode in ("none", "host", "bridge", "container")},
}
"""Words that are no name of a network, with the reason: with Docker, some of them are."""


def display(text: str, most: int = SHOWN_MAX) -> str:
    """Text that came from outside, safe to show on a terminal: control characters escaped, no longer than this."""
    text = text[: most + 1]  # it only grows from here on, and there may be megabytes of it
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def said_by(value: object, most: int = SHOWN_MAX) -> str:
    """What an object from outside says of itself, safe to show; its type where it can't."""
    try:
        return display(str(value), most)
    except BaseException:  # noqa: BLE001 - it may be of a plugin's own class, or a number too large to print
        return type(value).__name__


def check_name(name: str, what: str = "name") -> str:
    """
    A sandbox's name.

    Raises:
        Invalid: It is not lower-case letters, digits, `-` and `_`, beginning with a letter, at most 63 long.
    """
    if is_name(name):
        return name
    raise Invalid(
        f"{what} '{display(name)}' is not allowed",
        hint=f"use lower-case letters, digits, '-' and '_', beginning with a letter, at most {NAME_MAX}",
    )


def is_name(word: str) -> bool:
    """Whether a sandbox may be called so."""
    return len(word) <= NAME_MAX and re.fullmatch(_NAME, word) is not None


def check_ifname(name: str, what: str = "interface name") -> str:
    """
    An interface's name.

    Raises:
        Invalid: It is reserved, longer than 15, or holds what interface names should not.
    """
    if name in _RESERVED_IFNAMES:
        raise Invalid(f"{what} '{name}' is reserved: {_RESERVED_IFNAMES[name]}", hint="choose another name")
    if len(name) <= IFNAME_MAX and re.fullmatch(_IFNAME, name):
        return name
    raise Invalid(
        f"{what} '{display(name)}' is not allowed",
        hint=f"use lower-case letters, digits, '-', '_' and '.', beginning with a letter, at most {IFNAME_MAX}",
    )


def check_network(name: str) -> str:
    """
    A network's name.

    Raises:
        Invalid: It is no name, or a word that means something else.
    """
    check_name(name, "network name")
    if name in _OTHER_MEANING:
        raise Invalid(f"a network can't be called '{name}'", hint=f"choose another name: {_OTHER_MEANING[name]}")
    return name


def network_bridge(name: str) -> str:
    """
    The bridge that a network is made on: readable where it fits into 15 characters.

    No link of a sandbox is called like it (see `host_ifname`). Two long names may meet in one bridge; the second is
    then refused as any other that finds its bridge taken. `nsbr0` and the like are their own bridges.
    """
    if re.fullmatch(_NUMBERED, name):
        return name
    plain = f"nsbr-{name}"
    if len(plain) <= IFNAME_MAX:
        return plain
    return f"nsbr-{name[:3]}-{sha256(name.encode()).hexdigest()[:6]}"


def check_mac(mac: str) -> str:
    """
    A unicast hardware address, in lower case.

    Raises:
        Invalid: It is malformed, multicast or zero.
    """
    low = mac.lower()
    if not re.fullmatch(_MAC, low):
        raise Invalid(f"'{display(mac)}' is not a hardware address", hint="write it like 02:42:0a:00:03:02")
    if int(low[:2], 16) & 1 or low == "00:00:00:00:00:00":
        raise Invalid(f"'{low}' is not a unicast address", hint="the first byte must be even, and not all may be zero")
    return low


def derived_mac(*words: str) -> str:
    """A locally administered unicast address derived from words: reproducible, and the mark that a link is nsctl's."""
    digest = sha256("\0".join(("nsctl", *words)).encode()).digest()
    return ":".join(f"{b:02x}" for b in (0x02 | (digest[0] & 0xFC), *digest[1:6]))


def port_mac(*words: str) -> str:
    """
    The same for a port of somebody else's bridge, higher than those of network cards.

    A bridge that was given no hardware address has that of its lowest port; so libvirt and LXC begin with fe, too.
    """
    return f"fe{derived_mac(*words)[2:]}"


def host_ifname(name: str, ifname: str = "eth0") -> str:
    """The name of the host's end of a sandbox's veth pair: readable where it fits into 15 characters."""
    plain = f"ns-{name}" if ifname == "eth0" else f"ns-{name}-{ifname}"
    if len(plain) <= IFNAME_MAX:
        return plain
    digest = sha256(f"{name}\0{ifname}".encode()).hexdigest()[:6]
    return f"ns-{name[:5]}-{digest}"


def rule_tag(owner: str) -> str:
    """The comment on a rule: says whose it is."""
    return f"nsctl:{owner}"


def mask_of(name: str) -> str:
    """
    What the mounts that hide something from a sandbox are called in /proc/PID/mountinfo.

    By it, processes of a sandbox are known that outlive its init.
    """
    return f"{MASK}{name}"


def listed(words: Sequence[str], most: int, between: str = ", ") -> str:
    """Words for a sentence; of many, the first ones, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more
