"""Small things that people type: spans of time, lists of namespaces, variables, capabilities."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.model.options import nearest

__all__ = [
    "CAPABILITIES",
    "capabilities",
    "check_capabilities",
    "environment",
    "lines",
    "namespaces",
    "seconds",
    "variables",
]

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 7 * 24 * 3600.0
_LINES = re.compile(r"[0-9]{1,9}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CAPABILITIES = frozenset(
    # linux/capability.h, up to CAP_CHECKPOINT_RESTORE (5.9)
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service"
    " net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin"
    " sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override"
    " mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore".split()
)


def seconds(text: str, flag: str) -> float:
    """
    A span of time: `500ms`, `60s`, `5m`, `1h`; a bare number is seconds.

    Raises:
        Invalid: It is not one, or is zero, or longer than a week.
    """
    found = _SPAN.fullmatch(text)
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < value <= _LONGEST:
        raise Invalid(f"{flag}: '{display(text)}' is not a duration", hint="write it like 500ms, 60s, 5m or 1h")
    return value


def lines(text: str, flag: str) -> int:
    """
    A number of lines, or of records.

    Raises:
        Invalid: It is none.
    """
    if not _LINES.fullmatch(text):
        raise Invalid(f"{flag}: '{display(text)}' is not a number of lines", hint=f"write it like {flag} 20")
    return int(text)


def namespaces(text: str) -> tuple[str, ...]:
    """
    A list of kinds of namespaces, in nsctl's order.

    Raises:
        Invalid: One is unknown.
    """
    from nsctl.engine.model.plan import NAMESPACES

    wanted = [word.strip() for word in text.split(",")]
    for word in wanted:
        if word not in NAMESPACES:
            meant = nearest(word, NAMESPACES)
            hint = f"did you mean '{meant}'?" if meant else f"a list of {','.join(NAMESPACES)}"
            raise Invalid(f"--isolate: '{display(word)}' is not a kind of namespace", hint=hint)
    return tuple(kind for kind in NAMESPACES if kind in wanted)


def environment(wanted: Iterable[str], here: Mapping[str, str]) -> dict[str, str]:
    """
    Variables for a command: `NAME=VALUE`, or `NAME` alone for the value it has here.

    Raises:
        Invalid: A name is not one, or has no value here.
    """
    found: dict[str, str] = {}
    for word in wanted:
        name, given, value = word.partition("=")
        if not given and _VARIABLE.fullmatch(name):
            if name not in here:
                raise Invalid(f"--env: '{name}' is not set here", hint=f"give its value: --env {name}=VALUE")
            value = here[name]
        if found.get(name, value) != value:
            raise Invalid(f"--env: '{name}' is given twice", hint="leave one of them out")
        found |= variables({name: value}, "--env", "--env NAME=VALUE")
    return found


def variables(given: Mapping[str, str], where: str, example: str) -> dict[str, str]:
    """
    Variables for a command, checked.

    Args:
        given: Name → value.
        where: What they were given with, for messages.
        example: How to write one.

    Raises:
        Invalid: A name is not one, or a value can't be passed on.
    """
    for name, value in given.items():
        if not _VARIABLE.fullmatch(name):
            raise Invalid(f"{where}: '{display(name)}' is not a variable's name", hint=f"write it like {example}")
        if not value.isprintable():
            raise Invalid(f"{where}: the value of '{name}' holds characters that can't be printed")
    return dict(given)


def check_capabilities(settings: Mapping[str, Any], flag: Callable[[str], str]) -> None:
    """
    Refuse capabilities of which one setting would undo another.

    Args:
        settings: `cap_add`, `cap_drop` and `privileged`, each checked.
        flag: What a setting is called where it was given.

    Raises:
        Invalid: They contradict each other.
    """
    added, dropped = settings["cap_add"], settings["cap_drop"]
    both = sorted({*added} & {*dropped})
    if both:
        raise Invalid(
            f"{flag('cap_add')} and {flag('cap_drop')} both name {both[0]}", hint="leave it out of one of them"
        )
    for name, given in (("cap_add", added), ("cap_drop", dropped)):
        if settings["privileged"] and given:
            raise Invalid(
                f"{flag('privileged')} keeps all capabilities, so {flag(name)} would change nothing",
                hint=f"leave {flag('privileged')} or {flag(name)} out",
            )


def capabilities(wanted: Iterable[str], flag: str) -> list[str]:
    """
    Names of capabilities, as setpriv writes them: lower-case, without `cap_`.

    Raises:
        Invalid: One is unknown.
    """
    found = []
    for word in (part for text in wanted for part in text.split(",")):
        name = word.strip().lower().removeprefix("cap_")
        if name not in CAPABILITIES:
            meant = nearest(name, CAPABILITIES)
            hint = f"did you mean '{meant}'?" if meant and name != "all" else "see capabilities(7)"
            if name == "all":  # docker's
                hint = "name them, with commas between; --privileged keeps all"
            raise Invalid(f"{flag}: '{display(word)}' is not a capability", hint=hint)
        found.append(name)
    return sorted(set(found))
