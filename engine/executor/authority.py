"""Whether root runs what the journal has for a step: the one place where rows become commands."""

from __future__ import annotations

from collections.abc import Iterable

from nsctl.engine.executor.context import Context
from nsctl.engine.model.commands import AnyCommand
from nsctl.engine.model.errors import NsctlError, Refused
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.planning.shapes import BUILT_IN, why_refused

__all__ = ["NOT_OURS", "check_kept", "refused"]

NOT_OURS = "nothing that nsctl plans is written like that: find out what else wrote to its store"


def refused(ctx: Context, step: Step, commands: Iterable[AnyCommand]) -> str:
    """
    Why a step's commands are not run, or nothing.

    A plugin's mode may plan with any tool: what holds its steps together is the seal of the row, without which it would
    not have been read.

    Args:
        ctx: The context.
        step: The step, as it was journalled.
        commands: Those of its commands that are about to run.
    """
    why = why_refused(step, commands, str(ctx.journal.state_dir))
    if not why:
        return ""
    try:
        sandboxes = ctx.journal.sandboxes()
        holders = ctx.journal.held_by(step.key)
        held_by = [sandboxes[name].mode for name in holders if name in sandboxes]
        held_by += [one.attachment.mode for one in ctx.journal.attachments() if one.attachment.name in holders]
    except NsctlError:  # of a store that can't be read nothing is taken on trust
        held_by = []
    return "" if any(mode not in BUILT_IN for mode in held_by) else f"it was not run, since {why}"


def check_kept(plan: Plan, state_dir: str) -> None:
    """
    Check a plan that was kept: in a file, or by a transaction, to bring a sandbox back.

    Raises:
        Refused: It says that it is a built-in mode's, and holds what no built-in mode plans.
    """
    others = {key for one in plan.attachments if one.mode not in BUILT_IN for key in one.steps}
    for step in plan.steps if plan.mode in BUILT_IN else ():
        if step.key not in others and (why := why_refused(step, step.commands, state_dir)):
            raise Refused(
                f"{display(step.key)} is nothing that mode '{plan.mode}' plans: {why}",
                hint="make the plan again with this nsctl; one of your own needs the name of a mode of your own",
            )
