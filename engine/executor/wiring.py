"""
What no effect says of links and addresses: a cable's end inside, whether a port forwards, the route of a subnet.

It was made along with what a step made, so nobody looks for it under a name of its own. `check` and `repair` look, from
what was read for the effects anyway.
"""

from __future__ import annotations

from msgspec import Struct

from nsctl.engine.host.kernel import Kernel
from nsctl.engine.kit.link import inner_end
from nsctl.engine.model.commands import Ip
from nsctl.engine.model.effects import AddrOn, LinkIs, LinkUp
from nsctl.engine.model.plan import Step

__all__ = ["Fault", "Wiring"]

_DISABLED, _FORWARDING = 0, 3
"""States of a bridge's port (linux/if_bridge.h); what is between them and behind is the spanning tree's affair."""
_HOST = 32


class Fault(Struct, frozen=True):
    """
    Something that is not as it was when the step was done.

    Args:
        found: A short phrase for people.
        why: What mends it.
        do: The command that does; None where somebody else's thing is in the way.
    """

    found: str
    why: str = ""
    do: Ip | None = None


class Wiring:
    """
    Looks at steps whose effects are in place.

    Args:
        kernel: The kernel, which has been read for these effects.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._connected: dict[str | None, set[tuple[str, int]]] = {}

    def fault(self, step: Step) -> Fault | None:
        """What is wrong with what came along with a step; None where nothing is."""
        effect = step.effect
        if isinstance(effect, LinkIs):
            return self.inside(step) if effect.netns is None else None
        if isinstance(effect, LinkUp):
            return self._port(effect.name) if effect.netns is None else None
        return self._subnet(effect) if isinstance(effect, AddrOn) else None

    def inside(self, step: Step) -> Fault | None:
        """
        What is wrong with the inner end of a cable: another link, another hardware address, or another MTU.

        One that is not there at all is missed by what was set on it.
        """
        effect, end = step.effect, inner_end(step)
        if not isinstance(effect, LinkIs) or end is None:
            return None
        outer, inner = self._kernel.link(effect.name), self._kernel.link(end.name, end.netns)
        if outer is None or inner is None or (outer.name, inner.name) != (effect.name, end.name):
            return None
        # Each end knows the other's index; these are given for each namespace, so one alone may be a chance.
        if self._kernel.far_end(effect.name) != inner.index or self._kernel.far_end(end.name, end.netns) != outer.index:
            return Fault(f"{end.name} inside is another link")
        wrong = []
        if end.mac is not None and inner.mac != end.mac:
            wrong.append(("address", end.mac, f"has the hardware address {inner.mac or 'none'}, expected {end.mac}"))
        if end.mtu is not None and inner.mtu != end.mtu:
            wrong.append(("mtu", str(end.mtu), f"has an MTU of {inner.mtu}, expected {end.mtu}"))
        if not wrong:
            return None
        settings = tuple(word for name, value, _ in wrong for word in (name, value))
        do = Ip("link", "set", (), end.name, settings, end.netns)
        why = f"give {end.name} its {' and '.join(name for name, _, _ in wrong)} back"
        return Fault("; ".join(f"{end.name} inside {said}" for *_, said in wrong), why, do)

    def _port(self, name: str) -> Fault | None:
        if self._kernel.port_state(name) != _DISABLED:
            return None
        do = Ip("link", "set", (), name, ("type", "bridge_slave", "state", str(_FORWARDING)))
        return Fault("up, and its bridge forwards nothing by it", f"have the port {name} forward", do)

    def _subnet(self, effect: AddrOn) -> Fault | None:
        address, _, length = effect.address.partition("/")
        if ":" in address or not length.isdecimal() or int(length) >= _HOST or effect.link == "lo":
            return None
        link = self._kernel.link(effect.link, effect.netns)
        if link is None or not link.up or link.master is not None:  # in a VRF the route is in its table
            return None
        if effect.netns not in self._connected:
            rows = self._kernel.routes(effect.netns)
            self._connected[effect.netns] = {(row.destination, row.ifindex) for row in rows if row.via is None}
        subnet = _subnet_of(address, int(length))
        if (subnet, link.index) in self._connected[effect.netns]:
            return None
        settings = ("proto", "kernel", "scope", "link", "src", address)
        do = Ip("route", "add", (subnet,), effect.link, settings, effect.netns)
        return Fault(f"in place, without the route to {subnet}", f"put the route to {subnet} back", do)


def _subnet_of(address: str, length: int) -> str:
    # A thousand times in a large lab; ipaddress takes six times as long.
    number = int.from_bytes(bytes(map(int, address.split("."))), "big") >> (_HOST - length) << (_HOST - length)
    return f"{'.'.join(map(str, number.to_bytes(4, 'big')))}/{length}"
