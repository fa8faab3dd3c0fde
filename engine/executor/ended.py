"""
What has ended, and what went with it: no watcher starts that again.

A workload that is over, or that somebody has ended, is a service manager's affair, or its owner's. So is the namespace
of a sandbox once nothing lives in it any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from nsctl.engine.model.effects import ProcessIs
from nsctl.engine.model.plan import Step

__all__ = ["left_ended", "stranded_by"]


def left_ended(steps: Sequence[Step], again: Collection[str], absent: Collection[str]) -> set[str]:
    """
    The steps that are left as they are: no process is started, nor stopped to be started anew.

    Args:
        steps: All steps, in order.
        again: The keys of those that a repair would do again.
        absent: The keys of those whose result is gone.
    """
    over = {s.key for s in steps if s.key in absent and s.effect is not None and s.effect.can_end}
    return stranded_by(steps, over) | {s.key for s in steps if s.key in again and isinstance(s.effect, ProcessIs)}


def stranded_by(steps: Iterable[Step], lost: Iterable[str]) -> set[str]:
    """What is lost, and what was made in a lost namespace, or after something lost: a cable, its settings."""
    stranded = set(lost)
    for step in steps:
        if f"netns/{step.netns}" in stranded or stranded.intersection((*(step.after or ()), step.removed_with)):
            stranded.add(step.key)
    return stranded
