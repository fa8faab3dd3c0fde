"""Many sandboxes: all at once, and the last tenth of them beside the others."""

from __future__ import annotations

from scripts.benchmark.bench import Bench, say
from scripts.benchmark.stand import Stand

__all__ = ["down_of", "measure", "tenths_of", "up_of"]

MARGIN = 1.3
"""By how much a size may take longer than the one before it suggests."""
ROUNDS = 3
"""Where a round takes long."""
SHORT, SHORT_ROUNDS = 10, 6
"""Sandboxes at once that make no long round, and of how many rounds there are more."""
HEAVY = 10
"""How many times as long one takes that is not only a network."""
ALONE = 0.12
"""Part of a round's time that those take who don't start processes for each sandbox."""


def up_of(size: int) -> str:
    """The metric's name."""
    return f"up of {size}, each"


def down_of(size: int) -> str:
    """The metric's name."""
    return f"down of {size}, each"


def tenths_of(size: int) -> tuple[str, str, str, str]:
    """The metrics' names: up beside none and beside the others, and down likewise."""
    tenth, rest = size // 10, size - size // 10
    return (
        f"up of {tenth} beside none, each",
        f"up of {tenth} beside {rest}, each",
        f"down of {tenth}, none left, each",
        f"down of {tenth}, {rest} left, each",
    )


def measure(bench: Bench, since: float, until: float) -> None:
    """Each size, smallest first; a variant that would not be done in time is left out of a size."""
    # The tenths of the largest size take as long again.
    weights = [size if size <= bench.everybody else ALONE * size for size in (*bench.sizes, bench.sizes[-1])]
    for number, size in enumerate(bench.sizes, 1):
        share = since + (until - since) * sum(weights[:number]) / sum(weights)
        for turn in bench.turns(share, min(bench.rounds, SHORT_ROUNDS if size <= SHORT else ROUNDS)):
            for stand in bench.taking_turns(_who(bench, size, until), turn):
                with bench.tolerant(stand):
                    _whole(bench, stand, size, turn)
    largest = bench.sizes[-1]
    for turn in bench.turns(until, min(bench.rounds, ROUNDS) if largest >= SHORT else 0):
        for stand in _who(bench, largest, until):
            if stand.variant.quick:
                with bench.tolerant(stand):
                    _tenths(bench, stand, largest, turn)


def _who(bench: Bench, size: int, share: float) -> list[Stand]:
    who = []
    for stand in bench.stands:
        variant = stand.variant
        most = size if variant.quick else bench.everybody // HEAVY if variant.heavy else bench.everybody
        if not variant.bulk or size > most:
            continue
        if (expected := _expected(bench, variant.key, size)) > max(0.0, bench.left(share)):
            say(f"{size} of {variant.title} are left out: {expected:.0f} s, and no time for it")
        else:
            who.append(stand)
    return who


def _expected(bench: Bench, key: str, size: int) -> float:
    """Seconds that so many will take up and down, from what fewer of them took."""
    each = 0.0
    for metric_of in (up_of, down_of):
        metrics = {metric_of(known): known for known in bench.sizes if known <= size}
        readings = [r for r in bench.readings if r.variant == key and r.metric in metrics]
        if readings:
            each += readings[-1].cost.wall / readings[-1].count
    return MARGIN * size * each


def _whole(bench: Bench, stand: Stand, size: int, turn: int) -> None:
    none = stand.host.links()
    numbers = range(1, size + 1)
    up = stand.up(numbers)
    down = stand.down(numbers, none)
    stand.clear()
    bench.record(up_of(size), stand.variant.key, turn, up, size)
    bench.record(down_of(size), stand.variant.key, turn, down, size)


def _tenths(bench: Bench, stand: Stand, size: int, turn: int) -> None:
    tenth = size // 10
    none = stand.host.links()
    first, most, last = range(1, tenth + 1), range(tenth + 1, size - tenth + 1), range(size - tenth + 1, size + 1)
    up_first = stand.up(first)
    stand.up(most)
    up_last = stand.up(last)
    down_last = stand.down(last)
    stand.down(most)
    down_first = stand.down(first, none)
    stand.clear()
    for metric, cost in zip(tenths_of(size), (up_first, up_last, down_first, down_last), strict=True):
        bench.record(metric, stand.variant.key, turn, cost, tenth)
