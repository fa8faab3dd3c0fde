"""
After the last step: one look at the kernel over all that the plans want, before anything is said to be up.

Exit statuses say that commands ran; others may have been at work meanwhile, and a command may have done nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from nsctl.engine.executor.context import Context
from nsctl.engine.executor.jumps import Jumps
from nsctl.engine.executor.pending import Pending
from nsctl.engine.executor.results import Results
from nsctl.engine.model.effects import ProcessIs
from nsctl.engine.model.errors import StepFailed
from nsctl.engine.model.observation import Known
from nsctl.engine.model.plan import Plan

__all__ = ["all_in_place"]


def all_in_place(ctx: Context, plans: Sequence[Plan], pending: Pending) -> None:
    """
    Compare every effect of the plans with the kernel.

    A workload may have ended by now: that is its own affair.

    Args:
        ctx: The context.
        plans: The plans, whose steps have all been done.
        pending: What they amounted to.

    Raises:
        StepFailed: Something is not in place.
    """
    steps = {step.key: step for plan in plans for step in plan.steps if step.effect is not None}
    rows = pending.rows | {row.step.key: row for row in pending.adopted}
    steps |= {key: row.step for key, row in rows.items() if row.step.effect is not None}
    workloads = {f"init/{plan.name}" for plan in plans if plan.command}
    ctx.kernel.forget()
    ctx.kernel.read(step.effect for step in steps.values())
    results, jumps = Results(ctx, steps.values()), Jumps(ctx)
    done = {step.key: step for step in (*pending.new, *pending.mend)}
    for number, (key, step) in enumerate(steps.items(), 1):
        if step.effect is None:
            continue
        row = rows.get(key)
        identity = ctx.identities.get(key) or (row.identity if row is not None else None)
        backend = row.tools.get("iptables", "") if row is not None else ""
        observed = step.effect.observe(ctx.kernel, Known(identity, backend=backend))
        found = results.fault(step, observed, backend)
        if not found and (ahead := jumps.stopped(step, backend)):
            found = f"a rule before it decides for all: {ahead}"
        if not found and key in done and (passed := jumps.astray(done[key])):
            found = f"it stands before a rule that it belongs behind: {passed}"
        if found and not observed.gone and not (key in workloads and isinstance(step.effect, ProcessIs)):
            raise StepFailed(
                f"step {number} of {len(steps)} ({step.why}) was done, and is not in place at the end: {found}",
                hint="something else changes the host at the same time, or the command did nothing",
            )
