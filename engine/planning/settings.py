"""
What can be asked of every sandbox, whatever its mode: capabilities, variables, user, directory, names, sysctls.

A request has them as plain data, which goes into the plan and the journal; the command line and lab files are read by
`nsctl.engine.app.settings`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from nsctl.engine.kit.sysctls import sysctl
from nsctl.engine.model.effects import NetnsIs, SysctlIs
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Step
from nsctl.engine.planning.etc import HOST_GATEWAY

__all__ = ["FITS", "ID_MOST", "ORDINARY", "SYSCTL", "check", "own_sysctls", "shown"]

SYSCTL = re.compile(r"net(?:/[A-Za-z0-9_][A-Za-z0-9_.@:-]*){1,8}")
"""The key of a setting of the network, with slashes."""
ORDINARY = {
    "net/ipv4/ip_unprivileged_port_start": ("0", "1024", "let ordinary users of {} bind ports below 1024"),
    "net/ipv4/ping_group_range": ("0 2147483647", "1 0", "let ordinary users of {} ping"),
}
"""As Docker has it since 20.10: value, that of a new namespace, reason. The ports and packets are the sandbox's own."""
_WORD = re.compile(r"[a-z][a-z_]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?\.?|\.")
_VALUE = re.compile(r"[A-Za-z0-9_.,: \t-]+")
_USER = frozenset({"name", "login", "uid", "gid", "groups", "home"})
ID_MOST = 4_294_967_294
"""(uid_t) -1 means "leave as it is"."""


def check(mode: Mode, request: Request, steps: Iterable[Step], facts: Facts) -> None:
    """
    Refuse what makes no sense with the namespaces that the sandbox has of its own.

    Raises:
        Invalid: With the reason.
    """
    settings = request.settings
    made = _netns_of(request.name, steps)
    if "mount" not in request.isolate:
        for flag in ("dns", "dns_search", "add_host"):
            if settings.get(flag):
                raise Invalid(
                    f"--{flag.replace('_', '-')} needs a mount namespace of its own: "
                    "without one, the files in /etc are the host's",
                    hint="add mount to --isolate",
                )
    if facts.resolv_conf is None and (settings.get("dns") or settings.get("dns_search")):
        raise Invalid(
            "the host has no /etc/resolv.conf, so there is nothing to mount another one over",
            hint="make one, which may be empty: touch /etc/resolv.conf",
        )
    if made is not None:
        for address in settings.get("dns", ()):
            if ip_address(address).is_loopback:
                raise Invalid(
                    f"--dns {address} is the sandbox's own loopback, where no resolver of the host's listens",
                    hint="give an address that it can reach; the host's is that of the gateway",
                )
    if settings.get("sysctl") and (made is None or made.source is not None or made.inode is not None):
        whose = "the host's" if made is None else f"that of '{made.source}'" if made.source else "another process's"
        raise Invalid(
            f"--sysctl would change a network that is not its own: with mode '{mode.name}' it is {whose}",
            hint="use it where the network is made"
            if made is not None
            else "use a mode with a network of its own, or sysctl on the host",
        )


def own_sysctls(mode: Mode, request: Request, facts: Facts, steps: Sequence[Step]) -> Iterator[Step]:
    """
    The settings of a network namespace that is the sandbox's own: what was asked for, and what users expect.

    Raises:
        Invalid: The mode sets one of them otherwise.
    """
    made = _netns_of(request.name, steps)
    if made is None or made.source is not None or made.inode is not None:
        return
    name = request.name
    wanted: Mapping[str, str] = request.settings.get("sysctl", {})
    there = {s.effect.key: s.effect.value for s in steps if isinstance(s.effect, SysctlIs) and s.effect.netns == name}
    for key, (value, before, why) in ORDINARY.items():
        if key not in wanted and key not in there:
            step = sysctl(facts, key, value, netns=name, before=before, why=why.format(name))
            if step is not None:
                yield step
    for key, value in wanted.items():
        if key not in there:
            step = sysctl(facts, key, value, netns=name, before=ORDINARY.get(key, ("", None))[1])
            if step is not None:
                yield step
        elif there[key].split() != value.split():
            raise Invalid(
                f"--sysctl: {key} is {there[key]} in a sandbox of mode '{mode.name}', not {display(value)}",
                hint="leave it out",
            )


def shown(name: str, value: Any) -> Any:
    """A setting's value as people know it: the user's name, the sysctls as pairs."""
    if name == "user" and isinstance(value, Mapping):
        return value.get("name", value)
    if name == "sysctl" and isinstance(value, Mapping):
        return [f"{key.replace('/', '.')}={value[key]}" for key in value]
    return value


def _netns_of(name: str, steps: Iterable[Step]) -> NetnsIs | None:
    return next((s.effect for s in steps if isinstance(s.effect, NetnsIs) and s.effect.name == name), None)


def _all_text(value: object, fits: Callable[[str], object]) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(w, str) and bool(fits(w)) for w in value)


def _are_variables(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and _VARIABLE.fullmatch(name) and isinstance(text, str) and text.isprintable()
        for name, text in value.items()
    )


def _is_user(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != _USER:
        return False
    ids = all(type(value[key]) is int and 0 <= value[key] <= ID_MOST for key in ("uid", "gid"))
    texts = all(isinstance(value[key], str) and value[key].isprintable() for key in ("name", "login", "home"))
    return ids and texts and isinstance(value["groups"], bool) and _is_directory(value["home"])


def _is_directory(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and value.isprintable()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_entry(text: str) -> bool:
    host, _, address = text.partition(":")
    return _HOST.fullmatch(host) is not None and (address == HOST_GATEWAY or _is_address(address))


def _are_sysctls(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str)
        and isinstance(text, str)
        and SYSCTL.fullmatch(key)
        and not {".", ".."} & set(key.split("/"))
        and _VALUE.fullmatch(text)
        for key, text in value.items()
    )


FITS: dict[str, Callable[[object], bool]] = {
    "cap_add": lambda value: _all_text(value, _WORD.fullmatch),
    "cap_drop": lambda value: _all_text(value, _WORD.fullmatch),
    "privileged": lambda value: isinstance(value, bool),
    "env": _are_variables,
    "workdir": _is_directory,
    "user": _is_user,
    "dns": lambda value: _all_text(value, _is_address),
    "dns_search": lambda value: _all_text(value, _HOST.fullmatch),
    "add_host": lambda value: _all_text(value, _is_entry),
    "sysctl": _are_sysctls,
}
"""The allowed types of each: a plan may come from a file."""
