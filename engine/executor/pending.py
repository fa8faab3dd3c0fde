"""What plans amount to on this host; and refusing, before anything is changed, what can't be done."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from msgspec import Struct

from nsctl.engine.executor import decide
from nsctl.engine.executor.chains import OwnRules
from nsctl.engine.executor.claims import refuse_claimed
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.decide import Action
from nsctl.engine.executor.jumps import Jumps
from nsctl.engine.executor.port_filters import mended
from nsctl.engine.model.commands import AnyCommand, Spawn, argv_of
from nsctl.engine.model.effects import NftTable, State
from nsctl.engine.model.errors import Conflict
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.model.progress import INTENT
from nsctl.engine.runner import find_tool, iptables_backend, missing_tool
from nsctl.engine.store import StepRow, can_be_shared

__all__ = ["Pending", "gather", "keep_adopted", "may_adopt", "prepare"]


class Pending(Struct):
    """
    What several plans amount to, once what is there already is taken out.

    Args:
        new: The steps that are not in the store.
        mend: The steps that are in the store, but whose effect is gone: they are done again.
        held: Pairs of key and holder, a sandbox or an attachment: who will hold what.
        rows: The rows of held steps that exist.
        adopted: What another store of this host has made already, and both hold from now on.
    """

    new: list[Step] = []
    mend: list[Step] = []
    held: list[tuple[str, str]] = []
    rows: dict[str, StepRow] = {}
    adopted: list[StepRow] = []

    def adopt(self, rows: Sequence[StepRow]) -> None:
        """Hold, too, what another store has made; who lets go last undoes it."""
        keys = {row.step.key for row in rows}
        self.adopted += rows
        self.new = [step for step in self.new if step.key not in keys]

    def every(self) -> list[Step]:
        """All that the plans want."""
        return [*self.new, *(row.step for row in (*self.rows.values(), *self.adopted))]

    def written(self) -> list[Step]:
        """What the journal gets: what was there first is undone last."""
        return [*(row.step for row in self.adopted), *self.new]

    def in_order(self, plans: Sequence[Plan]) -> tuple[Step, ...]:
        """What has to be done, in the plans' order."""
        if not self.mend:
            return tuple(self.new)
        todo = {s.key: s for s in (*self.new, *self.mend)}
        order = dict.fromkeys(s.key for p in plans for s in p.steps)
        return tuple(todo[k] for k in order if k in todo)


def gather(ctx: Context, plans: Sequence[Plan], going: Container[str] = ()) -> Pending:
    """
    Sort the steps of plans by whether the store has them.

    Args:
        ctx: The context.
        plans: The plans.
        going: The keys of what is taken down first: it will not be there.

    Raises:
        Conflict: A step is held, or wanted by two, with other work.
    """
    pending = Pending()
    wanted: dict[str, Step] = {}
    owner: dict[str, str] = {}
    for plan in plans:
        pending.held += plan.held()
        for step in plan.steps:
            first = wanted.get(step.key)
            if first is None:
                wanted[step.key] = step
                row = None if step.key in going else ctx.journal.step(step.key)
                if row is None:
                    pending.new.append(step)
                    owner[step.key] = plan.name
                    continue
                pending.rows[step.key] = row
                first = row.step
            if not first.same_work(step):
                raise _other_work(first, step, ctx.journal.holders(step.key) or [owner.get(step.key, "another")])
    return pending


def prepare(ctx: Context, plans: Sequence[Plan], leaving: Iterable[str] = ()) -> Pending:
    """
    Find out what there is to do, and refuse what can't be done; nothing is changed.

    Args:
        ctx: The context.
        plans: The plans.
        leaving: Sandboxes that are taken down first in the same transaction: what only they hold will not be there.

    Raises:
        Conflict: Something is there already, is a stranger's, or is held with other work.
        Refused: A tool is missing.
    """
    going = {row.step.key for row in ctx.journal.held_only_by(leaving)} if leaving else set()
    refuse_claimed(ctx, plans, going)
    _sandboxes_are_there(ctx, plans)
    pending = gather(ctx, plans, going)
    _tools_are_there(pending.every())
    ctx.kernel.forget()
    ctx.kernel.expect(step.effect for step in pending.new)
    adopted = []
    for decision in _decisions(ctx, pending, going):
        if decision.action is Action.REFUSE:
            raise Conflict(decision.reason, hint=decision.hint)
        if decision.action is Action.ADOPT:
            adopted.append(ctx.others[decision.step.key].row)
        elif decision.action is Action.MEND:
            pending.mend.append(decision.step)
    pending.adopt(adopted)
    own, jumps = OwnRules(ctx, pending.every()), Jumps(ctx)
    there = [(row, row.tools.get("iptables", "")) for row in (*pending.rows.values(), *pending.adopted)]
    pending.mend += [s for row, backend in there if (s := own.reordered(row.step, backend)) is not None]
    moved = list(jumps.moved((row.step, backend) for row, backend in there))
    pending.mend = [*moved, *jumps.again(pending.mend)]
    tables = [row for row, _ in there if isinstance(row.step.effect, NftTable)]
    pending.mend += [step for row in tables for step in mended(ctx.kernel, row.step, ctx.observed(row))]
    return pending


def _decisions(ctx: Context, pending: Pending, going: Container[str]) -> Iterator[decide.Decision]:
    def other_backend(row: StepRow) -> str:
        made_with = row.tools.get("iptables", "")
        if not made_with or made_with == iptables_backend():
            return ""
        return f"the {made_with} back end, and iptables drives {iptables_backend()} now"

    return decide.forward(
        pending.new,
        pending.rows.values(),
        going,
        lambda step: ctx.observed(StepRow(0, step, INTENT), in_flight=False),
        lambda row: ctx.observed(row, in_flight=False),
        holder=lambda step: str(ctx.others.get(step.key) or ""),
        adoptable=lambda step: may_adopt(ctx, step),
        backend=other_backend,
    )


def keep_adopted(ctx: Context, pending: Pending) -> None:
    """Write down that what is adopted is done, as the other store has it."""
    if pending.adopted:
        ctx.journal.done((row.step.key, row.identity, row.tools) for row in pending.adopted)


def may_adopt(ctx: Context, step: Step) -> bool:
    """Whether a step of another store of this host may be held here, too: it is the same, and in place."""
    row = ctx.others[step.key].row
    return can_be_shared(step) and row.step.same_work(step) and ctx.observed(row).state is State.OURS


def _other_work(there: Step, wanted: Step, holders: Sequence[str]) -> Conflict:
    old, new = ([] if step.do is None else argv_of(step.do) for step in (there, wanted))
    differ = [f"{b} (there: {a})" for a, b in zip(old, new, strict=False) if a != b]
    what = ", ".join(differ[:3]) or "other input"
    return Conflict(
        f"{wanted.key} is held by {', '.join(holders[:5])} with other settings: wanted {what}",
        hint=f"use the same settings, another name, or take down first: nsctl down {holders[0]}",
    )


def _sandboxes_are_there(ctx: Context, plans: Sequence[Plan]) -> None:
    # To which attachments are to be added.
    for plan in plans:
        if not plan.existing:
            continue
        row = ctx.journal.sandboxes().get(plan.name)
        if row is None or row.state != "up":
            raise Conflict(f"there is no sandbox '{plan.name}' that is up", hint="see what is: nsctl ls")
        there = {each.attachment.name for each in ctx.journal.attachments(plan.name)}
        if taken := next((a for a in plan.attachments if a.name in there), None):
            raise Conflict(
                f"'{plan.name}' has an attachment '{taken.interface}' already", hint="choose another name for it"
            )


def _tools_are_there(steps: Iterable[Step]) -> None:
    for tool in sorted({tool for s in steps for c in s.commands for tool in _tools_of(c)}):
        if find_tool(tool) is None:
            raise missing_tool(tool)


def _tools_of(command: AnyCommand) -> Iterator[str]:
    yield command.tool
    if command.netns:
        yield "nsenter"
    if isinstance(command, Spawn):
        yield "setsid"
        yield "sh"
        if "setpriv" in command.argv:  # what the init becomes
            yield "setpriv"
