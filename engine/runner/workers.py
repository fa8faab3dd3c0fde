"""
Carrying out fused runs: each as soon as the runs it waits for are over, two at a time.

Runs in a namespace go to a worker thread, which enters it; the main thread never leaves the host's.
Journal writes stay in the main thread: `starting` before a run may begin, `ended` after it is over.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Sequence
from functools import partial

from nsctl.engine.runner.batch import Batch, Single, Spawned, Writes
from nsctl.engine.runner.netns import NetnsReturnError, entered
from nsctl.engine.runner.perform import Outcome, perform_batch
from nsctl.engine.runner.process import Runner
from nsctl.engine.runner.result import Result
from nsctl.engine.runner.schedule import Order

__all__ = ["STOPPING", "WORKERS", "carry_out", "perform_job"]

WORKERS = 2
FEW = 50
STOPPING = frozenset({signal.SIGTTIN, signal.SIGTTOU})
"""What a terminal stops a process in its background with: blocked in nsctl's main thread only, for it is inherited."""


def carry_out(
    runs: Sequence[Batch],
    runner: Runner,
    *,
    starting: Callable[[list[Batch]], None],
    ended: Callable[[Outcome], None],
    stop: Callable[[], bool],
    meanwhile: Callable[[], None] = lambda: None,
    force: bool = False,
    backend: str = "",
    group: int | None = None,
) -> list[Batch]:
    """
    Carry out runs until all are over, one fails (unless forced), or `stop` says so.

    Args:
        runs: The runs.
        runner: What runs commands.
        starting: Called with the runs that are about to begin.
        ended: Called with each outcome.
        stop: Asked before more runs begin.
        meanwhile: Called while others are at work, for what need not hold them up.
        force: Go on past failures: for undoing.
        backend: The iptables back end to use, where it was recorded.
        group: A number that no link's group has, for deleting many links at once.

    Returns:
        The runs that never began.
    """
    order = Order(runs)
    over: set[int] = set()
    perform = partial(perform_job, runner=runner, force=force, backend=backend, group=group)
    pool: _Pool | None = None
    ready = order.free()
    busy = first_failed = 0

    def told(outcomes: list[Outcome], job: int) -> bool:
        over.update(order.jobs[job][: len(outcomes)])
        for outcome in outcomes:
            ended(outcome)
        return any(outcome.failed is not None for outcome in outcomes)

    try:
        while ready or busy:
            if stop():
                break
            if ready:
                starting([runs[n] for job in ready for n in order.jobs[job]])
            if len(ready) == 1 and not busy and _quick(runs[order.jobs[ready[0]][0]]):
                meanwhile()
                number = ready[0]
                outcomes = perform([runs[n] for n in order.jobs[number]])
            else:
                pool = pool or _Pool(WORKERS, perform, force=force)
                for job in ready:
                    pool.give(job, [(n, runs[n]) for n in order.jobs[job]])
                busy += len(ready)
                if ready:
                    meanwhile()
                number, outcomes = pool.take()
                busy -= 1
            ready = order.over(number)
            if told(outcomes, number) and not force:
                # Whichever thread was faster: what comes earlier in the plan is tried, and the first failure told.
                first_failed = order.jobs[number][len(outcomes) - 1]
                break
    finally:
        if pool is not None:
            for number, outcomes in pool.close(busy, first_failed):
                told(outcomes, number)
    return [run for n, run in enumerate(runs) if n not in over]


def _quick(run: Batch) -> bool:
    # Not worth a thread: it is the host's, and what can be done meanwhile takes no longer than a thread's start.
    # Nor anything that lives longer than nsctl: that is started where no signal is blocked.
    return run.netns is None and len(run.items) < FEW and not isinstance(run, Spawned)


def perform_job(
    runs: Sequence[Batch], runner: Runner, *, force: bool, backend: str, group: int | None
) -> list[Outcome]:
    """Carry out runs of one namespace, one after the other, in the calling thread; up to the first that fails."""
    outcomes: list[Outcome] = []
    # A single command says by itself where it happens.
    netns = None if type(runs[0]) is Single else runs[0].netns
    try:
        with entered(netns):
            for run in runs:
                outcomes.append(perform_batch(run, runner, force=force, backend=backend, group=group))
                if outcomes[-1].failed is not None and not force:
                    break
    except BaseException as e:  # noqa: BLE001 - there is no such namespace, no memory, no way back
        # No thread may end without a word: somebody waits for it.
        if len(outcomes) == len(runs):
            outcomes.pop()
        outcomes += _given_up(runs[len(outcomes) :] if force else runs[len(outcomes) : len(outcomes) + 1], e)
    return outcomes


def _given_up(runs: Sequence[Batch], error: BaseException) -> list[Outcome]:
    return [Outcome(r, failed=r.items[0], guessed=True, result=Result(1, stderr=str(error)), error=error) for r in runs]


class _Pool:
    """Worker threads."""

    def __init__(self, workers: int, work: Callable[[Sequence[Batch]], list[Outcome]], *, force: bool) -> None:
        from queue import SimpleQueue
        from threading import Thread

        self._work = work
        self._force = force
        self._jobs: SimpleQueue[tuple[int, Sequence[tuple[int, Batch]], list[Outcome]] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, list[Outcome] | None]] = SimpleQueue()
        self._halted: int | None = None
        self._threads = [Thread(target=self._loop, daemon=True) for _ in range(workers)]
        for number, thread in enumerate(self._threads):
            try:
                thread.start()
            except RuntimeError as e:  # that is how Python says EAGAIN
                if number == 0:
                    raise OSError(errno.EAGAIN, "no more threads") from e
                self._threads = self._threads[:number]  # fewer will do
                break

    def give(self, number: int, runs: Sequence[tuple[int, Batch]]) -> None:
        """Have a job done: its runs, each with its number in the plan."""
        self._jobs.put((number, runs, []))

    def take(self) -> tuple[int, list[Outcome]]:
        number, outcomes = self._results.get()
        if outcomes is None:
            raise RuntimeError("only a halted pool leaves jobs out")
        return number, outcomes

    def close(self, busy: int, before: int) -> list[tuple[int, list[Outcome]]]:
        """Let what is under way end, leave out what has not begun, unless it comes before this number, and stop."""
        self._halted = before
        rest = [self._results.get() for _ in range(busy)]
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        return [(n, outcomes) for n, outcomes in rest if outcomes is not None]

    def _loop(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        stranded: NetnsReturnError | None = None
        while (job := self._jobs.get()) is not None:
            number, runs, outcomes = job
            if self._halted is not None:
                runs = [(n, run) for n, run in runs if n < self._halted]
                if not runs:
                    self._results.put((number, outcomes or None))
                    continue
            # Plain writes first, and all of them before the next batch: to set disable_ipv6, the kernel does not wait
            # for its lock of links, but tries again and again, for as long as an `ip` beside it works.
            head = runs[0][1]
            first = runs[:1] if isinstance(head, Writes) and head.netns is not None else runs
            todo = [run for _, run in first]
            outcomes += self._work(todo) if stranded is None else _given_up(todo, stranded)
            rest = runs[len(first) :]
            if isinstance(outcomes[-1].error, NetnsReturnError):
                stranded = outcomes[-1].error  # this thread does nothing more, whatever comes
            if rest and (outcomes[-1].failed is None or self._force):
                self._jobs.put((number, rest, outcomes))
            else:
                self._results.put((number, outcomes))
