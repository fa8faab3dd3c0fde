"""
Settings that every sandbox can have, from text as people write it on a command line or in a lab file.

They become plain data, which stands in the plan; see `nsctl.engine.planning.settings`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from nsctl.engine.app.parsers import capabilities, check_capabilities, environment, variables
from nsctl.engine.app.users import may_enter, user_of
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.planning.etc import HOST_GATEWAY, NO_SEARCH
from nsctl.engine.planning.settings import SYSCTL

__all__ = ["as_command", "network_settings", "of_lab_file"]

_MOST_SERVERS = 3
"""MAXNS of resolv.h: resolvers read no more."""
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?\.?")
_EXAMPLE = 'env = { LANG = "C" }'


def of_lab_file(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    The settings that a table of a lab file asks for.

    Args:
        given: Its keys that are not the mode's.

    Raises:
        Invalid: One is wrong; the message begins with its key.
    """
    env, sysctl = _table(given, "env", _EXAMPLE), _table(given, "sysctl", 'sysctl = { "net.ipv4.ip_forward" = "1" }')
    privileged = given.get("privileged", False)
    if not isinstance(privileged, bool):
        raise Invalid("'privileged' is a switch", hint="it is true or false")
    settings: dict[str, Any] = {
        "cap_add": capabilities(_list(given, "cap_add", "net_raw"), "'cap_add'"),
        "cap_drop": capabilities(_list(given, "cap_drop", "net_raw"), "'cap_drop'"),
        "privileged": privileged,
        "env": variables(env, "'env'", _EXAMPLE),
    }
    check_capabilities(settings, lambda key: f"'{key}'")
    return settings | network_settings(
        lambda key: f"'{key}'",
        user=_text(given, "user", "nobody"),
        workdir=_text(given, "workdir", "/srv"),
        dns=_list(given, "dns", "192.0.2.53"),
        dns_search=_list(given, "dns_search", "example.com"),
        add_host=_list(given, "add_host", "db:192.0.2.7"),
        sysctl=((key, "=", value) for key, value in sysctl.items()),
    )


def as_command(
    settings: Mapping[str, Any],
    *,
    user: str | None,
    workdir: str | None,
    env: Iterable[str],
    here: Mapping[str, str],
) -> dict[str, Any]:
    """
    A sandbox's settings with those that one command in it asks for.

    Args:
        settings: The sandbox's.
        user: `USER[:GROUP]`; the sandbox's, if not given.
        workdir: A directory; the sandbox's, if not given.
        env: Variables, `NAME=VALUE` or `NAME`.
        here: The caller's environment, from which variables without a value are taken.

    Raises:
        Invalid: One is wrong.
    """
    found = dict(settings)
    if user is not None:
        found["user"] = user_of(user, "--user")
    if workdir is not None:
        found["workdir"] = _absolute(workdir, "--workdir")
    return found | {"env": {**settings.get("env", {}), **environment(env, here)}}


def network_settings(
    flag: Callable[[str], str],
    *,
    user: str | None,
    workdir: str | None,
    dns: Iterable[str],
    dns_search: Iterable[str],
    add_host: Iterable[str],
    sysctl: Iterable[tuple[str, str, str]],
) -> dict[str, Any]:
    """
    The settings besides those of capabilities and variables, as people write them.

    Args:
        flag: How a setting is called where it was written, for messages.
        user: `USER[:GROUP]`.
        workdir: A directory.
        dns: Addresses of name servers.
        dns_search: Domains.
        add_host: `NAME:ADDRESS`.
        sysctl: Key, separator and value.

    Raises:
        Invalid: One is wrong.
    """
    # What was not asked for is left out: so a sandbox of an older nsctl is as it is asked for now.
    found: dict[str, Any] = {
        "user": None if user is None else user_of(user, flag("user")),
        "dns": _servers(dns, flag("dns")),
        "dns_search": _domains(dns_search, flag("dns_search")),
        "add_host": [_entry(word, flag("add_host")) for word in add_host],
        "sysctl": dict(_sysctls(sysctl, flag("sysctl"))),
    }
    if workdir is not None:
        found["workdir"] = _directory(workdir, flag("workdir"), found["user"])
    return {key: value for key, value in found.items() if value}


def _table(given: Mapping[str, Any], key: str, example: str) -> dict[str, str]:
    value = given.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise Invalid(f"'{key}' is a table of texts", hint=f"for example {example}")
    return value


def _list(given: Mapping[str, Any], key: str, example: str) -> list[str]:
    value = given.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise Invalid(f"'{key}' is a list of words", hint=f'for example {key} = ["{example}"]')
    return value


def _text(given: Mapping[str, Any], key: str, example: str) -> str | None:
    value = given.get(key)
    if value is not None and not isinstance(value, str):
        raise Invalid(f"'{key}' is a text", hint=f'for example {key} = "{example}"')
    return value


def _absolute(text: str, flag: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise Invalid(
            f"{flag}: '{display(text)}' is not an absolute path", hint=f"write it like {flag.strip(chr(39))} /srv"
        )
    return os.path.normpath(text)


def _directory(text: str, flag: str, user: Mapping[str, Any] | None) -> str:
    path = _absolute(text, flag)
    if not os.path.isdir(path):
        raise Invalid(f"{flag}: there is no directory '{display(path)}'", hint="it must be there before it is used")
    if user is not None and user["uid"] and os.geteuid() == 0 and not may_enter(path, user):
        raise Invalid(
            f"{flag}: user '{display(user['name'])}' can't enter '{display(path)}'",
            hint="choose another directory, or see its permissions: namei -l " + display(path),
        )
    return path


def _address(text: str, flag: str, example: str) -> str:
    try:
        found = ip_address(text.removeprefix("[").removesuffix("]") if text.startswith("[") else text)
    except ValueError:
        found = None
    if found is None or "%" in text or found.is_multicast or found.is_unspecified:
        raise Invalid(f"{flag}: '{display(text)}' is not the address of a host", hint=f"write it like {example}")
    return str(found)


def _servers(wanted: Iterable[str], flag: str) -> list[str]:
    found = list(dict.fromkeys(_address(word, flag, f"{flag} 192.0.2.53") for word in wanted))
    if len(found) > _MOST_SERVERS:
        raise Invalid(
            f"{flag}: resolvers ask the first {_MOST_SERVERS} name servers, and no others", hint="leave some out"
        )
    return found


def _domains(wanted: Iterable[str], flag: str) -> list[str]:
    found = list(dict.fromkeys(wanted))
    for word in found:
        if word == NO_SEARCH and len(found) > 1:
            raise Invalid(f"{flag}: '{NO_SEARCH}' means that nothing is searched", hint="give it alone, or not at all")
        if word != NO_SEARCH and not _HOST.fullmatch(word):
            raise Invalid(f"{flag}: '{display(word)}' is not a domain", hint="write it like example.com")
    return found


def _entry(text: str, flag: str) -> str:
    # Docker's NAME:ADDRESS, and its NAME=ADDRESS.
    cut = next((n for n, c in enumerate(text) if c in ":="), len(text))
    host, address = text[:cut], text[cut + 1 :]
    if not _HOST.fullmatch(host) or not address:
        raise Invalid(f"{flag}: '{display(text)}' is not a name and an address", hint="write it like db:192.0.2.7")
    if host == "localhost":
        raise Invalid(f"{flag}: 'localhost' is always the loopback's name", hint="choose another name")
    if address != HOST_GATEWAY:
        address = _address(address, flag, f"db:192.0.2.7, or db:{HOST_GATEWAY}")
    return f"{host}:{address}"


def _sysctls(wanted: Iterable[tuple[str, str, str]], flag: str) -> Iterator[tuple[str, str]]:
    found: dict[str, str] = {}
    for key, given, value in wanted:
        # As sysctl(8) has it: the first separator says which of the two is meant, for links' names may hold dots.
        dotted = "." in key and "/" not in key.partition(".")[0]
        path = key.translate(str.maketrans("./", "/.")) if dotted else key
        if not given or not path.startswith("net/"):
            shown = display(f"{key}{given}{value}")
            raise Invalid(
                f"{flag}: '{shown}' is not a setting of a network" if given else f"{flag}: '{shown}' has no value",
                hint="only net.* belongs to a sandbox: write it like net.ipv4.tcp_keepalive_time=60",
            )
        if not SYSCTL.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise Invalid(f"{flag}: '{display(key)}' is not the key of a setting", hint="see them: sysctl -a")
        text = " ".join(value.split())
        if not text:
            raise Invalid(f"{flag}: '{display(key)}' has no value", hint=f"write it like {display(key)}=VALUE")
        if path in found:
            raise Invalid(f"{flag}: {path} is given twice", hint="leave one of them out")
        found[path] = text
    if found:
        from nsctl.engine.app.trial import refused

        path, why = refused(found)
        if why:
            raise Invalid(
                f"{flag}: {path.replace('/', '.')}={display(found[path])}: {why}", hint="see them: sysctl net"
            )
    yield from found.items()
