"""
Announcements of addresses: they come when a bridge forwards what they say.

The kernel deals with a carrier some time after the command that made it; until then a bridge's port is closed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from nsctl.engine.host.netlink import Netlink, socket_in
from nsctl.engine.host.rtnl import link_by_name, links, settled
from nsctl.engine.model.effects import LinkUp
from nsctl.engine.model.plan import Step

__all__ = ["announcements_last", "wait_for_ports"]

_WITHIN, _MOMENT = 1.0, 0.0002
"""Seconds that links are waited for, and after which they are looked at again, twice as long each time."""
_FEW = 20


def announcements_last(steps: Sequence[Step]) -> tuple[Sequence[Step], Sequence[Step]]:
    """The steps that announce nothing, and those that do."""
    late = [step for step in steps if step.key.startswith("announce/")]
    return ([step for step in steps if not step.key.startswith("announce/")] if late else steps), late


def wait_for_ports(steps: Sequence[Step]) -> None:
    """
    Wait until the kernel has dealt with the carriers of the host's links that these steps set up; a second at most.

    Raises:
        OSError: No socket to be had.
    """
    names = {s.effect.name for s in steps if isinstance(s.effect, LinkUp) and s.effect.netns is None}
    patience, moment = time.monotonic() + _WITHIN, _MOMENT
    with Netlink(socket_in()) as netlink:
        while names and time.monotonic() < patience:
            # Asked for one by one, newer kernels deal with it there and then.
            found = [link_by_name(netlink, n) for n in names] if len(names) <= _FEW else links(netlink)
            names &= {row.name for row in found if row is not None and not settled(row)}
            if names:
                time.sleep(moment)
                moment *= 2
