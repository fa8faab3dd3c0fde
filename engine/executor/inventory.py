"""Between the store's rows and what people and modes are shown."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import Any, NamedTuple

from nsctl.engine.executor.reading import pid_of
from nsctl.engine.kit.firewall import filter_network
from nsctl.engine.model.commands import Spawn
from nsctl.engine.model.effects import LinkIs, NetnsIs, ProcessIs
from nsctl.engine.model.facts import Sandbox
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning.forecast import gateway_of, names_of, networks_of, sandbox_of
from nsctl.engine.store import Journal, SandboxRow

__all__ = ["ListedNetwork", "described", "info_of", "networks"]


def info_of(plan: Plan) -> dict[str, Any]:
    """What `ls` shows and planning needs of a sandbox, taken from its plan's steps once."""
    sandbox = sandbox_of(plan.name, plan.mode, plan.options, plan.isolate, plan.steps)
    names = names_of(plan.steps)
    info: dict[str, Any] = {
        "addresses": list(sandbox.addresses),
        "network": names.get(sandbox.network or "", sandbox.network),
        "link": sandbox.network,
        "gateway": gateway_of(plan.name, plan.steps),
        "netns": sandbox.netns,
        "networks": {link: str(address) for link, address in networks_of(plan.steps).items()},
        "names": names,
    }
    for step in plan.steps:
        if isinstance(step.effect, NetnsIs) and step.effect.source is not None:
            info["shares"] = step.effect.source
        if isinstance(step.effect, LinkIs) and step.effect.master_index is not None:
            info["joined"] = step.effect.master
        if isinstance(step.do, Spawn) and isinstance(step.effect, ProcessIs):
            info["init"] = step.key
            info["pidfile"] = step.do.pidfile
            info["log"] = step.do.log
            # Whoever joins its init is within its bounds; where a mode has only processes of its own, there are none.
            info["bounds"] = step.key == f"init/{plan.name}" and step.argv[:2] == ("unshare", "--mount")
    return info


class ListedNetwork(NamedTuple):
    """
    A network, for people.

    Args:
        name: Its name.
        bridge: Its bridge.
        subnets: Its subnets.
        gateway: The bridge's own address.
        internal: Whether it has no way out.
        joined: Whether it is somebody else's bridge: then its subnets are those of the sandboxes' addresses.
        sandboxes: Who is on it, sharers included.
    """

    name: str
    bridge: str
    subnets: list[str]
    gateway: str | None
    internal: bool
    joined: bool
    sandboxes: list[str]


def networks(journal: Journal) -> list[ListedNetwork]:
    """The networks of the sandboxes that are up."""
    found: dict[str, ListedNetwork] = {}
    rows = journal.sandboxes().values()
    for row in rows:
        for bridge, address in row.info.get("networks", {}).items():
            if bridge not in found:
                gateway = IPv4Interface(address)
                internal = journal.step(filter_network(bridge, internal=True)[-1].key) is not None
                name = row.info.get("names", {}).get(bridge, bridge)
                subnets, via = [str(gateway.network)], str(gateway.ip)
                found[bridge] = ListedNetwork(name, bridge, subnets, via, internal, joined=False, sandboxes=[])
        if (bridge := row.info.get("joined")) is not None:
            one = found.setdefault(
                bridge, ListedNetwork(bridge, bridge, [], None, internal=False, joined=True, sandboxes=[])
            )
            nets = (str(IPv4Interface(address).network) for address in row.info["addresses"])
            one.subnets.extend(net for net in nets if net not in one.subnets)
    for row in rows:
        if row.info.get("link") in found:
            found[row.info["link"]].sandboxes.append(row.name)
    return list(found.values())


def described(journal: Journal, row: SandboxRow) -> Sandbox:
    """A sandbox as modes see it."""
    pid = pid_of(journal, row)
    return Sandbox(
        name=row.name,
        mode=row.mode,
        options=row.options,
        addresses=tuple(row.info.get("addresses", ())),
        network=row.info.get("link"),
        netns=bool(row.info.get("netns")),
        pid=pid,
        isolate=row.isolate,
        ended=bool(row.info.get("init")) and pid is None,
    )
