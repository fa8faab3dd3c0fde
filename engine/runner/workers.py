"""Worker threads, which enter the namespaces that batches happen in; the main thread never leaves the host's."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Sequence

from nsctl.engine.host.threads import deaf
from nsctl.engine.runner.batch import Batch, Single, Writes
from nsctl.engine.runner.netns import NetnsReturnError, entered
from nsctl.engine.runner.perform import Outcome, perform_batch
from nsctl.engine.runner.process import Runner
from nsctl.engine.runner.result import Result

__all__ = ["STOPPING", "WORKERS", "Pool", "perform_job"]

WORKERS = 2
STOPPING = frozenset({signal.SIGTTIN, signal.SIGTTOU})
"""What a terminal stops a process in its background with: blocked in nsctl's main thread only, for it is inherited."""


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


class Pool:
    """
    Worker threads.

    Args:
        work: What carries out the batches of a job, in a worker.
        force: Go on past failures.
    """

    def __init__(self, work: Callable[[Sequence[Batch]], list[Outcome]], *, force: bool) -> None:
        from queue import SimpleQueue
        from threading import Thread

        self._work = work
        self._force = force
        self._jobs: SimpleQueue[tuple[int, Sequence[tuple[int, Batch]], list[Outcome]] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, list[Outcome] | None]] = SimpleQueue()
        self._halted: int | None = None
        self._threads = [Thread(target=self._loop, daemon=True) for _ in range(WORKERS)]
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
        """Wait for a job to be over: its number, and what came of its batches, up to the first that failed."""
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
        deaf()
