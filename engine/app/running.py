"""`run`: a sandbox that lives as long as one command, which the caller executes with the terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from nsctl.engine.app import make
from nsctl.engine.app.entering import entry_of, masks_for

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.app.entering import Caller, Entry
    from nsctl.engine.app.requests import Execution, UpRequest
    from nsctl.engine.executor import Session
    from nsctl.engine.store import SandboxRow
    from nsctl.hooks.manager import Plugins

__all__ = ["Running", "running"]


class Running(NamedTuple):
    """
    A sandbox that was made for one command.

    Args:
        entry: The command, ready to be executed; None if a signal came before.
        caught: That signal.
        mask: The signals to be blocked in the command; in this process all of the command's are.
    """

    entry: Entry | None
    caught: int | None
    mask: frozenset[int]


@contextmanager
def running(
    ctx: AppContext,
    request: UpRequest,
    plugins: Plugins,
    command: tuple[str, ...],
    caller: Caller,
    how: Execution | None = None,
    *,
    signals: Callable[[], Collection[signal.Signals]] = tuple,
) -> Iterator[Running]:
    """
    Make a sandbox for one command, and take it down afterwards, whatever happens.

    Inside of the context the command's signals are blocked: whoever executes it passes them on.

    Args:
        ctx: The context.
        request: The sandbox; it has no workload of its own.
        plugins: The plugins that were loaded: each may veto the plan, and hears of every step.
        command: The command.
        caller: Who runs it.
        how: How steps are carried out.
        signals: Returns those that are the command's.

    Raises:
        Conflict: One of that name is up.
        Refused: Nothing was changed.
        StepFailed, Interrupted: Everything was undone.
        RollbackFailed: Something is left, for `recover`.
    """
    from nsctl.engine.runner.workers import STOPPING

    with ctx.open_for_change("run", plugins, how) as session:
        row = _started(ctx, session, request, plugins)
        pid = session.pid(row)
        masks = masks_for(session, row, pid)
        # From here on a signal is the command's; one that came a moment ago is noted in the session.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals()) - STOPPING  # which only the session blocks
        caught = session.ctx.signals.caught
        session.ctx.signals.stay = False
    try:
        try:
            ctx.record("exec_started", row.name, argv=command)
            entry = entry_of(row, pid, command, masks, caller) if caught is None else None
            yield Running(entry, caught, frozenset(before))
        finally:
            with ctx.open_for_change("run", plugins, how) as session:
                there = session.sandboxes().get(row.name)
                # By now another sandbox may bear the name.
                if there is not None and (there.owner, there.created_boot) == (row.owner, row.created_boot):
                    session.down([row.name], force=True)
    finally:
        # What came while the sandbox was taken down finds nothing left to end.
        while signal.sigpending() & set(signals()):
            signal.sigtimedwait(signals(), 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _started(ctx: AppContext, session: Session, request: UpRequest, plugins: Plugins) -> SandboxRow:
    from nsctl.engine.app.existing import ended_names
    from nsctl.engine.app.promises import broken_promises
    from nsctl.engine.model.errors import Conflict

    name = request.request.name
    ended = ended_names(ctx, session, name) if request.named else []
    if request.named and name in session.sandboxes() and not ended:
        raise Conflict(f"'{name}' is up already", hint="use another --name, or leave it out")
    plan, row = make(ctx, session, request, plugins, ended, ephemeral=True)
    for diagnostic in broken_promises(session, [plan]):
        ctx.report(diagnostic)
    return row
