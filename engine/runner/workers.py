"""
Carrying out fused runs: each as soon as the runs it waits for are over, two at a time.

Runs in a namespace go to a worker thread, which enters it; the main thread never leaves the host's.
Journal writes stay in the main thread: `starting` before a run may begin, `ended` after it is over.
"""

from __future__ import annotations

import errno
import re
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from nsctl.engine.model.plan import Command, Spawn, words
from nsctl.engine.runner.batches import (
    BATCH,
    NFT,
    RESTORE,
    SINGLE,
    SPAWN,
    WRITES,
    Item,
    Run,
    ip_batch_text,
    nft_text,
    restore_text,
)
from nsctl.engine.runner.netns import NetnsReturnError, entered
from nsctl.engine.runner.process import Result, Runner
from nsctl.engine.runner.schedule import Order
from nsctl.engine.runner.writes import performing

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = ["WORKERS", "Outcome", "carry_out"]

WORKERS = 2
FEW = 50
STOPPING = frozenset({signal.SIGTTIN, signal.SIGTTOU})
"""What a terminal stops a process in its background with: blocked in nsctl's main thread only, for it is inherited."""
_NFT_LINE = re.compile(r"^/dev/stdin:([0-9]+):", re.MULTILINE)
_RESTORERS = {4: "iptables-restore", 6: "ip6tables-restore"}


@dataclass(slots=True)
class Outcome:
    """
    What came of a run.

    Args:
        run: The run.
        done: The items that are known to be done.
        failed: The item that failed, or None.
        guessed: Its process ended without naming what failed: `failed` is the first that may have.
        result: What its process said.
        error: What was raised in place of a result.
    """

    run: Run
    done: list[Item] = field(default_factory=list)
    failed: Item | None = None
    guessed: bool = False
    result: Result = field(default_factory=lambda: Result(0))
    error: BaseException | None = None


def carry_out(
    runs: Sequence[Run],
    runner: Runner,
    *,
    starting: Callable[[list[Run]], None],
    ended: Callable[[Outcome], None],
    stop: Callable[[], bool],
    meanwhile: Callable[[], None] = lambda: None,
    force: bool = False,
    backend: str = "",
    group: int | None = None,
) -> list[Run]:
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


def _quick(run: Run) -> bool:
    # Not worth a thread: it is the host's, and what can be done meanwhile takes no longer than a thread's start.
    # Nor anything that lives longer than nsctl: that is started where no signal is blocked.
    return run.netns is None and len(run.items) < FEW and run.kind != SPAWN


def perform_job(runs: Sequence[Run], runner: Runner, *, force: bool, backend: str, group: int | None) -> list[Outcome]:
    """Carry out runs of one namespace, one after the other, in the calling thread; up to the first that fails."""
    outcomes: list[Outcome] = []
    # A single command says by itself where it happens.
    netns = None if runs[0].kind == SINGLE else runs[0].netns
    try:
        with entered(netns):
            for run in runs:
                outcomes.append(perform_run(run, runner, force=force, backend=backend, group=group))
                if outcomes[-1].failed is not None and not force:
                    break
    except BaseException as e:  # noqa: BLE001 - there is no such namespace, no memory, no way back
        # No thread may end without a word: somebody waits for it.
        if len(outcomes) == len(runs):
            outcomes.pop()
        outcomes += _given_up(runs[len(outcomes) :] if force else runs[len(outcomes) : len(outcomes) + 1], e)
    return outcomes


def _given_up(runs: Sequence[Run], error: BaseException) -> list[Outcome]:
    return [Outcome(r, failed=r.items[0], guessed=True, result=Result(1, stderr=str(error)), error=error) for r in runs]


def perform_run(run: Run, runner: Runner, *, force: bool, backend: str, group: int | None = None) -> Outcome:
    """Carry out one run in the calling thread, which is in its namespace."""
    outcome = Outcome(run)
    try:
        if run.kind == WRITES:
            _native(run, outcome, force=force)
        elif run.kind == BATCH:
            _batch(run, outcome, runner, force=force, group=group)
        elif run.kind == NFT:
            _nft(run, outcome, runner, force=force)
        elif run.kind == RESTORE:
            _restore(run, outcome, runner, force=force, backend=backend)
        else:
            _solo(run.items[0], outcome, runner, backend, here=run.kind == SPAWN)
    except BaseException as e:  # noqa: BLE001 - carried to the main thread, which decides
        outcome.error = e
        outcome.failed = outcome.failed or run.items[len(outcome.done) if len(outcome.done) < len(run.items) else -1]
        if not outcome.result.stderr:
            outcome.result = Result(1, stderr=str(e))
    return outcome


def _native(run: Run, outcome: Outcome, *, force: bool) -> None:
    errors = []
    with performing(run.netns) as perform:
        for item in run.items:
            try:
                perform(item.command)
            except OSError as e:
                outcome.failed = outcome.failed or item
                if not force:
                    errors.append(e.strerror or str(e))
                    break
                errors.append(f"{' '.join(words(item.command))}: {e.strerror}")
            else:
                outcome.done.append(item)
    outcome.result = Result(1 if errors else 0, stderr="\n".join(errors))


def _batch(run: Run, outcome: Outcome, runner: Runner, *, force: bool, group: int | None) -> None:
    text, owners = ip_batch_text(run, group)
    argv = ("ip", "-force", "-batch", "-") if force else ("ip", "-batch", "-")
    # A deadline per step: many lines may take longer than one.
    timeout = runner.timeout + 0.1 * len(run.items)
    outcome.result = runner.run(Command(argv, stdin=text), timeout=timeout, here=True)
    if outcome.result.status == 0:
        outcome.done = list(run.items)
        return
    numbers, named = _failed_lines(outcome.result.stderr)
    named = named and outcome.result.status > 0  # else a signal ended it, whatever it had said before
    failed = sorted(n for n in numbers if n <= len(owners))
    bad = [i for n in failed for i in owners[n - 1]]
    outcome.failed = bad[0] if bad else run.items[0]
    outcome.guessed = not bad or not named
    if outcome.result.timed_out:
        return
    if not force:
        outcome.done = run.items[: run.items.index(outcome.failed)]
        return
    # At a line that it can't parse, ip exits and leaves the rest undone, `-force` or not: nothing is known of what
    # comes after the last line that it named. Nor of links to be deleted together, where one of their lines failed.
    last = len(owners) if named else max(failed, default=0)
    wrong, many = set(map(id, bad)), Counter(id(i) for lines in owners for i in lines)
    beyond = {id(i) for lines in owners[last:] for i in lines}
    again = [i for i in run.items if id(i) in beyond or (id(i) in wrong and many[id(i)] > 1)]
    unsure = set(map(id, again))
    outcome.done = [i for i in run.items if id(i) not in wrong | unsure]
    _one_by_one(again, outcome, runner)


def _failed_lines(stderr: str) -> tuple[set[int], bool]:
    # `Command failed -:7` is what ip prints for line 7 of its standard input, in every locale, unless it exits there:
    # then the last thing it says is something else.
    found = set()
    named = False
    for line in stderr.splitlines():
        head, _, number = line.rpartition(":")
        named = head == "Command failed -" and number.isdigit()
        if named:
            found.add(int(number))
    return found, named


def _nft(run: Run, outcome: Outcome, runner: Runner, *, force: bool) -> None:
    text, owner = nft_text(run)
    timeout = runner.timeout + 0.1 * len(run.items)  # as in a batch
    outcome.result = runner.run(Command(("nft", "-f", "-"), stdin=text), timeout=timeout, here=True)
    if outcome.result.status == 0:
        outcome.done = list(run.items)
        return
    # The kernel takes all of it or none.
    found = _NFT_LINE.search(outcome.result.stderr)
    number = int(found[1]) if found else 0
    outcome.guessed = not 0 < number <= len(owner)
    outcome.failed = run.items[0] if outcome.guessed else owner[number - 1]
    if force and not outcome.result.timed_out:
        _one_by_one(run.items, outcome, runner)


def _restore(run: Run, outcome: Outcome, runner: Runner, *, force: bool, backend: str) -> None:
    text, owner = restore_text(run)
    tool = _RESTORERS[run.family]
    command = Command((tool, "-w", "--noflush"), stdin=text)
    timeout = runner.timeout + 0.1 * len(run.items)  # as in a batch
    outcome.result = runner.run(command, tools={"iptables": backend}, timeout=timeout, here=True)
    if outcome.result.status == 0:
        outcome.done = list(run.items)
        return
    number = _restore_line(outcome.result.stderr)
    outcome.guessed = number == 0
    key = owner[number - 1] if 0 < number <= len(owner) else run.items[0].key
    outcome.failed = next(i for i in run.items if i.key == key)
    if force and not outcome.result.timed_out:
        # Atomic per table: one rule that is gone already spoils the rest of its table, not the tables before it.
        lines = text.split("\n")
        over = next((n for n in range(number - 1, 0, -1) if lines[n - 1] == "COMMIT"), 0)
        again = {key for key, line in zip(owner[over:], lines[over:], strict=False) if line[:1] == "-"}
        outcome.done = [i for i in run.items if i.key not in again]
        _one_by_one([i for i in run.items if i.key in again], outcome, runner, backend)


def _restore_line(stderr: str) -> int:
    # Both back ends name the line: "iptables-restore: line 3 failed", "iptables-nft-restore … line 3: …".
    tokens = stderr.replace(":", " ").split()
    for before, number in pairwise(tokens):
        if before == "line" and number.isdigit():
            return int(number)
    return 0


def _one_by_one(items: Sequence[Item], outcome: Outcome, runner: Runner, backend: str = "") -> None:
    # What the fused command did already fails the second time.
    errors = [outcome.result.stderr]
    for item in items:
        single = Outcome(outcome.run)
        _solo(item, single, runner, backend, here=True)
        outcome.done += single.done
        errors.append(single.result.stderr)
        if single.result.timed_out:
            outcome.result.timed_out = True
            break
    outcome.result.stderr = "\n".join(e for e in errors if e)


def _solo(item: Item, outcome: Outcome, runner: Runner, backend: str, *, here: bool = False) -> None:
    if isinstance(item.command, Spawn):
        outcome.result = runner.spawn(item.command, here=here)
        good = outcome.result.status == 0
    else:
        outcome.result = runner.run(item.command, tools={"iptables": backend}, here=here)
        good = outcome.result.status in item.command.ok
    if good and not outcome.result.timed_out:
        outcome.done.append(item)
    else:
        outcome.failed = item


class _Pool:
    """Worker threads."""

    def __init__(self, workers: int, work: Callable[[Sequence[Run]], list[Outcome]], *, force: bool) -> None:
        from queue import SimpleQueue
        from threading import Thread

        self._work = work
        self._force = force
        self._jobs: SimpleQueue[tuple[int, Sequence[tuple[int, Run]], list[Outcome]] | None] = SimpleQueue()
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

    def give(self, number: int, runs: Sequence[tuple[int, Run]]) -> None:
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
            first = runs[:1] if head.kind == WRITES and head.netns is not None else runs
            todo = [run for _, run in first]
            outcomes += self._work(todo) if stranded is None else _given_up(todo, stranded)
            rest = runs[len(first) :]
            if isinstance(outcomes[-1].error, NetnsReturnError):
                stranded = outcomes[-1].error  # this thread does nothing more, whatever comes
            if rest and (outcomes[-1].failed is None or self._force):
                self._jobs.put((number, rest, outcomes))
            else:
                self._results.put((number, outcomes))
