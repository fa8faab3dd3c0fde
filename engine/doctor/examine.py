"""All checks, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nsctl.engine.doctor import firewall, kernel, places, routes, tools
from nsctl.engine.doctor.finding import FAIL, Finding, Scene
from nsctl.engine.model.errors import NsctlError

__all__ = ["CHECKS", "examine"]

CHECKS: dict[str, Callable[[Scene], Finding]] = {
    "privileges": tools.privileges,
    "python": tools.interpreter,
    "tools": tools.needed,
    "other tools": tools.useful,
    "kernel": kernel.version,
    "namespaces": kernel.namespaces,
    "features": kernel.features,
    "conntrack": kernel.tracking,
    "iptables": firewall.backend,
    "managers": firewall.managers,
    "uplinks": routes.uplinks,
    "forwarding": routes.forwarding,
    "rp_filter": routes.source_checks,
    "mtu": routes.mtu,
    "resolvers": routes.resolvers,
    "subnets": routes.subnets,
    "way out": routes.way_out,
    "settings": places.settings,
    "runtime": places.runtime,
    "store": places.store,
    "netns": places.names,
    "audit trail": places.trail,
    "resident": places.resident,
}
"""The name of each line, and what makes it."""


def examine(scene: Scene) -> Iterator[tuple[str, Finding]]:
    """Run all checks; one that can't be finished is a failure of its own, and stops no other."""
    for name, check in CHECKS.items():
        try:
            yield name, check(scene)
        except NsctlError as e:
            yield name, Finding(FAIL, e.message, e.hint)
        except OSError as e:
            yield (
                name,
                Finding(FAIL, f"the system refused: {e.strerror or e}" + (f": {e.filename}" if e.filename else "")),
            )
