"""Addresses and routes."""

from __future__ import annotations

from typing import Self

from msgspec.structs import replace

from nsctl.engine.model.effects.base import LinkSetting
from nsctl.engine.model.host import Host, Needs
from nsctl.engine.model.observation import Observation, absent, foreign, ours

__all__ = ["AddrOn", "RouteVia"]

_METRIC_6 = 1024
"""IP6_RT_PRIO_USER."""


class AddrOn(LinkSetting, frozen=True, tag="addr"):
    """The link carries this address (`10.0.3.2/24`)."""

    link: str
    address: str
    netns: str | None = None

    @property
    def host_link(self) -> str | None:
        """The link, on the host."""
        return self.link if self.netns is None else None

    def observe_by_name(self, host: Host) -> Observation:
        """Among the link's addresses."""
        found = host.addresses(self.link, self.netns)
        if self.address in found or (":" in self.address and _same_address(self.address, found)):
            return ours()
        return absent()

    def on_link(self, name: str) -> Self:
        """The same on the link of another name."""
        return replace(self, link=name)

    def needs(self, needs: Needs) -> None:
        """The link and its addresses."""
        if self.netns is None:
            needs.link(self.link, None)
        else:
            needs.look_into(self.netns, six=":" in self.address)


def _same_address(wanted: str, found: frozenset[str]) -> bool:
    # IPv6 has many spellings.
    from ipaddress import ip_interface

    value = ip_interface(wanted)
    return any(ip_interface(address) == value for address in found if ":" in address)


class RouteVia(LinkSetting, frozen=True, tag="route"):
    """A route of the main table: `destination` is `default` or a prefix."""

    destination: str
    via: str | None
    link: str
    metric: int | None = None
    netns: str | None = None

    @property
    def host_link(self) -> str | None:
        """The link, on the host."""
        return self.link if self.netns is None else None

    def observe_by_name(self, host: Host) -> Observation:
        """Among the routes to this destination with this metric."""
        six = self._is_six()
        # What `ip route add` gives a route whose metric is not said.
        metric = self.metric if self.metric is not None else (_METRIC_6 if six else 0)
        destination = _destination(self.destination)
        others = []
        for route in host.routes(self.netns, 6 if six else 4):
            if route.destination != destination or route.metric != metric:
                continue
            link = host.link_by_index(route.ifindex, self.netns)
            name = link.name if link else f"link {route.ifindex}"
            if route.via == self.via and name == self.link:
                return ours()
            others.append(f"via {route.via} dev {name}" if route.via else f"dev {name}")
        return foreign(f"another route: {others[0]}") if others else absent()

    def _is_six(self) -> bool:
        return ":" in self.destination or ":" in (self.via or "")

    def on_link(self, name: str) -> Self:
        """The same on the link of another name."""
        return replace(self, link=name)

    def needs(self, needs: Needs) -> None:
        """The namespace's routes; the host's are read at once anyway."""
        needs.look_into(self.netns, six=self._is_six())


def _destination(text: str) -> str:
    # As the kernel's routes are told: `default`, or a prefix with its length.
    if text in ("default", "0.0.0.0/0", "::/0"):
        return "default"
    return text if "/" in text else f"{text}/{128 if ':' in text else 32}"
