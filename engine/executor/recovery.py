"""
After a kill: finish what a dead nsctl began.

Every mutating command does this first.
The lock is held, so nobody is at work: an open transaction belongs to a process that is dead.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from nsctl.engine.executor import confirm_timer
from nsctl.engine.executor.context import Context, boot_time, new_transaction_id
from nsctl.engine.executor.reading import pid_of
from nsctl.engine.executor.replaced import restore
from nsctl.engine.executor.undo import tear_down, undo_rows
from nsctl.engine.host.process import start_of
from nsctl.engine.model.effects import NetnsIs
from nsctl.engine.model.events import PlanFinished, PlanStarted
from nsctl.engine.planning.sharing import Sharing
from nsctl.engine.store import SandboxRow
from nsctl.engine.store.files import remove_tree

__all__ = ["clear_stale", "recover"]

_UNFINISHED = {"building": "rolled back: the nsctl that was making it died", "removing": "taken down completely"}


def recover(ctx: Context, *, thorough: bool = False, starts: bool = True) -> list[str]:
    """
    Roll back what a dead nsctl left; idempotent, and may be killed itself.

    Args:
        ctx: The context.
        thorough: Take down sandboxes whose init died, too.
        starts: Whether processes may be started: what has to be brought back is left to another command, if not.

    Returns:
        Lines that say what was done.
    """
    journal = ctx.journal
    opened = journal.transaction()
    rows = journal.sandboxes()
    if starts:
        _watch_again(ctx, rows.values())
    elif opened is not None and opened.restore:
        ctx.left = ["what a killed nsctl was replacing, and has to be brought back"]
        return []
    reasons = {name: reason for name, row in rows.items() if (reason := _reason(ctx, row, thorough=thorough))}
    for each in journal.attachments():
        if each.state != "up" and each.attachment.sandbox not in reasons:
            reasons[each.attachment.name] = _UNFINISHED[each.state]
    if opened is None and not reasons:
        return []
    # Their processes live in a namespace that is taken away.
    for name, target in Sharing(rows).dependents(reasons):
        reasons[name] = f"taken down, since it shared the network of {target}"
    ident = opened.id if opened else new_transaction_id()
    names = list(reasons)
    back: list[str] = []
    with ctx.undoing():
        ctx.emit_safely(PlanStarted(ident, "", "recover", "", tuple(r.step for r in journal.held_only_by(names))))
        undone = tear_down(ctx, names, ident) if names else undo_rows(ctx, journal.held_only_by([]), ident, "")
        left = undone.lines
        if opened is not None and opened.restore and not left:
            back, left = restore(ctx, opened.restore, ident)
        if not left:
            journal.finish()
        ctx.emit_safely(PlanFinished(ident, "", "recover", "left" if left else "done", tuple(left)))
    ctx.left = left
    ctx.warnings += [f"still left: {line}" for line in left]
    lines = [f"{name}: {reason}" for name, reason in reasons.items() if name not in back]
    return lines + [f"{name}: brought back, as it was before the nsctl that was replacing it died" for name in back]


def _watch_again(ctx: Context, rows: Iterable[SandboxRow]) -> None:
    # A watcher that was killed would leave its sandbox unconfirmed for ever.
    for row in rows:
        if row.state != "up" or row.confirm_by is None or confirm_timer.alive(ctx.journal.state_dir, row.name):
            continue
        left = row.confirm_by - boot_time()
        if left > 0:
            confirm_timer.start(ctx, row.name, left)
            ctx.warnings.append(f"what waits for the confirmation of '{row.name}' had ended, and was started again")


def _reason(ctx: Context, row: SandboxRow, *, thorough: bool) -> str:
    if row.state != "up":
        return _UNFINISHED[row.state]
    if row.owner is not None and start_of(row.owner[0]) != row.owner[1]:
        return "taken down: its `nsctl run` died"
    if row.confirm_by is not None and boot_time() >= row.confirm_by:
        return "taken down, since it was not confirmed in time"
    if thorough and row.init is not None and pid_of(ctx.journal, row) is None:
        return "taken down, since its init is gone"
    return ""


def clear_stale(ctx: Context) -> None:
    """
    After a reboot that /run survived, take away what lies about and would be in the way.

    The kernel's state is gone, so nothing is undone; only the plain files that stood for namespaces go, and nsctl's own
    directory of sandboxes.
    """
    if not ctx.journal.stale:
        return
    for row in ctx.journal.stale:
        if isinstance(row.step.effect, NetnsIs):
            path = f"/run/netns/{row.step.effect.name}"
            try:
                st = os.lstat(path)
                if stat.S_ISREG(st.st_mode) and st.st_size == 0 and st.st_dev == os.stat("/run").st_dev:
                    os.unlink(path)
            except OSError:
                pass
    remove_tree(ctx.journal.state_dir / "sandboxes")
    ctx.journal.stale = []
