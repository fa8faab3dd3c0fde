"""Medians, ranges, and ratios that are taken round by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scripts.benchmark.bench import Reading

__all__ = ["Row", "Span", "rows"]


@dataclass(frozen=True, slots=True)
class Span:
    """A median, and the range around it."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Row:
    """
    What one variant took for one metric; milliseconds, for each sandbox.

    Args:
        metric: What was measured.
        variant: The key of whom.
        rounds: Of how many rounds.
        wall: Until it returned.
        cpu: CPU time.
        gone: Until the devices were gone; None where none were taken away.
        ratio: How many times the first row's time, pair by pair; None for the first row itself.
    """

    metric: str
    variant: str
    rounds: int
    wall: Span
    cpu: Span
    gone: Span | None
    ratio: Span | None


def rows(readings: Sequence[Reading], metric: str, order: Sequence[str]) -> list[Row]:
    """
    The rows of one metric.

    Args:
        readings: All readings.
        metric: Which.
        order: Keys of variants; the first that has readings is what the others are compared with.
    """
    by_variant: dict[str, dict[int, Reading]] = {}
    for reading in readings:
        if reading.metric == metric:
            by_variant.setdefault(reading.variant, {})[reading.turn] = reading
    found: list[Row] = []
    base: dict[int, Reading] | None = None
    for key in dict.fromkeys(order):
        own = by_variant.get(key)
        if own is None:
            continue
        each = list(own.values())
        gone = [r.cost.gone * 1000 / r.count for r in each if r.cost.gone is not None]
        found.append(
            Row(
                metric,
                key,
                len(each),
                _span([r.cost.wall * 1000 / r.count for r in each]),
                _span([r.cost.cpu * 1000 / r.count for r in each]),
                _span(gone) if gone else None,
                None if base is None else _ratio(own, base),
            )
        )
        base = base or own
    return found


def _ratio(own: dict[int, Reading], base: dict[int, Reading]) -> Span | None:
    """Each round's own: what slows a machine for a while slows both."""
    shared = own.keys() & base.keys()
    if not shared:
        return None
    return _span([_each(own[turn]) / _each(base[turn]) for turn in sorted(shared)])


def _each(reading: Reading) -> float:
    return reading.cost.wall / reading.count


def _span(numbers: Sequence[float]) -> Span:
    return Span(median(numbers), min(numbers), max(numbers))
