"""One sandbox at a time: the first of a network, one more beside it, and both away again."""

from __future__ import annotations

from scripts.benchmark.bench import Bench
from scripts.benchmark.stand import Stand

__all__ = ["FIRST_UP", "LAST_DOWN", "METRICS", "NTH_DOWN", "NTH_UP", "measure"]

FIRST_UP, NTH_UP, NTH_DOWN, LAST_DOWN = METRICS = ("up, first", "up, n-th", "down, n-th", "down, last")


def measure(bench: Bench, until: float) -> None:
    """Every variant once a round."""
    for turn in bench.turns(until):
        for stand in bench.taking_turns([s for s in bench.stands if s.variant.singly], turn):
            with bench.tolerant(stand):
                _cycle(bench, stand, turn)


def _cycle(bench: Bench, stand: Stand, turn: int) -> None:
    none = stand.host.links()
    costs = [stand.up([1])]
    one = stand.host.links()
    costs += [stand.up([2]), stand.down([2], one), stand.down([1], none)]
    stand.clear()
    for metric, cost in zip(METRICS, costs, strict=True):
        bench.record(metric, stand.variant.key, turn, cost)
