"""Commands that are run one after the other, and change nothing that the journal has to know beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nsctl.engine.executor.context import Context, new_transaction_id
from nsctl.engine.model.commands import Spawn
from nsctl.engine.model.errors import StepFailed
from nsctl.engine.model.events import PlanFinished, PlanStarted, StepDone
from nsctl.engine.model.plan import Step

__all__ = ["one_by_one"]


def one_by_one(ctx: Context, steps: Sequence[tuple[str, Step]], operation: str) -> Iterator[int]:
    """
    Carry steps out; the number of each, from 0, once its command has succeeded, and before that is told.

    Args:
        ctx: The context.
        steps: The steps, each with what it is called if it fails.
        operation: What the trail calls it.

    Raises:
        StepFailed: A command failed; those after it are not run.
    """
    ident = new_transaction_id()
    ctx.emit(PlanStarted(ident, "", operation, "", tuple(step for _, step in steps)))
    for number, (called, step) in enumerate(steps):
        if step.do is None or isinstance(step.do, Spawn):
            raise TypeError(f"not a command: {step.do}")
        result = ctx.runner.run(step.do)
        if result.status != 0:
            ctx.emit_safely(PlanFinished(ident, "", operation, "left"))
            raise StepFailed(f"{called}: {result.stderr.strip() or result.status}", hint="see: nsctl check")
        yield number
        ctx.emit_safely(StepDone(ident, "", step, "", result.executable, result.duration, result.stdout, result.stderr))
    ctx.emit_safely(PlanFinished(ident, "", operation, "done"))
