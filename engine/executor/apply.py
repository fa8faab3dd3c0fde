"""Doing: refuse before anything is changed, journal everything, then act."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from nsctl.engine.executor.announcing import announcements_last, wait_for_ports
from nsctl.engine.executor.chains import OwnRules
from nsctl.engine.executor.claims import refuse_claimed
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.jumps import Jumps
from nsctl.engine.executor.port_filters import mended
from nsctl.engine.model.effect import LinkIs, NetnsIs, NftTable, ProcessIs, State
from nsctl.engine.model.errors import Conflict, Interrupted, NotExecuted, NsctlError, StepFailed
from nsctl.engine.model.events import StepDone, StepStarted
from nsctl.engine.model.events import StepFailed as StepFailedEvent
from nsctl.engine.model.names import display
from nsctl.engine.model.observation import Known
from nsctl.engine.model.plan import Command, Plan, Spawn, Step, words
from nsctl.engine.runner import find_tool, iptables_backend, missing_tool
from nsctl.engine.runner.batch import Batch, BatchItem, Single
from nsctl.engine.runner.batches import BATCH_MOST, batches_of, do_items
from nsctl.engine.runner.perform import Outcome
from nsctl.engine.runner.result import Result
from nsctl.engine.runner.workers import carry_out
from nsctl.engine.store import Held, StepRow, can_be_shared

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = ["Pending", "adopt_of_others", "apply", "other_work", "prepare"]

_POINTING = frozenset(" \t^~")
NOT_FOUND = 127
"""The exit status of a shell that does not find a command."""


@dataclass(slots=True)
class Pending:
    """
    What several plans amount to, once what is there already is taken out.

    Args:
        new: The steps that are not in the store.
        mend: The steps that are in the store, but whose effect is gone: they are done again.
        held: Pairs of key and sandbox name: who will hold what.
        rows: The rows of held steps that exist.
        owner: For each new step's key, the first sandbox that wants it.
        adopted: What another store of this host has made already, and both hold from now on.
    """

    new: list[Step] = field(default_factory=list)
    mend: list[Step] = field(default_factory=list)
    held: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[str, StepRow] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    adopted: list[StepRow] = field(default_factory=list)


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
    pending = Pending()
    going = {row.step.key for row in ctx.journal.held_only_by(leaving)} if leaving else set()
    refuse_claimed(ctx, plans, going)
    wanted: dict[str, Step] = {}
    for plan in plans:
        for step in plan.steps:
            pending.held.append((step.key, plan.name))
            first = wanted.get(step.key)
            if first is None:
                wanted[step.key] = step
                row = None if step.key in going else ctx.journal.step(step.key)
                if row is None:
                    pending.new.append(step)
                    pending.owner[step.key] = plan.name
                    continue
                pending.rows[step.key] = row
                first = row.step
            if not first.same_work(step):
                holders = ctx.journal.holders(step.key) or [pending.owner.get(step.key, "another")]
                raise other_work(first, step, holders)
    _tools_are_there(wanted.values())
    _nothing_in_the_way(ctx, pending, going)
    taken = {row.step.key for row in pending.adopted}
    pending.new = [step for step in pending.new if step.key not in taken]
    own = OwnRules(ctx, wanted.values())
    there = [*pending.rows.values(), *pending.adopted]
    pending.mend += [s for row in there if (s := own.reordered(row.step, row.tools.get("iptables", ""))) is not None]
    jumps = Jumps(ctx)
    moved = list(jumps.moved((row.step, row.tools.get("iptables", "")) for row in there))
    pending.mend = [*moved, *jumps.again(pending.mend)]
    tables = [row for row in there if isinstance(row.step.effect, NftTable)]
    pending.mend += [step for row in tables for step in mended(ctx.kernel, row.step, ctx.observed(row))]
    return pending


def other_work(there: Step, wanted: Step, holders: list[str]) -> Conflict:
    """The error for a step that is held with another command."""
    old, new = ([] if step.do is None else words(step.do) for step in (there, wanted))
    differ = [f"{b} (there: {a})" for a, b in zip(old, new, strict=False) if a != b]
    what = ", ".join(differ[:3]) or "other input"
    return Conflict(
        f"{wanted.key} is held by {', '.join(holders[:5])} with other settings: wanted {what}",
        hint=f"use the same settings, another name, or take down first: nsctl down {holders[0]}",
    )


def _tools_are_there(steps: Iterable[Step]) -> None:
    for tool in sorted({tool for s in steps for c in s.commands for tool in _tools_of(c)}):
        if find_tool(tool) is None:
            raise missing_tool(tool)


def _tools_of(command: Command | Spawn) -> Iterator[str]:
    yield command.argv[0]
    if command.netns:
        yield "nsenter"
    if isinstance(command, Spawn):
        yield "setsid"
        yield "sh"
        if "setpriv" in command.argv:  # what the init becomes
            yield "setpriv"


def _nothing_in_the_way(ctx: Context, pending: Pending, going: set[str]) -> None:
    kernel = ctx.kernel
    kernel.forget()
    kernel.expect(step.effect for step in pending.new)
    absent: set[str] = set()
    for step in pending.new:
        if step.effect is None or step.key in going or step.removed_with in absent:
            absent.add(step.key)
            continue
        held = ctx.others.get(step.key)
        if held is not None and adopt_of_others(ctx, pending, step, held):
            continue
        observed = step.effect.observe(kernel)
        if observed.state is State.ABSENT:
            absent.add(step.key)
        elif held is not None:
            raise Conflict(f"{step.key} is held by {held}", hint="use that store (NSCTL_STATE_DIR), or another name")
        elif observed.state is State.OURS:
            raise Conflict(
                f"{step.key} is there already, and bears nsctl's mark, but no sandbox holds it",
                hint="left by another nsctl or a lost store: nsctl recover --scan",
            )
        else:
            raise Conflict(
                f"{step.key} is taken: {observed.found}",
                hint="nsctl touches nothing that it did not make: choose another name",
            )
    for key, row in pending.rows.items():
        if row.step.effect is None:
            continue
        made_with = row.tools.get("iptables", "")
        if made_with and made_with != iptables_backend():
            raise Conflict(
                f"{key} is in the {made_with} back end, and iptables drives {iptables_backend()} now",
                hint="set iptables back (update-alternatives --config iptables), or take down first: nsctl down --all",
            )
        observed = ctx.observed(row, in_flight=False)
        if observed.state is State.FOREIGN and not observed.gone:
            raise Conflict(f"{key} has been changed by somebody else: {observed.found}", hint="see: nsctl check")
        if observed.state is State.ABSENT and not observed.gone:
            pending.mend.append(row.step)


def adopt_of_others(ctx: Context, pending: Pending, step: Step, held: Held) -> bool:
    """Hold, too, what another store of this host has made, where that is possible: who lets go last undoes it."""
    row = held.row
    if not can_be_shared(step) or not row.step.same_work(step) or ctx.observed(row).state is not State.OURS:
        return False
    pending.adopted.append(row)
    return True


def apply(ctx: Context, steps: Sequence[Step], transaction: str, sandbox: str, *, backend: str = "") -> None:
    """
    Do steps that are in the journal.

    Args:
        ctx: The context.
        steps: The steps.
        transaction: For the events.
        sandbox: For the events.
        backend: The iptables back end to use; the one in use, if empty.

    Raises:
        StepFailed: One failed; the caller rolls back.
        Interrupted: A signal came; the caller rolls back.
    """
    position = {s.key: n for n, s in enumerate((s for s in steps if not s.is_claim), 1)}
    by_key = {s.key: s for s in steps}
    failures: list[tuple[int, NsctlError]] = []  # with the step's number
    finished: list[tuple[Step, Outcome]] = []

    def starting(runs: list[Batch]) -> None:
        # Batches end by themselves, and the lock outlives nsctl until they do. What else there is may stay in a
        # namespace: without its identity in the journal, recovery would then take it for a stranger's.
        if any(isinstance(run, Single) for run in runs):
            flush()
            if failures:  # a target's namespace is a stranger's by now: nothing is started in there
                raise min(failures, key=lambda failure: failure[0])[1]
        keys = [i.key for run in runs for i in run.items]
        # Marks and back ends, too: who looks for it may come when a link has another name, or iptables leads elsewhere.
        ctx.journal.started(
            (key, ctx.identity_before(by_key[key]), ctx.tools(by_key[key].tool, backend)) for key in keys
        )
        ctx.begun.update(keys)
        for run in runs:
            for item in run.items:
                ctx.emit_safely(StepStarted(transaction, sandbox, by_key[item.key], position[item.key], len(position)))

    def flush() -> None:
        if not finished:
            return
        ctx.kernel.forget()
        # Of what concerns links, only these have a identity.
        ctx.kernel.expect(step.effect for step, _ in finished if isinstance(step.effect, LinkIs | NetnsIs))
        rows = []
        for step, outcome in finished:
            identity = ctx.identity(step)
            if isinstance(step.effect, NetnsIs) and step.effect.is_joined:
                observed = step.effect.observe(ctx.kernel)
                if observed.state is not State.OURS:  # the target ended, and its PID may be a stranger's by now
                    gone = StepFailed(f"{step.why} failed: {observed.found}; the target has ended")
                    failures.append((position[step.key], gone))
            rows.append((step.key, identity, ctx.tools(step.tool, backend)))
            result = outcome.result
            ctx.emit_safely(
                StepDone(
                    transaction, sandbox, step, "", result.executable, result.duration, result.stdout, result.stderr
                )
            )
        finished.clear()
        ctx.journal.done(rows)

    def ended(outcome: Outcome) -> None:
        if outcome.guessed:
            _find_out(ctx, outcome, by_key)
        finished.extend((by_key[i.key], outcome) for i in outcome.done)
        if outcome.failed is not None:
            error = _failure(ctx, outcome, outcome.failed, by_key, position, len(position), transaction, sandbox)
            failures.append((position[outcome.failed.key], error))
        elif any(isinstance(by_key[i.key].effect, ProcessIs) for i in outcome.done):
            flush()  # a process's identity is best read while it surely lives

    never: list[Batch] = []
    for part in _parts(ctx, steps):
        if failures or never:
            break
        never = carry_out(
            batches_of(do_items(part), fuse=ctx.fuse, most=BATCH_MOST),
            ctx.runner,
            starting=starting,
            ended=ended,
            stop=ctx.signals.pending,
            meanwhile=flush,
            backend=backend,
        )
    flush()
    if failures:
        raise min(failures, key=lambda failure: failure[0])[1]
    if ctx.signals.pending() and ctx.signals.caught is not None:
        raise interrupted(ctx.signals.caught)
    if never:
        raise StepFailed(f"{never[0].items[0].key} was never started")


def _parts(ctx: Context, steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    # Announcements last: what is sent before a bridge's port forwards is lost, and of many the first waits for all.
    early, late = announcements_last(steps) if ctx.fuse else (steps, ())
    yield early
    if late and not ctx.signals.pending():
        wait_for_ports(steps)
    if late:
        yield late


def _find_out(ctx: Context, outcome: Outcome, by_key: dict[str, Step]) -> None:
    # ip exits without a word at a line that it can't parse: what is in place came before that.
    ctx.kernel.forget()
    for n, item in enumerate(outcome.batch.items):
        effect = by_key[item.key].effect
        if effect is None or effect.observe(ctx.kernel, Known(in_flight=True)).state is State.ABSENT:
            outcome.failed, outcome.done = item, outcome.batch.items[:n]
            return


def interrupted(signum: int) -> Interrupted:
    """The error for a signal that came."""
    import signal

    return Interrupted(signum, f"stopped by {signal.Signals(signum).name}")


def _failure(
    ctx: Context,
    outcome: Outcome,
    item: BatchItem,
    by_key: dict[str, Step],
    position: dict[str, int],
    total: int,
    transaction: str,
    sandbox: str,
) -> NsctlError:
    from nsctl.engine.planning.render import shell_of

    step, result = by_key[item.key], outcome.result
    if isinstance(outcome.error, NsctlError):
        reason = str(outcome.error)
    elif result.not_executed and isinstance(step.do, Spawn):
        reason = _not_executed(step.do, result)
    elif result.timed_out:
        reason = f"no answer within {ctx.runner.timeout:g} s"
    else:
        # ip says which line it was, and nft points at the word.
        lines = [
            line
            for line in result.stderr.splitlines()
            if not line.startswith("Command failed -") and not _POINTING.issuperset(line)
        ]
        reason = " / ".join(lines[-3:]) or (
            f"killed by signal {-result.status}" if result.status < 0 else f"exit status {result.status}"
        )
    ctx.emit_safely(
        StepFailedEvent(transaction, sandbox, step, result.status, reason, result.executable, result.duration)
    )
    what = f"step {position[step.key]} of {total} ({step.why}) failed"
    if result.not_executed:
        return NotExecuted(f"{what}: {reason}", result.status)
    return StepFailed(f"{what}: {shell_of(step.do).splitlines()[0]}: {reason}")


def _not_executed(spawn: Spawn, result: Result) -> str:
    program = display(spawn.program or "")
    # Shells say where and what in words of their own; what is wrong stands last.
    said = result.stderr.strip().splitlines()
    why = said[-1].rpartition(": ")[2].strip() if said else ""
    if result.status != NOT_FOUND:
        return f"'{program}' can't be executed: {display(why) or 'the shell does not say why'}"
    if "/" in program and os.path.exists(program):
        return f"'{program}' can't be executed: its interpreter was not found"
    return f"'{program}' was not found"


def now() -> str:
    """UTC in ISO 8601, for display."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
