"""Chains and rules of iptables."""

from __future__ import annotations

from nsctl.engine.model.effects.base import UNKNOWN, EffectBase
from nsctl.engine.model.host import Host, Watch
from nsctl.engine.model.observation import Known, Observation, absent, ours

__all__ = ["ChainIs", "RuleTagged"]


class ChainIs(EffectBase, frozen=True, tag="chain"):
    """An iptables chain of nsctl's own (`NSCTL-…`)."""

    table: str
    chain: str
    family: int = 4
    netns: str | None = None

    @property
    def is_shareable(self) -> bool:
        """It is for the networks of all stores."""
        return True

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """In the back end that it was made in."""
        rules = host.rules(self.table, self.chain, self.family, self.netns, known.backend)
        return ours() if rules is not None else absent()

    def watch(self, watch: Watch) -> None:
        """The chain."""
        if self.netns is None:
            watch.chains.add((self.family, self.table, self.chain))


class RuleTagged(EffectBase, frozen=True, tag="rule"):
    """An iptables rule, in the order of words in which `iptables -S` prints it."""

    table: str
    chain: str
    spec: tuple[str, ...]
    family: int = 4
    netns: str | None = None

    @property
    def is_packet_filter(self) -> bool:
        """Whether it filters, or translates."""
        return self.table == "filter"

    @property
    def is_shareable(self) -> bool:
        """The same rule serves all stores."""
        return True

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """Word by word, in the back end that it was made in."""
        rules = host.rules(self.table, self.chain, self.family, self.netns, known.backend)
        if rules is None:
            return absent("no such chain")
        return ours() if self.spec in rules else absent()

    def watch(self, watch: Watch) -> None:
        """The chain."""
        if self.netns is None:
            watch.chains.add((self.family, self.table, self.chain))
