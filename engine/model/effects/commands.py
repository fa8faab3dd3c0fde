"""What a command of an author's own tells."""

from __future__ import annotations

from nsctl.engine.model.effects.base import UNKNOWN, EffectBase
from nsctl.engine.model.host import Host
from nsctl.engine.model.observation import Known, Observation, absent, ours

__all__ = ["CommandSucceeds"]


class CommandSucceeds(EffectBase, frozen=True, tag="command"):
    """
    A read-only command of the author's own exits 0 when the result is in place.

    It prints `output`, where that is given.
    """

    argv: tuple[str, ...]
    output: str | None = None
    netns: str | None = None

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By exit status and output."""
        result = host.output(self.argv, self.netns)
        if result is None:
            return absent()
        status, output = result
        if status != 0:
            return absent(f"{self.argv[0]} exits with {status}")
        if self.output is not None and output.rstrip("\n") != self.output.rstrip("\n"):
            return absent(f"{self.argv[0]} prints something else")
        return ours()
