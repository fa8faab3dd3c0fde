"""Flows that began while rules were missing keep the decision for their first packet until they are dropped."""

from __future__ import annotations

from collections.abc import Sequence

from nsctl.engine.executor.context import Context
from nsctl.engine.model.commands import Command
from nsctl.engine.model.effects import RuleTagged
from nsctl.engine.model.plan import Step
from nsctl.engine.runner import find_tool

__all__ = ["drop_flows"]

_NONE_THERE = (0, 1)
"""conntrack exits with 1 where there was nothing to delete."""


def drop_flows(ctx: Context, steps: Sequence[Step]) -> None:
    """
    After rules of nat were put back: have the kernel forget the flows of their subnets, so that they are decided anew.

    Args:
        ctx: The context.
        steps: What was put back.
    """
    subnets = {
        spec[spec.index("-s") + 1]
        for step in steps
        if isinstance(step.effect, RuleTagged) and step.effect.table == "nat" and "-s" in (spec := step.effect.spec)
    }
    for subnet in sorted(subnets):
        if find_tool("conntrack") is None:
            ctx.warnings.append(
                f"connections from {subnet} that began while rules were missing go on without them:"
                " conntrack, which would end that, is not installed"
            )
            continue
        result = ctx.runner.run(Command(("conntrack", "-D", "-s", subnet), ok=_NONE_THERE))
        if result.status not in _NONE_THERE:
            ctx.warnings.append(f"connections from {subnet} could not be dropped: {result.stderr.strip()}")
