"""firewalld's zones."""

from __future__ import annotations

from nsctl.engine.model.effects.base import UNKNOWN, EffectBase
from nsctl.engine.model.errors import Refused
from nsctl.engine.model.host import Host
from nsctl.engine.model.observation import Known, Observation, absent, foreign, ours

__all__ = ["ZoneIs"]


class ZoneIs(EffectBase, frozen=True, tag="zone"):
    """A link of the host's is in this zone of firewalld's; where firewalld does not run, nobody misses it."""

    zone: str
    link: str

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By what firewalld says."""
        try:
            found = host.zones.of_links
        except Refused as e:  # what else there is to undo is not held up by that
            return ours(e.message, drift=e.message)
        if found is None:
            return absent("firewalld does not run", gone=True)
        there = found.get(self.link)
        if there is None:
            return absent("in no zone of firewalld's")
        return ours() if there == self.zone else foreign(f"in firewalld's zone {there}")
