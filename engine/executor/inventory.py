"""Between the store's rows and what people and modes are shown."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import NamedTuple

from nsctl.engine.executor.reading import pid_of
from nsctl.engine.kit.firewall import filter_network
from nsctl.engine.model.facts import Sandbox
from nsctl.engine.store import Journal, SandboxRow

__all__ = ["ListedNetwork", "described", "networks"]


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
    for cable in (cable for row in rows for cable in row.attachments if cable.sandbox == row.name):
        for bridge, address in cable.networks.items():
            if bridge not in found:
                gateway = IPv4Interface(address)
                internal = journal.step(filter_network(bridge, internal=True)[-1].key) is not None
                name = cable.names.get(bridge, bridge)
                subnets, via = [str(gateway.network)], str(gateway.ip)
                found[bridge] = ListedNetwork(name, bridge, subnets, via, internal, joined=False, sandboxes=[])
        if (joined := cable.joined) is not None:
            one = found.setdefault(
                joined, ListedNetwork(joined, joined, [], None, internal=False, joined=True, sandboxes=[])
            )
            nets = (str(IPv4Interface(address).network) for address in cable.addresses)
            one.subnets.extend(net for net in nets if net not in one.subnets)
    for row in rows:
        for link in dict.fromkeys(cable.link for cable in row.attachments):
            if link in found:
                found[link].sandboxes.append(row.name)
    return list(found.values())


def described(journal: Journal, row: SandboxRow) -> Sandbox:
    """A sandbox as modes see it."""
    pid = pid_of(journal, row)
    return Sandbox(
        name=row.name,
        mode=row.mode,
        options=row.options,
        addresses=row.addresses,
        network=row.link,
        netns=row.netns,
        pid=pid,
        isolate=row.isolate,
        ended=row.init is not None and pid is None,
    )
