"""
Undoing: what a rollback, `down` and `recover` have in common.

An undo runs only where its effect is OURS; ABSENT counts as undone; FOREIGN is left alone and reported.
A failed undo does not stop the others: failures are collected, and their rows kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from nsctl.engine.executor import confirm_timer, decide
from nsctl.engine.executor.authority import refused
from nsctl.engine.executor.chains import OwnRules
from nsctl.engine.executor.claims import kept_claims
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.decide import Action, Decision
from nsctl.engine.executor.guests import guests_of
from nsctl.engine.executor.inhabitants import exorcise, inhabitant
from nsctl.engine.executor.port_filters import as_it_is
from nsctl.engine.executor.undoing import undoing
from nsctl.engine.model.attachment import sandbox_of
from nsctl.engine.model.commands.changes import hardware_addresses, on_link
from nsctl.engine.model.effects import ChainIs, LinkIs, State
from nsctl.engine.model.events import StepUndone
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Step
from nsctl.engine.runner.carry_out import Waiting
from nsctl.engine.runner.perform import Outcome
from nsctl.engine.store.rows import INTENT, STARTED, StepRow

__all__ = ["Undone", "tear_down", "undo_rows"]

Seen = dict[str, Observation]


class UndoResult(NamedTuple):
    """
    What came of undoing a step.

    Args:
        tool: The program that did.
        complaint: What it said if it failed.
        duration: Seconds.
    """

    tool: str = ""
    complaint: str = ""
    duration: float = 0.0


_NOTHING = UndoResult()
FEW = 1000
"""Steps of which the events come in the order of undoing; of more, they come as they are known."""


class Undone(Struct):
    """
    What came of undoing.

    Args:
        left: The steps that could not be undone, with the reason.
    """

    left: list[tuple[StepRow, str]] = []

    @property
    def lines(self) -> list[str]:
        """What could not be undone, for people."""
        return [f"{row.step.key}: {why}" for row, why in self.left]


def tear_down(ctx: Context, names: Sequence[str], transaction: str, rows: Sequence[StepRow] | None = None) -> Undone:
    """
    Take sandboxes, or attachments, down: undo, last applied first, what nobody else holds, and forget them.

    Args:
        ctx: The session's context.
        names: The sandboxes and attachments; a sandbox's name stands for its attachments, too.
        transaction: For the events.
        rows: What nobody else holds, if the caller has read it already.
    """
    if not names:
        return Undone()
    with ctx.undoing():
        ctx.journal.removing(names)
        for name in names:
            confirm_timer.stop(ctx.journal.state_dir, name)
        rows = ctx.journal.held_only_by(names) if rows is None else rows
        result = undo_rows(ctx, rows, transaction, sandbox_of(names[0]) if len(names) == 1 else "")
        left = {row.step.key for row, _ in result.left}
        kept = {name for key in left for holder in ctx.journal.held_by(key) for name in (holder, sandbox_of(holder))}
        ctx.journal.removed([n for n in names if n not in kept])
        _settle(ctx, [row for row in ctx.journal.unsettled() if row.step.key not in left])
    return result


def _settle(ctx: Context, rows: Sequence[StepRow]) -> None:
    # What somebody else holds was being mended when it all ended: it stays, and is as it looks.
    ctx.kernel.forget()
    settled = []
    for row in rows:
        observed = ctx.observed(row, in_flight=True) if row.step.effect is not None else None
        if observed is None or (observed.state is State.OURS and not observed.drift):
            settled.append((row.step.key, ctx.identity(row.step), row.tools or ctx.tools(row.step.tool)))
    if settled:
        ctx.journal.done(settled)


def undo_rows(
    ctx: Context,
    rows: Sequence[StepRow],
    transaction: str,
    sandbox: str,
    *,
    record: bool = True,
    planned: bool = False,
) -> Undone:
    """
    Undo steps, which are given last applied first.

    Args:
        ctx: The context.
        rows: The steps, as they were journalled.
        transaction: The transaction's identifier, for events.
        sandbox: The sandbox, for events; empty for several.
        record: Without it, the store is not told: it can't be written.
        planned: The rows come from a plan of this very session, not from the store.
    """
    _remember(ctx, rows)
    decided, seen = _decided(ctx, rows, planned=planned)
    going = {key for key, decision in decided.items() if decision.action is Action.UNDO}
    touched = {key for key, decision in decided.items() if decision.action in {Action.UNDO, Action.END}}
    steps = _as_they_are(ctx, rows, seen, going, record=record)
    results: dict[str, UndoResult] = {}
    reported: set[str] = set()

    def report(row: StepRow) -> None:
        # No command undoes this step.
        decision = decided[row.step.key]
        reported.add(row.step.key)
        _warn(ctx, decision, seen.get(row.step.key))
        ctx.emit_safely(StepUndone(transaction, sandbox, row.step, decision.reason, "", "", 0.0))

    def report_resting() -> None:
        # What needs no command is told while the kernel is at work: of a large lab that is most of what there is to do.
        for row in rows if len(rows) > FEW and not reported else ():
            if decided[row.step.key].action in {Action.SKIP, Action.LEAVE} and not row.step.is_claim:
                report(row)

    exorcise(ctx, [row for row in rows if decided[row.step.key].action is Action.END])
    if record:
        ctx.warnings += guests_of(ctx, rows, going)
    with closing(undoing(ctx, rows, steps, going)) as events:
        for event in events:
            if isinstance(event, Outcome):
                _note(results, event)
            elif event is Waiting.WAITING:
                report_resting()
    ctx.kernel.forget()
    ctx.runner.reap()
    result = Undone()
    for row in rows:
        key, decision = row.step.key, decided[row.step.key]
        error = decision.reason if decision.action is Action.REFUSE else ""
        tool, complaint, duration = results.get(key, _NOTHING)
        if key in touched:
            observed = ctx.observed(row) if row.step.effect is not None else None
            error = decide.still_there(observed, complaint, partial(inhabitant, ctx, row))
        if error:
            result.left.append((row, error))
        if key in going or error:
            ctx.emit_safely(StepUndone(transaction, sandbox, row.step, "", error, tool, duration))
        elif key not in reported and not row.step.is_claim:
            report(row)
    kept = kept_claims(ctx, rows, [row for row, _ in result.left]) if record else set()
    for row in rows:
        if row.step.is_claim and row.step.key not in kept:
            report(row)
    if record:
        left = {row.step.key for row, _ in result.left} | kept
        ctx.journal.undone([row.step.key for row in rows if row.step.key not in left])
    return result


def _remember(ctx: Context, rows: Sequence[StepRow]) -> None:
    # What the store could not take any more, this very session may still know.
    for row in rows:
        if row.identity is None and row.state != INTENT:
            row.identity = ctx.identities.get(row.step.key)


def _decided(ctx: Context, rows: Sequence[StepRow], *, planned: bool) -> tuple[dict[str, Decision], Seen]:
    ctx.kernel.forget()
    ctx.kernel.expect(row.step.effect for row in rows)
    seen: Seen = {}
    # A veth's peer has no effect of its own: its address stands in the command that made it.
    links = [row.step for row in rows if isinstance(row.step.effect, LinkIs)]
    macs = frozenset(mac for step in links for mac in hardware_addresses(step.do))

    def observe(row: StepRow) -> Observation:
        in_flight = row.state == STARTED and row.identity is None
        seen[row.step.key] = ctx.observed(row, in_flight=in_flight, own_macs=macs)
        return seen[row.step.key]

    decided = decide.backward(
        rows,
        observe,
        shared=lambda step: str(ctx.others.shared(step.key) or ""),
        inhabited=lambda row: inhabitant(ctx, row) is not None,
        refusal=lambda step: "" if planned else refused(ctx, step, step.undo),
    )
    return decided, seen


def _warn(ctx: Context, decision: Decision, observed: Observation | None) -> None:
    if observed is not None and observed.state is State.FOREIGN:
        ctx.warnings.append(f"{decision.step.key} is not nsctl's any more and was left alone: {observed.found}")
    elif observed is not None and decision.action is Action.LEAVE:
        ctx.warnings.append(f"{decision.step.key} stays as it is, since others rely on it: {observed.taken}")


def _as_they_are(
    ctx: Context, rows: Sequence[StepRow], seen: Seen, going: Collection[str], *, record: bool
) -> list[Step]:
    # All of them: one that needs nothing may be all that says which of two others comes first.
    steps = [_under_its_name(ctx, row, seen.get(row.step.key)) for row in rows]
    own = OwnRules(ctx, (row.step for row in rows))
    for n, row in enumerate(rows):
        if row.step.key not in going:
            continue
        backend = row.tools.get("iptables", "")
        if record and isinstance(row.step.effect, ChainIs):  # without a store, nobody knows what is nsctl's
            ctx.warnings += [
                f"with {row.step.effect.chain} goes a rule that is not nsctl's: {' '.join(spec)}"
                for spec in own.strange(row.step, backend)
            ]
        steps[n] = own.removing_all(steps[n], backend)
        steps[n] = as_it_is(ctx.kernel, steps[n])
    return steps


def _under_its_name(ctx: Context, row: StepRow, observed: Observation | None) -> Step:
    # A link that somebody renamed is found by its index: it, and what was set on it, is undone under its new name.
    step = row.step
    if observed is None or step.effect is None:
        return step
    new = observed.renamed or observed.link
    old = step.effect.name if isinstance(step.effect, LinkIs) else step.effect.host_link
    if isinstance(step.effect, LinkIs) and observed.state is State.OURS:
        new = _by_index(ctx, row) or new
    if new is None or old is None:
        return step
    return replace(step, undo=tuple(on_link(c, old, new) for c in step.undo))


def _by_index(ctx: Context, row: StepRow) -> str | None:
    # A name may be another link's by the time it is deleted; ip takes `if7` for the link of index 7 (ll_map.c), unless
    # one is called so.
    index = (row.identity or {}).get("index")
    if index is None or getattr(row.step.effect, "netns", None) is not None or ctx.kernel.link(f"if{index}"):
        return None
    return f"if{index}"


def _note(results: dict[str, UndoResult], outcome: Outcome) -> None:
    done = set(map(id, outcome.done))
    for item in outcome.batch.items:
        complaint = "" if id(item) in done else _complaint(outcome)
        earlier = results.get(item.key, _NOTHING).complaint  # of another command of the same step
        results[item.key] = UndoResult(outcome.result.executable, earlier or complaint, outcome.result.duration)


def _complaint(outcome: Outcome) -> str:
    if outcome.result.timed_out:
        return "no answer within the deadline"
    return outcome.result.stderr.strip() or f"exit status {outcome.result.status}"
