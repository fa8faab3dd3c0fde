"""
Carrying out batches: each as soon as those it waits for are over, two at a time.

What happens is told as events, to a plain `for` in the main thread: a batch begins only when its `Starting` has been
dealt with, so that it is in the journal before it is on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from enum import Enum
from functools import partial
from typing import NamedTuple

from nsctl.engine.runner.batch import Batch, Spawned
from nsctl.engine.runner.perform import Outcome
from nsctl.engine.runner.process import Runner
from nsctl.engine.runner.schedule import Order
from nsctl.engine.runner.workers import Pool, perform_job

__all__ = ["Event", "Starting", "Waiting", "carry_out"]

FEW = 50


class Starting(NamedTuple):
    """These batches are about to begin."""

    batches: list[Batch]


class Waiting(Enum):
    """Batches are about to be waited for: now is the time for what need not hold them up."""

    WAITING = "waiting"


Event = Starting | Waiting | Outcome
"""An `Outcome` is what came of a batch that is over."""


def carry_out(
    batches: Sequence[Batch],
    runner: Runner,
    *,
    stop: Callable[[], bool] = lambda: False,
    force: bool = False,
    backend: str = "",
    group: int | None = None,
) -> Generator[Event, None, None]:
    """
    Carry out batches until all are over, one fails (unless forced), or `stop` says so.

    Close it (`contextlib.closing`): then all that is under way has ended, whatever becomes of who listens.

    Args:
        batches: The batches.
        runner: What runs commands.
        stop: Asked before more batches begin.
        force: Go on past failures: for undoing.
        backend: The iptables back end to use, where it was recorded.
        group: A number that no link's group has, for deleting many links at once.
    """
    order = Order(batches)
    perform = partial(perform_job, runner=runner, force=force, backend=backend, group=group)
    pool: Pool | None = None
    ready = order.free()
    busy = first_failed = 0
    try:
        while (ready or busy) and not stop():
            starting = [batches[n] for job in ready for n in order.jobs[job]]
            if starting:
                yield Starting(starting)
                if stop():
                    break
            if len(ready) == 1 and not busy and _quick(starting[0]):
                yield Waiting.WAITING
                job = ready[0]
                outcomes = perform(starting)
            else:
                pool = pool or Pool(perform, force=force)
                for job in ready:
                    pool.give(job, [(n, batches[n]) for n in order.jobs[job]])
                busy += len(ready)
                if ready:
                    yield Waiting.WAITING
                job, outcomes = pool.take()
                busy -= 1
            ready = order.over(job)
            yield from outcomes
            if not force and outcomes[-1].failed is not None:
                # Whichever thread was faster: what comes earlier in the plan is tried, and the first failure told.
                first_failed = order.jobs[job][len(outcomes) - 1]
                break
        if pool is not None:
            rest, pool = pool.close(busy, first_failed), None
            for _, outcomes in rest:
                yield from outcomes
    finally:
        if pool is not None:
            pool.close(busy, first_failed)


def _quick(batch: Batch) -> bool:
    # Not worth a thread: it is the host's, and what can be done meanwhile takes no longer than a thread's start.
    # Nor anything that lives longer than nsctl: that is started where no signal is blocked.
    return batch.netns is None and len(batch.items) < FEW and not isinstance(batch, Spawned)
