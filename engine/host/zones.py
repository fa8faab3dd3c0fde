"""
firewalld: whether it runs, and which of its zones a link is in, in its own words.

Where it is not installed, this costs a look for its client, and where it does not run, a look for the bus.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from nsctl.engine.host.firewall import TOOL_PATH
from nsctl.engine.model.errors import Refused

if TYPE_CHECKING:
    from nsctl.engine.host.dbus import Bus

__all__ = ["CLIENT", "Zones"]

CLIENT = "firewall-cmd"
_SERVICE = "org.fedoraproject.FirewallD1"
_PATH = "/org/fedoraproject/FirewallD1"
_WITHIN = 10.0
"""How long firewalld may take to answer; seconds. It does not answer while it reloads."""


class Zones:
    """firewalld's zones, asked once."""

    @cached_property
    def of_links(self) -> dict[str, str] | None:
        """
        The zone of each link that is in one; None where no firewalld runs in this network namespace.

        Raises:
            Refused: It runs, and does not answer.
        """
        if not any(os.access(f"{directory}/{CLIENT}", os.X_OK) for directory in TOOL_PATH):
            return None
        from nsctl.engine.host import dbus

        if not os.path.exists(dbus.SOCKET):
            return None
        try:
            with dbus.Bus(_WITHIN) as bus:
                return _zones(bus)
        except dbus.NobodyThereError:
            return None
        except dbus.BusError as e:
            raise Refused(
                f"the system bus can't be asked whether firewalld runs: {e}", hint="see: systemctl status dbus"
            ) from e


def _zones(bus: Bus) -> dict[str, str] | None:
    pid = bus.owner(_SERVICE)
    if pid is None or not _here(pid):
        return None
    try:
        [zones] = bus.call(_SERVICE, _PATH, f"{_SERVICE}.zone", "getActiveZones")
        return {link: zone for zone, what in zones.items() for link in what.get("interfaces", ())}
    except (OSError, AttributeError, TypeError, ValueError) as e:
        raise Refused(f"firewalld runs, and can't be asked for its zones: {e}", hint="see: firewall-cmd --state") from e


def _here(pid: int) -> bool:
    # The bus may be another network namespace's: its firewalld has nothing to do with the links of this one.
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/thread-self/ns/net").st_ino
    except OSError:
        return False
