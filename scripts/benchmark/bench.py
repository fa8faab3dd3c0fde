"""The state of one benchmark: who takes part, how long it may take, and what was read."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from scripts.benchmark.cost import Cost, Failed
from scripts.benchmark.stand import Stand

__all__ = ["Bench", "Reading", "say"]


def say(text: str) -> None:
    """Tell whoever waits; on stderr, for stdout is the result's."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Reading:
    """
    One number of the result.

    Args:
        metric: What was measured.
        variant: The key of whom.
        turn: The round: readings of one round are compared with each other.
        count: How many sandboxes share the cost.
        cost: The cost of all of them.
    """

    metric: str
    variant: str
    turn: int
    count: int
    cost: Cost


@dataclass
class Bench:
    """
    What the phases work with.

    Args:
        rounds: How many, if time allows.
        sizes: How many sandboxes at once, smallest first.
        everybody: The largest size that those are measured with who start processes for each sandbox.
        limit: Seconds that everything may take.
    """

    rounds: int
    sizes: tuple[int, ...]
    everybody: int
    limit: float
    stands: list[Stand] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        """End the lab hosts."""
        while self.stands:
            self.stands.pop().close()

    def share_out(self, reserve: float) -> None:
        """From now on, shares are of the time that is left, less a reserve for what comes in any case; seconds."""
        self.limit = max(1.0, self.left() - reserve)
        self.begun = time.monotonic()

    def left(self, share: float = 1.0) -> float:
        """Seconds that are left until a share of the limit is used up."""
        return self.begun + share * self.limit - time.monotonic()

    def record(self, metric: str, variant: str, turn: int, cost: Cost, count: int = 1) -> None:
        """Keep a reading."""
        self.readings.append(Reading(metric, variant, turn, count, cost))

    def turns(self, until: float, at_most: int | None = None) -> Iterator[int]:
        """
        Rounds, as many as asked for and the time allows; at least one.

        Args:
            until: The share of the limit at which no new round begins.
            at_most: Another number than `rounds`.
        """
        longest = 0.0
        wanted = self.rounds if at_most is None else at_most
        for turn in range(wanted):
            begun = time.monotonic()
            if turn and longest > self.left(until):
                say(f"{turn} rounds in place of {wanted}: the time is up")
                return
            yield turn
            longest = max(longest, time.monotonic() - begun)

    def taking_turns(self, stands: Sequence[Stand], turn: int) -> list[Stand]:
        """Another one begins each round, so that none always follows the same neighbour."""
        first = turn % len(stands) if stands else 0
        return [*stands[first:], *stands[:first]]

    @contextmanager
    def tolerant(self, stand: Stand) -> Iterator[None]:
        """Leave a variant out as soon as something of it fails."""
        try:
            yield
        except (Failed, OSError) as error:
            self.leave_out(stand, str(error))

    def leave_out(self, stand: Stand, reason: str) -> None:
        """Go on without a variant."""
        say(f"{stand.variant.title} is left out: {reason}")
        self.left_out[stand.variant.key] = reason
        self.stands.remove(stand)
        stand.close()
