"""Sysctls: what was found is put back."""

from __future__ import annotations

import re

from nsctl.engine.kit.keys import link_key, needs
from nsctl.engine.model.commands import Sysctl
from nsctl.engine.model.effects import SysctlIs
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Step

__all__ = ["sysctl"]

_KEY = re.compile(r"[a-z0-9_]+(/[A-Za-z0-9_.-]+)+")
_COPIED = frozenset({"net/ipv4/conf/{}/forwarding", "net/ipv6/conf/{}/forwarding", "net/ipv6/conf/{}/disable_ipv6"})
"""What the kernel writes to every link when `conf/all` is written to (ip-sysctl.rst)."""
_OF_LINK = re.compile(r"(?P<head>net/ipv[46]/(?:conf|neigh))/(?P<link>[^/]+)/(?P<tail>.+)")


def sysctl(
    facts: Facts, key: str, value: str, *, netns: str | None = None, before: str | None = None, why: str = ""
) -> Step | None:
    """
    Set a sysctl; None where the host has the value already and not from nsctl.

    A sandbox that needs what another one's step has set becomes a holder of that very step.

    Args:
        facts: The host.
        key: With slashes, since names of links contain dots: `net/ipv4/conf/br0/forwarding`.
        value: The value.
        netns: The namespace; there every sysctl goes with it.
        before: The value before, where facts can't tell: inside a namespace, or for a link that the plan makes itself.
        why: One line for the reader of a dry run.

    Raises:
        Invalid: The key is malformed.
    """
    if not _KEY.fullmatch(key) or ".." in key.split("/"):
        raise Invalid(
            f"'{display(key)}' is not the key of a sysctl", hint="write it like net/ipv4/conf/eth0/forwarding"
        )
    name = f"sysctl/{key}" if netns is None else f"sysctl/{netns}:{key}"
    applied = facts.steps.get(name)
    if applied is not None and isinstance(applied.effect, SysctlIs) and applied.effect.value == value:
        return applied
    of_link = _OF_LINK.fullmatch(key)
    link = of_link["link"] if of_link and of_link["link"] not in {"all", "default"} else None
    removed_with = f"netns/{netns}" if netns is not None else link_key(link, None) if link else None
    after = needs(link, netns) if link else (f"netns/{netns}",) if netns is not None else ()
    found = facts.sysctls.get(key) if netns is None else None
    globally = None
    if found is not None:
        if found.split() == value.split():
            return None
        before = found
        if of_link is not None and of_link["link"] != "all" and f"{of_link['head']}/{{}}/{of_link['tail']}" in _COPIED:
            globally = facts.sysctls.get(f"{of_link['head']}/all/{of_link['tail']}")
    elif before is None and of_link is not None:
        # The link is not there yet: it begins with the defaults.
        before = facts.sysctls.get(f"{of_link['head']}/default/{of_link['tail']}")
    if before is None:
        before = "0" if value != "0" else "1"
    return Step(
        key=name,
        why=why or f"set {key} to {value}",
        do=Sysctl(key, value, netns),
        undo=(Sysctl(key, before, netns),),
        effect=SysctlIs(key, value, before, netns, globally),
        removed_with=removed_with,
        after=after,
    )
