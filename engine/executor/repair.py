"""Drift: every effect against the kernel, and making again what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nsctl.engine.executor import confirm_timer
from nsctl.engine.executor.apply import apply
from nsctl.engine.executor.authority import NOT_OURS, refused
from nsctl.engine.executor.chains import OwnRules
from nsctl.engine.executor.context import Context, new_transaction_id
from nsctl.engine.executor.ended import left_ended, stranded_by
from nsctl.engine.executor.flows import drop_flows
from nsctl.engine.executor.jumps import Jumps
from nsctl.engine.executor.late_zones import hold, late_zones
from nsctl.engine.executor.lost_names import give_names, name_again
from nsctl.engine.executor.own_files import put_back, renewed, stale
from nsctl.engine.executor.port_filters import mended
from nsctl.engine.executor.undo import undo_rows
from nsctl.engine.executor.wiring import Wiring
from nsctl.engine.model.effect import (
    AddrOn,
    ChainIs,
    FileIs,
    LinkIs,
    LinkUp,
    NetnsIs,
    NftTable,
    PortFilter,
    RouteVia,
    State,
)
from nsctl.engine.model.errors import Interrupted, NsctlError, RollbackFailed, StepFailed
from nsctl.engine.model.events import PlanFinished, PlanStarted
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Command, Step
from nsctl.engine.store import SandboxRow, StepRow
from nsctl.engine.store.rows import DONE

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = ["Drift", "check", "repair"]

_STAYS = "(what was mended before it stays)"


@dataclass(frozen=True, slots=True)
class Drift:
    """
    Something is not as it was made.

    Args:
        key: What.
        expected: What the plan made.
        found: What is there.
        holders: The sandboxes that need it.
        state: `absent`, `foreign` or `changed`.
    """

    key: str
    expected: str
    found: str
    holders: tuple[str, ...]
    state: str


def check(ctx: Context, names: Sequence[str]) -> list[Drift]:
    """
    Compare every effect with the kernel.

    What lives in something that is missing is not listed beside it.
    """
    drifts = []
    missing: set[str] = set()
    under_way = ctx.journal.transaction() is not None
    rows = ctx.journal.steps(*names)
    for row, observed in _observations(ctx, rows):
        key = row.step.key
        if row.state != DONE and under_way:
            found, state = "a transaction that never ended", "absent"
        elif observed is None or (observed.state is State.OURS and not observed.drift):
            continue
        elif observed.state is State.OURS:
            found, state = observed.drift, "changed"
            if isinstance(row.step.effect, NetnsIs):
                missing.add(key)  # what is in it can't be seen without its name
        else:
            found, state = observed.found, observed.state.value
        if state == "absent":
            missing.add(key)
            if row.step.removed_with in missing:
                continue  # it is missed along with that
        drifts.append(Drift(key, row.step.why, found, tuple(ctx.journal.holders(key)), state))
    known = {drift.key for drift in drifts}
    files = []
    for one in stale(ctx, _chosen(ctx, names)):
        key = one.row.step.key
        if key not in known:
            files.append(Drift(key, f"its own /etc/{one.name}", one.found, tuple(ctx.journal.holders(key)), "changed"))
    late = [
        Drift(one.step.key, one.step.why, "firewalld runs by now, and has it in no zone", one.holders, "absent")
        for one in late_zones(ctx, rows)
    ]
    return [*drifts, *files, *_in_own_chains(ctx, rows), *late, *_unwatched(ctx, names)]


def _chosen(ctx: Context, names: Sequence[str]) -> dict[str, SandboxRow]:
    return {name: row for name, row in ctx.journal.sandboxes().items() if not names or name in names}


def _in_own_chains(ctx: Context, rows: Sequence[StepRow]) -> Iterator[Drift]:
    own, jumps = OwnRules(ctx, (row.step for row in rows)), Jumps(ctx)
    for row in rows:
        step, backend = row.step, row.tools.get("iptables", "")
        if isinstance(step.effect, ChainIs):
            for spec in own.strange(step, backend):
                found = f"a rule that is not nsctl's: {' '.join(spec)}"
                holders = tuple(ctx.journal.holders(step.key))
                yield Drift(step.key, "nsctl's own rules and no others", found, holders, "foreign")
            for spec, rule in own.misplaced(step, backend).items():
                found = f"stands behind rules that it has to precede: {' '.join(spec)}"
                yield Drift(rule.key, rule.why, found, tuple(ctx.journal.holders(rule.key)), "changed")
        elif stopped := jumps.stopped(step, backend):
            found = f"a rule before it decides for all: {stopped}"
            yield Drift(step.key, step.why, found, tuple(ctx.journal.holders(step.key)), "changed")
        elif (copies := own.copies(step, backend)) > 1:
            found = f"it is there {copies} times, of which nsctl made one"
            yield Drift(step.key, step.why, found, tuple(ctx.journal.holders(step.key)), "foreign")


def _unwatched(ctx: Context, names: Sequence[str]) -> Iterator[Drift]:
    for name, row in ctx.journal.sandboxes().items():
        waits = row.state == "up" and row.confirm_by is not None and (not names or name in names)
        if waits and not confirm_timer.alive(ctx.journal.state_dir, name):
            expected = "taken down again unless it is confirmed in time"
            yield Drift(f"confirm/{name}", expected, "nothing waits for the confirmation", (name,), "absent")


def _observations(ctx: Context, rows: Sequence[StepRow]) -> list[tuple[StepRow, Observation | None]]:
    ctx.kernel.forget()
    ctx.kernel.expect(row.step.effect for row in rows)
    ctx.kernel.visit(row.step.effect for row in rows)
    wiring = Wiring(ctx.kernel)
    return [(r, _observed(ctx, r, wiring) if r.step.effect is not None else None) for r in rows]


def _observed(ctx: Context, row: StepRow, wiring: Wiring) -> Observation | None:
    # A repair that was killed leaves steps that nobody knows to have run.
    observed = ctx.observed(row, in_flight=row.state != DONE and row.identity is None)
    if observed.gone:
        return None
    fault = wiring.fault(row.step) if observed.state is State.OURS and observed.renamed is None else None
    if fault is None:
        return observed
    found = "; ".join(filter(None, (observed.drift, fault.found)))
    return Observation(State.FOREIGN, found) if fault.do is None else replace(observed, found=found, drift=found)


def _settle(ctx: Context, observations: Iterable[tuple[StepRow, Observation | None]]) -> None:
    # What a killed repair put in place is done.
    ctx.journal.done(
        (r.step.key, ctx.identity(r.step), r.tools or ctx.tools(r.step.tool))
        for r, s in observations
        if r.state != DONE and r.step.effect is not None and s is not None and s.state is State.OURS and not s.drift
    )


def repair(
    ctx: Context, names: Sequence[str], *, dry_run: bool, operation: str = "repair", ended: bool = True
) -> list[Step]:
    """
    Make again exactly what is missing, packet filters first, so that isolation never weakens.

    A stranger's thing is never overwritten, and what runs is never restarted.
    A namespace that only lost its name gets it back first: then what is in it can be looked at.

    Args:
        ctx: The context.
        names: The sandboxes; all, if empty.
        dry_run: Only say what would be done.
        operation: What the trail calls it.
        ended: Whether processes that have ended, and what has gone with them, are made again, too.
    """
    observations = _observations(ctx, ctx.journal.steps(*names))
    named = [
        step
        for row, observed in observations
        if observed is not None and (step := name_again(ctx, row, observed)) is not None
    ]
    if named:
        if dry_run:
            return named
        give_names(ctx, named, operation)
        return named + repair(ctx, names, dry_run=False, operation=operation, ended=ended)
    if not dry_run:
        _settle(ctx, observations)
    todo, restart = _what_to_do(ctx, observations, ended=ended)
    once = {s.key: s for s in reversed(todo)}  # of a cable with both ends changed, the other end's turn comes then
    todo, again_after = list(reversed(once.values())), len(once) < len(todo)
    todo.sort(key=lambda s: not _is_filter(s))
    backend = next((b for r, _ in observations if (b := r.tools.get("iptables", ""))), "")
    late = list(late_zones(ctx, [row for row, _ in observations]))
    todo = _needs_first([*_in_order(ctx, observations, todo, backend), *(one.step for one in late)])
    refusals = {s.key: why for s in todo if (why := refused(ctx, s, s.commands[:1]))}
    todo = [s for s in todo if s.key not in refusals]
    restart = [r for r in restart if r.step.key not in refusals]
    files = list(stale(ctx, _chosen(ctx, names)))
    renewing = {one.row.step.key for one in files if one.pid is None}
    todo = [s for s in todo if s.key not in renewing]  # their content is another from now on
    if dry_run:
        return todo + [renewed(one) for one in files]
    again = put_back(ctx, files, operation) if files else []
    if not (todo or refusals):
        return again
    ident = new_transaction_id()
    ctx.emit(PlanStarted(ident, names[0] if len(names) == 1 else "", operation, "", tuple(todo)))
    hold(ctx, [one for one in late if one.step.key not in refusals])
    try:
        if restart:
            undone = undo_rows(ctx, list(reversed(restart)), ident, "", record=False)
            if undone.left:
                raise StepFailed(f"{undone.left[0][0].step.key} can't be undone: {undone.left[0][1]}")
        apply(ctx, todo, ident, "", backend=backend)
        drop_flows(ctx, todo)
    except (NsctlError, OSError) as e:
        ctx.emit_safely(PlanFinished(ident, "", operation, "left"))
        if isinstance(e, Interrupted):
            e.message = f"{e.message} {_STAYS}"
            raise
        what = e.message if isinstance(e, NsctlError) else f"the system refused: {e.strerror or e}"
        raise StepFailed(f"{what} {_STAYS}", hint="see: nsctl check") from e
    ctx.emit_safely(PlanFinished(ident, "", operation, "left" if refusals else "done", tuple(refusals)))
    if refusals:
        left = "; ".join(f"{key}: {why}" for key, why in refusals.items())
        raise RollbackFailed(f"not everything could be put back; left over: {left}", hint=NOT_OURS)
    if again_after or any(s.argv[:2] == ("ip", "-batch") for s in todo):
        # under its name, a link's properties can be looked at
        todo += repair(ctx, names, dry_run=False, operation=operation, ended=ended)
    return todo + again


def _in_order(
    ctx: Context, observations: Sequence[tuple[StepRow, Observation | None]], todo: Sequence[Step], backend: str
) -> list[Step]:
    # What is to be done, with what puts rules where they belong: those in place, and those that are put back.
    own, jumps = OwnRules(ctx, (row.step for row, _ in observations)), Jumps(ctx)
    reordered = [s for r, _ in observations if (s := own.reordered(r.step, r.tools.get("iptables", ""))) is not None]
    moved = list(jumps.moved((r.step, r.tools.get("iptables", "")) for r, s in observations if s is not None))
    return [*reordered, *moved, *jumps.again(todo, backend)]


def _is_filter(step: Step) -> bool:
    return step.effect is not None and step.effect.is_packet_filter


def _what_to_do(
    ctx: Context, observations: Sequence[tuple[StepRow, Observation | None]], *, ended: bool
) -> tuple[list[Step], list[StepRow]]:
    # The steps to do, and those to undo first.
    steps = [r.step for r, _ in observations]
    seen = {r.step.key: s for r, s in observations if s is not None}
    absent = {k for k, s in seen.items() if s.state is State.ABSENT}
    foreign = {k for k, s in seen.items() if s.state is State.FOREIGN}
    names = [s for s in steps if isinstance(s.effect, NetnsIs) and s.key not in foreign]
    lost = {s.key for s in names if s.key in absent or seen[s.key].drift}
    lost |= {k for s in steps if s.key in absent for k in _lost_peers(s, seen)}
    stranded = stranded_by(steps, lost)
    # What somebody else put in a link's place gets nothing of ours, and what was renamed gets its name back first.
    renamed = [s for s in steps if (observed := seen.get(s.key)) is not None and observed.renamed is not None]
    homeless = {s.key for s in steps if s.key in absent and _homeless(ctx, s)}
    later = {s.key for s in renamed} | {k for k in foreign if k.startswith(("link/", "netns/"))} | homeless
    beyond = stranded_by(steps, later) - {s.key for s in renamed}
    again = (absent | stranded) - foreign - beyond
    if not ended:
        beyond |= left_ended(steps, again, absent)
        again -= beyond
    todo = [s for s in steps if s.key in again]
    wiring = Wiring(ctx.kernel)
    for step in steps:
        if step.key in seen and step.key not in again | beyond:
            todo += _fixes(ctx, step, seen[step.key])
            if seen[step.key].drift and (fault := wiring.fault(step)) is not None and fault.do is not None:
                todo.append(replace(step, why=fault.why, do=fault.do, after=()))
    # A gateway is reached by the route of its subnet, which may be among what is put back.
    subnets = tuple(s.key for s in todo if isinstance(s.effect, AddrOn))
    todo = [replace(s, after=(*(s.after or ()), *subnets)) if isinstance(s.effect, RouteVia) else s for s in todo]
    restart = [r for r, s in observations if s is not None and s.state is State.OURS and r.step.key in again]
    return todo, restart


def _lost_peers(step: Step, seen: Mapping[str, Observation]) -> Iterator[str]:
    # The inner end of a cable has no step of its own: if it is gone, or has another name, the cable is made anew.
    if isinstance(step.effect, LinkUp) and step.effect.netns is not None and seen[step.key].found == "no such link":
        for key in step.after or ():
            if key.startswith("link/") and key in seen and seen[key].state is State.OURS:
                yield key


def _needs_first(steps: Sequence[Step]) -> list[Step]:
    # A chain before its rules, whatever the sort made of them.
    by_key = {s.key: s for s in steps}
    out: dict[str, Step] = {}

    def put(step: Step) -> None:
        if step.key in out:
            return
        for needed in step.after or ():
            if needed in by_key and needed != step.key:
                put(by_key[needed])
        out[step.key] = step

    for step in steps:
        put(step)
    return list(out.values())


def _master(ctx: Context, effect: LinkIs) -> str | None:
    if effect.master_index is None:
        return effect.master
    theirs = ctx.kernel.link_by_index(effect.master_index)
    return theirs.name if theirs is not None else None


def _homeless(ctx: Context, step: Step) -> bool:
    # Somebody else's bridge that it was a port of is gone, or has another name: a namesake is another bridge.
    effect = step.effect
    if not isinstance(effect, LinkIs) or effect.master_index is None:
        return False
    return _master(ctx, effect) != effect.master


def _fixes(ctx: Context, step: Step, observed: Observation) -> list[Step]:
    # What somebody changed about a link that is still ours.
    effect = step.effect
    if observed.drift and isinstance(effect, FileIs):
        return [step]
    if isinstance(effect, NftTable | PortFilter):
        return list(mended(ctx.kernel, step, observed))
    if not observed.drift or not isinstance(effect, LinkIs):
        return []
    if observed.renamed is not None:
        if ctx.kernel.link(effect.name, effect.netns) is not None:
            return []  # the name is somebody else's now
        # Before Linux 6.2 only a link that is down can be renamed.
        text = f"link set dev {observed.renamed} down\nlink set dev {observed.renamed} name {effect.name}\n"
        do = Command(("ip", "-batch", "-"), stdin=text, netns=effect.netns)
        return [replace(step, why=f"give {observed.renamed} its name {effect.name} back", do=do, after=())]
    wrong = [
        (w, str(v))
        for w, v in (("master", _master(ctx, effect)), ("mtu", effect.mtu))
        if v is not None and f"{w} " in observed.drift
    ]
    argv = ("ip", "link", "set", "dev", effect.name, *(word for pair in wrong for word in pair))
    why = f"give {effect.name} its {' and '.join(w for w, _ in wrong)} back"
    return [replace(step, why=why, do=Command(argv, netns=effect.netns), after=())] if wrong else []
