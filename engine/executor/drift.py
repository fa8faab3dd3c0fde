"""What is not as it was made: every effect against the kernel, and what no effect tells of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nsctl.engine.executor import confirm_timer, decide
from nsctl.engine.executor.chains import OwnRules
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.jumps import Jumps
from nsctl.engine.executor.late_zones import late_zones
from nsctl.engine.executor.own_files import stale
from nsctl.engine.executor.wiring import Wiring
from nsctl.engine.model.effects import ChainIs, RuleTagged, State
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.progress import DONE
from nsctl.engine.store import SandboxRow, StepRow

__all__ = ["Drift", "check", "chosen", "observations"]


class Drift(Struct, frozen=True):
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


def check(ctx: Context, names: Sequence[str], *, again: bool = True) -> list[Drift]:
    """
    Compare every effect with the kernel.

    What lives in something that is missing is not listed beside it.

    Args:
        ctx: The context.
        names: The sandboxes; all, if empty.
        again: Look again, even if a repair of the same has just looked and found nothing to do.
    """
    rows = ctx.journal.steps(*names)
    seen = None if again else ctx.looked
    if seen is None or len(seen) != len(rows):
        seen = observations(ctx, rows)
    under_way = ctx.journal.transaction() is not None
    drifts = [
        Drift(step.key, step.why, reason, tuple(ctx.journal.holders(step.key)), state)
        for step, _, reason, _, state in decide.check(seen, under_way=under_way)
    ]
    known = {drift.key for drift in drifts}
    files = []
    for one in stale(ctx, chosen(ctx, names)):
        key = one.row.step.key
        if key not in known:
            files.append(Drift(key, f"its own /etc/{one.name}", one.found, tuple(ctx.journal.holders(key)), "changed"))
    late = [
        Drift(one.step.key, one.step.why, "firewalld runs by now, and has it in no zone", one.sandboxes, "absent")
        for one in late_zones(ctx, rows)
    ]
    return [*drifts, *files, *_in_own_chains(ctx, rows), *late, *_unwatched(ctx, names)]


def chosen(ctx: Context, names: Sequence[str]) -> dict[str, SandboxRow]:
    """The sandboxes that are named; all, if none is."""
    return {name: row for name, row in ctx.journal.sandboxes().items() if not names or name in names}


def _in_own_chains(ctx: Context, rows: Sequence[StepRow]) -> Iterator[Drift]:
    own, jumps = OwnRules(ctx, (row.step for row in rows)), Jumps(ctx)
    for row in rows:
        step, backend = row.step, row.tools.get("iptables", "")
        if not isinstance(step.effect, ChainIs | RuleTagged):
            continue
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


def observations(ctx: Context, rows: Sequence[StepRow]) -> list[tuple[StepRow, Observation | None]]:
    """Each step with what is found of its effect, read anew; None where there is nothing to miss."""
    ctx.kernel.forget()
    ctx.kernel.read(row.step.effect for row in rows)
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
