"""
What the steps in place amount to: sandboxes, networks, claims.

And facts as they will be once a plan is carried out.

Pure: nothing here touches the system.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from ipaddress import IPv4Interface
from typing import TypeVar, cast

from msgspec.structs import replace

from nsctl.engine.kit.firewall import GUARD
from nsctl.engine.kit.forwarding import DEFAULT, GUARDING
from nsctl.engine.kit.networks import name_in
from nsctl.engine.model.claims import Claims, claims_of
from nsctl.engine.model.effects import AddrOn, LinkIs, NetnsIs, RouteVia, RuleTagged, SysctlIs
from nsctl.engine.model.facts import Facts, Link, Route, Sandbox
from nsctl.engine.model.names import rule_tag
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.planning.jumps import grown

__all__ = ["extend", "gateway_of", "names_of", "networks_of", "sandbox_of", "way_back_of"]

K = TypeVar("K")
V = TypeVar("V")

_FORWARDING = re.compile("net/ipv4/conf/[^/]+/forwarding")


def sandbox_of(
    name: str,
    mode: str,
    options: Mapping[str, object],
    isolate: tuple[str, ...],
    steps: Iterable[Step],
    *,
    pid: int | None = None,
    others: Mapping[str, Sandbox] | None = None,
) -> Sandbox:
    """
    A sandbox as its steps describe it.

    Args:
        name: Its name.
        mode: Its mode.
        options: The mode's options as plain data.
        isolate: The kinds of namespaces it has of its own.
        steps: Its steps, shared ones included.
        pid: The init's PID on the host.
        others: The sandboxes whose network namespace it may share: addresses and network are then those of the owner.
    """
    addresses: list[str] = []
    network: str | None = None
    netns = False
    for step in steps:
        effect = step.effect
        if isinstance(effect, AddrOn) and effect.netns == name:
            addresses.append(effect.address)
        elif isinstance(effect, LinkIs) and effect.netns is None and effect.master is not None:
            network = network or effect.master
        elif isinstance(effect, NetnsIs) and effect.name == name:
            netns = True
            owner = others.get(effect.source) if others and effect.source else None
            if owner is not None:
                addresses.extend(owner.addresses)
                network = network or owner.network
    return Sandbox(
        name=name,
        mode=mode,
        options=options,
        addresses=tuple(dict.fromkeys(addresses)),
        network=network,
        netns=netns,
        pid=pid,
        isolate=isolate,
    )


def gateway_of(name: str, steps: Iterable[Step]) -> str | None:
    """The gateway of a sandbox's default route."""
    for step in steps:
        effect = step.effect
        if isinstance(effect, RouteVia) and effect.netns == name and effect.destination == "default":
            return effect.via
    return None


def networks_of(steps: Iterable[Step]) -> dict[str, IPv4Interface]:
    """For each bridge of nsctl's on the host: its IPv4 address with prefix, the gateway of the sandboxes on it."""
    bridges: set[str] = set()
    addresses: dict[str, str] = {}
    for step in steps:
        effect = step.effect
        if isinstance(effect, LinkIs) and effect.netns is None and effect.type == "bridge":
            bridges.add(effect.name)
        elif isinstance(effect, AddrOn) and effect.netns is None and ":" not in effect.address:
            addresses.setdefault(effect.link, effect.address)
    return {link: _interface(address) for link, address in addresses.items() if link in bridges}


def names_of(steps: Iterable[Step]) -> dict[str, str]:
    """For each bridge whose network is not called like it: the network's name."""
    return dict(found for step in steps if (found := name_in(step.effect)) is not None)


@lru_cache(maxsize=64)
def _interface(address: str) -> IPv4Interface:
    return IPv4Interface(address)


def _grown(base: Mapping[K, V], more: Mapping[K, V]) -> Mapping[K, V]:
    # Adding costs what is added, however large the mapping below is.
    if not more:
        return base
    if isinstance(base, _Grown):
        base.maps[0].update(more)
        return base
    return _Grown(dict(more), cast("MutableMapping[K, V]", base))  # of the lower ones nothing is ever changed


class _Grown(ChainMap[K, V]):
    """Of two; each plan of a lab asks a hundred times whether a key is there, which a ChainMap takes 4 µs for."""

    def __contains__(self, key: object) -> bool:
        above, below = self.maps
        return key in above or key in below


class _Growing(dict[str, str]):
    """What is claimed in a place, as a copy of `extend`'s own, which it goes on adding to."""


def _claimed(base: Claims, more: Claims) -> Claims:
    new = {}
    for place, things in more.items():
        there = base.get(place, {})
        if not isinstance(there, _Growing):
            there = new[place] = _Growing(there)
        there.update(things)
    return _grown(base, new)


def way_back_of(steps: Iterable[Step]) -> tuple[Step, ...]:
    """
    The steps by which the host forwards from whatever link to nsctl's, if it does: each network needs all of them.

    Args:
        steps: Steps in place, those that set sysctls and guard among them.
    """
    found = []
    every = False
    for step in steps:
        effect = step.effect
        if isinstance(effect, SysctlIs):
            # `globally` is for links that were there before nsctl; of its own, no other network needs anything.
            if effect.globally is not None and _FORWARDING.fullmatch(effect.key):
                every = every or effect.key == DEFAULT
                found.append(step)
        elif isinstance(effect, RuleTagged) and effect.chain == GUARD and rule_tag(GUARDING) in effect.spec:
            found.append(step)
    return tuple(found) if every else ()


def extend(facts: Facts, plan: Plan) -> Facts:
    """
    The facts as they will be once the plan is carried out, for planning the next sandbox of the same transaction.

    Costs what the plan costs, not what the host does.
    So the mappings of the facts given grow along: go on with the result only.
    """
    new = [step for step in plan.steps if step.key not in facts.steps]
    links: dict[str, Link] = {}
    sysctls: dict[str, str] = {}
    netns: set[str] = set()
    for step in new:
        effect = step.effect
        if isinstance(effect, LinkIs) and effect.netns is None:
            links[effect.name] = Link(
                name=effect.name,
                mac=effect.mac,
                mtu=effect.mtu or facts.default_mtu,
                type=effect.type,
                master=effect.master,
            )
        elif isinstance(effect, SysctlIs) and effect.netns is None:
            sysctls[effect.key] = effect.value
        elif isinstance(effect, NetnsIs):
            netns.add(effect.name)
    networks = networks_of(new)
    way_back = facts.way_back or way_back_of(new)
    chains = grown(new, facts)
    sandbox = sandbox_of(plan.name, plan.mode, plan.options, plan.isolate, plan.steps, others=facts.sandboxes)
    return replace(
        facts,
        links=_grown(facts.links, links),
        routes=(*facts.routes, *(Route(a.network, link) for link, a in networks.items())) if networks else facts.routes,
        way_back=way_back,
        sysctls=_grown(facts.sysctls, sysctls),
        netns=facts.netns | netns if netns else facts.netns,
        sandboxes=_grown(facts.sandboxes, {plan.name: sandbox}),
        steps=_grown(facts.steps, {step.key: step for step in new}),
        networks=_grown(facts.networks, networks),
        names=_grown(facts.names, names_of(new)),
        claims=_claimed(facts.claims, claims_of(new, plan.name)),
        firewall=replace(facts.firewall, chains=_grown(facts.firewall.chains, chains)) if chains else facts.firewall,
    )
