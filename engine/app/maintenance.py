"""`check`, `repair`, `recover` and `confirm`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nsctl.engine.app.context import no_sandbox
from nsctl.engine.app.ways_out import broken
from nsctl.engine.model.diagnostics import Diagnostic

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.executor import Drift
    from nsctl.engine.model.plan import Step
    from nsctl.engine.reach.model import Cause
    from nsctl.engine.reach.promise import Verdict
    from nsctl.engine.store import HalfDone

__all__ = ["Checked", "Recovered", "Repaired", "check", "confirm", "plan_repair", "recover", "repair"]


class Checked(NamedTuple):
    """
    What `check` found.

    Args:
        any_up: Whether there is a sandbox at all.
        drifts: What is not as it was made, and what is half done elsewhere.
        repairable: Whether `repair` has something to do.
        elsewhere: What a killed nsctl left half done in other state directories; the hint finishes it.
        verdicts: Of each sandbox that was promised a way out, whether it has it.
        notes: What else is worth knowing.
    """

    any_up: bool
    drifts: Sequence[Drift] = ()
    repairable: bool = False
    elsewhere: Sequence[Diagnostic] = ()
    verdicts: Mapping[str, Verdict] = {}
    notes: Sequence[str] = ()

    @property
    def blocked(self) -> dict[Cause, list[str]]:
        """The causes of missing ways out, each with the sandboxes that it affects."""
        return broken(self.verdicts)


def check(ctx: AppContext, names: Sequence[str] = ()) -> Checked:
    """
    Compare sandboxes with the kernel, and judge the ways out that they were promised.

    Args:
        ctx: The context.
        names: The sandboxes; without any, all of them, and what is half done in other state directories.

    Raises:
        Invalid: There is no such sandbox.
    """
    from nsctl.engine.executor.elsewhere import as_drift, half_done_elsewhere

    ctx.need_root()
    found = _checked(ctx, names)
    elsewhere = [] if names else half_done_elsewhere(ctx.state_dir)
    if not elsewhere:
        return found
    drifts = [*found.drifts, *map(as_drift, elsewhere)]
    return found._replace(drifts=drifts, elsewhere=_half_done(elsewhere))


def _checked(ctx: AppContext, names: Sequence[str]) -> Checked:
    with ctx.open_readonly() as session:
        if session is None:
            if names:
                raise no_sandbox(names[0], ())
            return Checked(any_up=False)
        from nsctl.engine.app.promises import resolver_notes
        from nsctl.engine.app.ways_out import lacking, no_further
        from nsctl.engine.executor.ways_out import ways_out

        drifts = session.check(names)
        notes = [f"with down, {line}" for line in session.guests(names)]
        verdicts = ways_out(session.ctx, names)
        notes += resolver_notes(session, verdicts)
        notes += map(no_further, lacking(verdicts))
        return Checked(bool(session.sandboxes()), drifts, bool(drifts), [], verdicts, notes)


class Repaired(NamedTuple):
    """
    What `repair` did.

    Args:
        steps: What was put back.
        left: What is not as it was made even so.
        blocked: What is to blame for ways out that are missing, each with the sandboxes that have none by it.
    """

    steps: list[Step]
    left: list[Drift]
    blocked: dict[Cause, list[str]]


def repair(ctx: AppContext, names: Sequence[str] = ()) -> Repaired:
    """
    Put back exactly what is missing; what others put in its place is left alone.

    Args:
        ctx: The context.
        names: The sandboxes; all, if none is named.

    Raises:
        Invalid: There is no such sandbox.
        StepFailed: A step failed; what was put back before it stays.
    """
    from nsctl.engine.executor.ways_out import ways_out

    with ctx.open_for_change("repair") as session:
        steps = session.repair(names)
        return Repaired(steps, session.check(names, again=bool(steps)), broken(ways_out(session.ctx, names)))


def plan_repair(ctx: AppContext, names: Sequence[str] = ()) -> list[Step]:
    """
    The steps that `repair` would do.

    Raises:
        Invalid: There is no such sandbox.
    """
    ctx.need_root()
    with ctx.open_readonly() as session:
        if session is None and names:
            raise no_sandbox(names[0], ())
        return [] if session is None else session.repair(names, dry_run=True)


class Recovered(NamedTuple):
    """
    What `recover` did.

    Args:
        lines: What was finished or taken down, and what a scan found, a line each.
        elsewhere: What a killed nsctl left half done in other state directories; the hint finishes it.
    """

    lines: list[str]
    elsewhere: Sequence[Diagnostic]


def recover(ctx: AppContext, *, scan: bool = False, remove: bool = False) -> Recovered:
    """
    Finish what a killed nsctl left half done, and take down sandboxes whose init died.

    Args:
        ctx: The context.
        scan: Also look for what nsctl made and no store of this host knows.
        remove: Remove what the scan finds.

    Raises:
        RollbackFailed: Something is still left.
    """
    with ctx.open_for_change("recover") as session:
        lines = session.recover(scan_host=scan, yes=remove)
        return Recovered(lines, _half_done(session.half_done_elsewhere()))


def confirm(ctx: AppContext, name: str) -> bool:
    """
    Keep a sandbox that was made to be confirmed.

    Returns:
        Whether it was waiting for that.

    Raises:
        Invalid: There is no such sandbox.
    """
    with ctx.open_for_change("confirm") as session:
        return session.confirm(name)


def _half_done(found: Iterable[HalfDone]) -> list[Diagnostic]:
    from nsctl.engine.executor.elsewhere import told

    return [Diagnostic("warning", told(one), one.command) for one in found]
