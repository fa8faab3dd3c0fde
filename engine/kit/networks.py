"""
Networks: their names, and which one a sandbox means that names none.

A network is a bridge with a subnet. Its name is the bridge's, or what the bridge's alias says after `nsctl:`, where
the people who made it gave it another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nsctl.engine.kit.firewall import filter_network
from nsctl.engine.kit.keys import shared
from nsctl.engine.kit.link import link_set
from nsctl.engine.model.effects import Effect, LinkSet
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import MASK, check_network, network_bridge
from nsctl.engine.model.plan import Step

__all__ = ["free_bridge", "is_internal", "name_in", "name_network", "network_named", "unnamed_network"]

_NUMBERED = re.compile(r"nsbr([0-9]{1,6})")


@shared
def name_network(bridge: str, name: str) -> Step | None:
    """
    Give a network a name other than its bridge's.

    Args:
        bridge: The bridge.
        name: The name; for `nsbr0` and the like, which only their own bridges are called, there is nothing to do.

    Raises:
        Invalid: It is no name for a network, or another bridge's.
    """
    if name == bridge:
        return None
    return link_set(bridge, "alias", f"{MASK}{check_network(name)}", why=f"{bridge}: the network {name}")


def name_in(effect: Effect | None) -> tuple[str, str] | None:
    """The bridge and the network's name, if this is the effect of `name_network`."""
    if isinstance(effect, LinkSet) and effect.attribute == "alias" and effect.netns is None:
        tag, name = effect.value[: len(MASK)], effect.value[len(MASK) :]
        return (effect.name, name) if tag == MASK and name else None
    return None


def network_named(name: str, facts: Facts) -> str | None:
    """The bridge of the network of that name; None where there is no such network yet."""
    if name in facts.networks and facts.names.get(name, name) == name:
        return name
    return next((bridge for bridge, called in facts.names.items() if called == name), None)


def unnamed_network(facts: Facts, *, internal: bool = False) -> str | None:
    """
    The network of those that name none: the first of `nsbr0`, `nsbr1`, … that is up, with a way out or without one.

    Args:
        facts: The host.
        internal: Without one.
    """
    for _, bridge in _numbered(facts):
        if is_internal(bridge, facts) == internal:
            return bridge
    return None


def free_bridge(facts: Facts) -> str:
    """The next of `nsbr0`, `nsbr1`, …: behind nsctl's, so that the first one stays the first, and no link's."""
    number = max((n + 1 for n, _ in _numbered(facts)), default=0)
    while (name := network_bridge(f"nsbr{number}")) in facts.links or name in facts.names.values():
        number += 1
    return name


def is_internal(bridge: str, facts: Facts) -> bool:
    """Whether a network of nsctl's has no way out."""
    return filter_network(bridge, internal=True)[-1].key in facts.steps


def _numbered(facts: Facts) -> Iterator[tuple[int, str]]:
    found = ((_NUMBERED.fullmatch(bridge), bridge) for bridge in facts.networks)
    yield from sorted((int(match[1]), bridge) for match, bridge in found if match)
