"""
Drift: every effect against the kernel, and making again what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nsctl.engine.effect import Effect, LinkIs, NetnsIs, RuleTagged, State
from nsctl.engine.errors import Interrupted, NsctlError, StepFailed
from nsctl.engine.events import PlanFinished, PlanStarted
from nsctl.engine.executor.backward import undo_rows
from nsctl.engine.executor.context import Context, new_transaction_id
from nsctl.engine.executor.forward import apply
from nsctl.engine.plan import Command, Step
from nsctl.engine.probe.observe import Seen, mark_of, observe
from nsctl.engine.store import StepRow
from nsctl.engine.store.rows import DONE

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.values import dataclass

__all__ = ["Drift", "check", "repair"]


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
    for row, sight in _sights(ctx, names):
        key = row.step.key
        if row.state != DONE and under_way:
            found, state = "a transaction that never ended", "absent"
        elif sight is None or (sight.state is State.OURS and not sight.drift):
            continue
        elif sight.state is State.OURS:
            found, state = sight.drift, "changed"
        else:
            found, state = sight.found, sight.state.value
        if state == "absent":
            missing.add(key)
            if row.step.goes_with in missing:
                continue
        drifts.append(Drift(key, row.step.why, found, tuple(ctx.journal.holders(key)), state))
    return drifts


def _sights(ctx: Context, names: Sequence[str]) -> list[tuple[StepRow, Seen | None]]:
    rows: dict[str, StepRow] = {}
    for name in names:
        rows |= {r.step.key: r for r in ctx.journal.steps(name)}
    if not names:
        rows = {r.step.key: r for r in ctx.journal.steps()}
    ctx.kernel.forget()
    ctx.kernel.expect_links(len(rows))
    ordered = sorted(rows.values(), key=lambda r: r.seq)
    return [(r, _sight(ctx, r, r.step.effect) if r.step.effect is not None else None) for r in ordered]


def _sight(ctx: Context, row: StepRow, effect: Effect) -> Seen:
    # A repair that was killed leaves steps that nobody knows to have run.
    return observe(effect, ctx.kernel, row.mark, in_flight=row.state != DONE and row.mark is None)


def _settle(ctx: Context, sights: Iterable[tuple[StepRow, Seen | None]]) -> None:
    # What a killed repair put in place is done.
    ctx.journal.done(
        (r.step.key, mark_of(r.step.effect, ctx.kernel), ctx.tools(r.step.do.argv[0]))
        for r, s in sights
        if r.state != DONE and r.step.effect is not None and s is not None and s.state is State.OURS
    )


def repair(ctx: Context, names: Sequence[str], *, dry_run: bool) -> list[Step]:
    """
    Make again exactly what is missing, packet filters first, so that isolation never weakens.

    A stranger's thing is never overwritten.
    A sandbox whose network namespace is gone is restarted: its processes and its end of the cable live in one that
    nobody can reach by name any more.
    """
    ctx.journal.lenient = ctx.signals.deaf = False  # whatever was undone before in this session
    sights = _sights(ctx, names)
    if not dry_run:
        _settle(ctx, sights)
    absent = {r.step.key for r, s in sights if s is not None and s.state is State.ABSENT}
    lost = {r.step.key for r, _ in sights if r.step.key in absent and isinstance(r.step.effect, NetnsIs)}
    stranded = _stranded([r.step for r, _ in sights], lost)
    restart = [r for r, s in sights if s is not None and s.state is State.OURS and r.step.key in stranded]
    again = absent | stranded - {r.step.key for r, s in sights if s is not None and s.state is State.FOREIGN}
    todo = [r.step for r, _ in sights if r.step.key in again]
    todo += [fix for r, s in sights if s is not None and r.step.key not in again for fix in _fixes(r.step, s)]
    todo.sort(key=lambda s: not isinstance(s.effect, RuleTagged) or s.effect.table != "filter")
    todo = _needs_first(todo)
    if dry_run or not todo:
        return todo
    ident = new_transaction_id()
    ctx.emit(PlanStarted(ident, names[0] if len(names) == 1 else "", "repair", "", tuple(todo)))
    try:
        if restart:
            undone = undo_rows(ctx, list(reversed(restart)), ident, "", record=False)
            if undone.left:
                raise StepFailed(f"{undone.left[0][0].step.key} can't be undone: {undone.left[0][1]}")
        apply(ctx, todo, ident, "")
    except NsctlError as e:
        ctx.tell(PlanFinished(ident, "", "repair", "left"))
        if isinstance(e, Interrupted):
            raise
        raise StepFailed(f"{e.message} (what was mended before it stays)", hint="see: nsctl check") from e
    ctx.tell(PlanFinished(ident, "", "repair", "done"))
    return todo


def _stranded(steps: Iterable[Step], lost: Iterable[str]) -> set[str]:
    # What was made in a lost namespace, or after something that was: a cable is, and what was set on its end here.
    stranded = set(lost)
    for step in steps:
        if f"netns/{step.do.netns}" in stranded or stranded.intersection((*(step.after or ()), step.goes_with)):
            stranded.add(step.key)
    return stranded


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


def _fixes(step: Step, sight: Seen) -> list[Step]:
    # What somebody changed about a link that is still ours.
    effect = step.effect
    if not sight.drift or not isinstance(effect, LinkIs) or sight.renamed is not None:
        return []
    wrong = [
        (w, str(v))
        for w, v in (("master", effect.master), ("mtu", effect.mtu))
        if v is not None and f"{w} " in sight.drift
    ]
    if not wrong:
        return []
    argv = ("ip", "link", "set", "dev", effect.name, *(word for pair in wrong for word in pair))
    why = f"give {effect.name} its {' and '.join(w for w, _ in wrong)} back"
    return [replace(step, why=why, do=Command(argv, netns=effect.netns), after=())]
