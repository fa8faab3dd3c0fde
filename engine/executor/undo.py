"""
Undoing: what a rollback, `down` and `recover` have in common.

An undo runs only where its effect is OURS; ABSENT counts as undone; FOREIGN is left alone and reported.
A failed undo does not stop the others: failures are collected, and their rows kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

from nsctl.engine.executor import confirm_timer
from nsctl.engine.executor.authority import refused
from nsctl.engine.executor.chains import OwnRules
from nsctl.engine.executor.claims import kept_claims
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.guests import guests_of
from nsctl.engine.executor.inhabitants import end_all, exorcise, inhabitant, living
from nsctl.engine.executor.port_filters import as_it_is
from nsctl.engine.host.process import init_of, pid_in
from nsctl.engine.model.effect import ChainIs, LinkIs, NetnsIs, ProcessIs, State
from nsctl.engine.model.effect_links import command_on_link
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.events import StepUndone
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Step
from nsctl.engine.runner.batch import Batch, BatchItem, ends_processes
from nsctl.engine.runner.batches import batches_of, undo_items
from nsctl.engine.runner.perform import Outcome
from nsctl.engine.runner.workers import carry_out
from nsctl.engine.runner.writes import own_namespaces, processes_in, stop_and_wait
from nsctl.engine.store.rows import INTENT, STARTED, StepRow

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = ["Undone", "tear_down", "undo_rows"]

FEW = 1000
"""Steps of which the events come in the order of undoing; of more, they come as they are known."""


@dataclass(slots=True)
class Undone:
    """
    What came of undoing.

    Args:
        left: The steps that could not be undone, with the reason.
    """

    left: list[tuple[StepRow, str]] = field(default_factory=list)


def tear_down(ctx: Context, names: Sequence[str], transaction: str, rows: Sequence[StepRow] | None = None) -> Undone:
    """
    Take sandboxes down: undo, last applied first, what nobody else holds, and forget them.

    Args:
        ctx: The session's context.
        names: The sandboxes.
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
        result = undo_rows(ctx, rows, transaction, names[0] if len(names) == 1 else "")
        left = {row.step.key for row, _ in result.left}
        kept = {name for key in left for name in ctx.journal.holders(key)}
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
    refusals: dict[str, str] = {}
    seen, going, haunted = _look(ctx, rows, None if planned else refusals)
    # All of them: one that needs nothing may be all that says which of two others comes first.
    steps = [_under_its_name(ctx, row, seen.get(row.step.key)) for row in rows]
    said: dict[str, tuple[str, str, float]] = {}
    told: set[str] = set()

    def tell_resting() -> None:
        # What needs no command is told while the kernel is at work: of a large lab that is most of what there is to do.
        for row in rows if len(rows) > FEW and not told else ():
            if row.step.key not in going | haunted and row.step.key not in refusals and not row.step.is_claim:
                told.add(row.step.key)
                ctx.emit_safely(_untouched(ctx, row, seen.get(row.step.key), transaction, sandbox))

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
    exorcise(ctx, [row for row in rows if row.step.key in haunted])
    if record:
        ctx.warnings += guests_of(ctx, rows, going)
    _run(ctx, rows, steps, going, said, tell_resting)
    ctx.kernel.forget()
    ctx.runner.reap()
    result = Undone()
    for row in rows:
        key = row.step.key
        error = _still_there(ctx, row, said.get(key)) if key in going | haunted else refusals.get(key, "")
        if error:
            result.left.append((row, error))
        if key in going or error:
            tool, _, duration = said.get(key, ("", "", 0.0))
            ctx.emit_safely(StepUndone(transaction, sandbox, row.step, "", error, tool, duration))
        elif key not in told and not row.step.is_claim:
            ctx.emit_safely(_untouched(ctx, row, seen.get(key), transaction, sandbox))
    kept = kept_claims(ctx, rows, [row for row, _ in result.left]) if record else set()
    for row in rows:
        if row.step.is_claim and row.step.key not in kept:
            ctx.emit_safely(StepUndone(transaction, sandbox, row.step, "let go", "", "", 0.0))
    if record:
        left = {row.step.key for row, _ in result.left} | kept
        ctx.journal.undone([row.step.key for row in rows if row.step.key not in left])
    return result


def _remember(ctx: Context, rows: Sequence[StepRow]) -> None:
    # What the store could not take any more, this very session may still know.
    for row in rows:
        if row.identity is None and row.state != INTENT:
            row.identity = ctx.identities.get(row.step.key)


def _untouched(ctx: Context, row: StepRow, observed: Observation | None, transaction: str, sandbox: str) -> StepUndone:
    # No command undoes this step, for this reason.
    step = row.step
    if observed is not None and observed.state is State.FOREIGN:
        ctx.warnings.append(f"{step.key} is not nsctl's any more and was left alone: {observed.found}")
        why = f"not ours, left alone: {observed.found}"
    elif observed is not None and observed.taken:
        if step.key not in ctx.others:
            ctx.warnings.append(f"{step.key} stays as it is, since others rely on it: {observed.taken}")
        why = f"left as it is: {observed.taken}"
    elif observed is not None:
        why = "was gone already"
    elif row.state == INTENT:
        why = "was never started"
    else:
        why = f"goes with {step.removed_with}" if step.removed_with else step.no_undo
    return StepUndone(transaction, sandbox, step, why, "", "", 0.0)


def _look(
    ctx: Context, rows: Sequence[StepRow], refusals: dict[str, str] | None
) -> tuple[dict[str, Observation], set[str], set[str]]:
    # Which steps are in place: looked at before anything is undone, parents first, so that what goes with them need not
    # be looked at. And which are not, while something that they made is still inhabited.
    ctx.kernel.forget()
    ctx.kernel.expect(row.step.effect for row in rows)
    seen: dict[str, Observation] = {}
    going: set[str] = set()
    haunted: set[str] = set()
    strangers: set[str | None] = set()
    # A veth's peer has no effect of its own: its address stands in the command that made it.
    links = [r.step for r in rows if isinstance(r.step.effect, LinkIs)]
    macs = frozenset(word for step in links for word in step.argv)
    for row in reversed(rows):
        step = row.step
        if row.state == INTENT:
            continue
        survives = step.effect is not None and step.effect.survives_removal
        if step.removed_with in going and not survives:
            continue
        if step.removed_with in strangers and not survives:
            strangers.add(step.key)  # ours went with what the stranger's has replaced
            continue
        if step.effect is None:
            if step.undo and not _is_refused(ctx, step, refusals):
                going.add(step.key)
            continue
        observed = ctx.observed(row, in_flight=row.state == STARTED and row.identity is None, own_macs=macs)
        if held := ctx.others.shared(step.key):
            observed = replace(observed, taken=f"held by {held}")
        seen[step.key] = observed
        if observed.state is not State.OURS and inhabitant(ctx, row) is not None:
            haunted.add(step.key)
        if step.undo and observed.state is State.OURS and not observed.taken:
            if not _is_refused(ctx, step, refusals):
                going.add(step.key)
        elif observed.state is State.FOREIGN:
            strangers.add(step.key)
    return seen, going, haunted


def _is_refused(ctx: Context, step: Step, refusals: dict[str, str] | None) -> bool:
    # Then it stays, is named, and what goes with it is undone by itself.
    if refusals is not None and (why := refused(ctx, step, step.undo)):
        refusals[step.key] = why
        return True
    return False


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
    return replace(step, undo=tuple(command_on_link(c, old, new) for c in step.undo))


def _by_index(ctx: Context, row: StepRow) -> str | None:
    # A name may be another link's by the time it is deleted; ip takes `if7` for the link of index 7 (ll_map.c), unless
    # one is called so.
    index = (row.identity or {}).get("index")
    if index is None or getattr(row.step.effect, "netns", None) is not None or ctx.kernel.link(f"if{index}"):
        return None
    return f"if{index}"


def _run(
    ctx: Context,
    rows: Sequence[StepRow],
    steps: Sequence[Step],
    going: set[str],
    said: dict[str, tuple[str, str, float]],
    meanwhile: Callable[[], None],
) -> None:
    inodes: dict[str, set[int]] = {}
    watched = _processes(ctx, rows, [s for s in steps if s.key in going], inodes)
    backends = {row.step.key: row.tools.get("iptables", "") for row in rows}
    deadline = time.monotonic() + ctx.runner.timeout
    # Processes first: a namespace with a process in it outlives its name.
    items = undo_items(steps, going)
    if ctx.fuse:
        end_all(ctx, watched, inodes, deadline)
        ended_here = {s.key for s in steps if isinstance(s.effect, ProcessIs | NetnsIs)}
        items = [i for i in items if not (i.key in ended_here and ends_processes(i.command))]
    # All of one sandbox's rules were made with one back end, and nsctl refuses to mix them.
    backend = next((b for i in items if (b := backends[i.key])), "")
    runs = batches_of(items, fuse=ctx.fuse)

    def ended(outcome: Outcome) -> None:
        done = set(map(id, outcome.done))
        for item in outcome.batch.items:
            complaint = "" if id(item) in done else _complaint(outcome)
            earlier = said.get(item.key, ("", "", 0.0))[1]  # of another command of the same step
            said[item.key] = (outcome.result.executable, earlier or complaint, outcome.result.duration)

    def starting(_: list[Batch]) -> None:
        return

    carry_out(
        runs,
        ctx.runner,
        starting=starting,
        ended=ended,
        stop=lambda: False,
        meanwhile=meanwhile,
        force=True,
        backend=backend,
        group=_unused_group(ctx, items),
    )
    if watched and not ctx.fuse:
        stop_and_wait(watched, deadline, kill=False)


def _unused_group(ctx: Context, items: Sequence[BatchItem]) -> int | None:
    # For deleting several links at once: a number that no link has, so that nobody else's is taken along.
    if not ctx.fuse or sum(i.command.argv[:3] == ("ip", "link", "del") for i in items) <= 1:
        return None
    try:
        taken = {link.group for link in ctx.kernel.links().values()}
    except NsctlError:  # they keep changing while they are read: then one by one
        return None
    return next(n for n in iter(lambda: int.from_bytes(os.urandom(3)) + 2**24, -1) if n not in taken)


def _processes(
    ctx: Context, rows: Sequence[StepRow], steps: Iterable[Step], inodes: dict[str, set[int]]
) -> dict[int, int]:
    # What the undo of these steps ends, with start times: inits with their first child, and whatever runs in a
    # namespace that nsctl made. These namespaces are added to `inodes`, by kind.
    pids: set[int] = set()
    identities = {row.step.key: row.identity or {} for row in rows}
    for step in steps:
        if isinstance(step.effect, ProcessIs):
            identity = identities[step.key]
            # Somebody else may have written to the pidfile since; and start times count only in hundredths of a second.
            for pid in {identity["pid"] if "pid" in identity else pid_in(step.effect.pidfile)}:
                if pid is not None and ("start" not in identity or ctx.kernel.process(pid) == identity["start"]):
                    init = init_of(pid)
                    pids |= {pid, init}
                    # Without a PID namespace the others do not die with it: they are found by the namespaces it holds.
                    for kind in ("mnt", "uts", "ipc") if init == pid else ():
                        inodes.setdefault(kind, set()).update(own_namespaces(pid, kind))
        elif isinstance(step.effect, NetnsIs) and any(ends_processes(c) for c in step.undo):
            inode = ctx.kernel.netns_inode(step.effect.name) or identities[step.key].get("inode")
            if inode is not None:
                inodes.setdefault("net", set()).add(inode)
    for kind, numbers in inodes.items():
        pids.update(processes_in(numbers, kind))
    return living(ctx, pids)


def _complaint(outcome: Outcome) -> str:
    if outcome.result.timed_out:
        return "no answer within the deadline"
    return outcome.result.stderr.strip() or f"exit status {outcome.result.status}"


def _still_there(ctx: Context, row: StepRow, said: tuple[str, str, float] | None) -> str:
    effect = row.step.effect
    complaint = said[1] if said else ""
    if effect is None:
        return complaint
    observed = ctx.observed(row)
    if observed.state is State.ABSENT or observed.taken or (observed.state is State.FOREIGN and not complaint):
        pid = inhabitant(ctx, row)
        return "" if pid is None else f"process {pid} still runs in it"
    return complaint or f"still there: {observed.found}"
