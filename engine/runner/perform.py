"""Carrying out one batch, in the calling thread, which is in its namespace."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from nsctl.engine.model.commands import Spawn, argv_of
from nsctl.engine.runner.batch import Batch, BatchItem, Spawned, TextBatch, Writes
from nsctl.engine.runner.process import Runner
from nsctl.engine.runner.result import Result
from nsctl.engine.runner.writes import performing

__all__ = ["Outcome", "perform_batch"]

_PER_ITEM = 0.1
"""Seconds more for each item of a batch: many lines may take longer than one."""


class Outcome(Struct):
    """
    Result of a batch.

    Args:
        batch: The batch.
        done: The items that are known to be done.
        failed: The item that failed, or None.
        guessed: Its process ended without naming what failed: `failed` is the first that may have.
        result: What its process said.
        error: What was raised in place of a result.
    """

    batch: Batch
    done: list[BatchItem] = []
    failed: BatchItem | None = None
    guessed: bool = False
    result: Result = field(default_factory=lambda: Result(0))
    error: BaseException | None = None


def perform_batch(batch: Batch, runner: Runner, *, force: bool, backend: str, group: int | None = None) -> Outcome:
    """
    Carry out a batch.

    Args:
        batch: The batch.
        runner: What runs commands.
        force: Go on past failures: for undoing.
        backend: The iptables back end to use, where it was recorded.
        group: A number that no link's group has, for deleting many links at once.
    """
    outcome = Outcome(batch)
    try:
        if isinstance(batch, Writes):
            _write(batch, outcome, force=force)
        elif isinstance(batch, TextBatch):
            _run(batch, outcome, runner, force=force, backend=backend, group=group)
        else:
            _single(batch.items[0], outcome, runner, backend, here=isinstance(batch, Spawned))
    except BaseException as e:  # noqa: BLE001 - carried to the main thread, which decides
        outcome.error = e
        items, done = batch.items, len(outcome.done)
        outcome.failed = outcome.failed or items[done if done < len(items) else -1]
        if not outcome.result.stderr:
            outcome.result = Result(1, stderr=str(e))
    return outcome


def _write(batch: Writes, outcome: Outcome, *, force: bool) -> None:
    errors = []
    with performing(batch.netns) as perform:
        for item in batch.items:
            try:
                perform(item.command)
            except OSError as e:
                outcome.failed = outcome.failed or item
                if not force:
                    errors.append(e.strerror or str(e))
                    break
                errors.append(f"{' '.join(argv_of(item.command))}: {e.strerror}")
            else:
                outcome.done.append(item)
    outcome.result = Result(1 if errors else 0, stderr="\n".join(errors))


def _run(batch: TextBatch, outcome: Outcome, runner: Runner, *, force: bool, backend: str, group: int | None) -> None:
    outcome.result = runner.run(
        batch.process(force=force, group=group),
        tools={"iptables": backend},
        timeout=runner.timeout + _PER_ITEM * len(batch.items),
        here=True,
    )
    if outcome.result.status == 0:
        outcome.done = list(batch.items)
        return
    outcome.failed, outcome.guessed, outcome.done, again = batch.blame(outcome.result, force=force, group=group)
    if again:
        _one_by_one(again, outcome, runner, backend)


def _one_by_one(items: Sequence[BatchItem], outcome: Outcome, runner: Runner, backend: str) -> None:
    # What the fused command did already fails the second time.
    errors = [outcome.result.stderr]
    for item in items:
        single = Outcome(outcome.batch)
        _single(item, single, runner, backend, here=True)
        outcome.done += single.done
        errors.append(single.result.stderr)
        if single.result.timed_out:
            outcome.result.timed_out = True
            break
    outcome.result.stderr = "\n".join(e for e in errors if e)


def _single(item: BatchItem, outcome: Outcome, runner: Runner, backend: str, *, here: bool = False) -> None:
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
