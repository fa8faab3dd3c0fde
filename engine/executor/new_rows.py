"""The rows of sandboxes and attachments that plans make."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from msgspec import to_builtins

from nsctl.engine.executor.context import Context, boot_time
from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.commands import Spawn
from nsctl.engine.model.effects import NetnsIs, ProcessIs
from nsctl.engine.model.plan import Plan
from nsctl.engine.store import SandboxRow
from nsctl.engine.store.sandboxes import cable_of, with_shared

__all__ = ["attached", "new_row", "tell_sharers"]


def new_row(plan: Plan, *, owner: tuple[int, int] | None, confirm_by: float | None, source: str) -> SandboxRow:
    """The row of a sandbox that a plan makes now."""
    init = next((s for s in reversed(plan.steps) if isinstance(s.do, Spawn) and isinstance(s.effect, ProcessIs)), None)
    return SandboxRow(
        name=plan.name,
        mode=plan.mode,
        options=plan.options,
        isolate=plan.isolate,
        command=plan.command,
        settings=plan.settings,
        netns=any(isinstance(s.effect, NetnsIs) and s.effect.name == plan.name for s in plan.steps),
        shares=next((s.effect.source for s in plan.steps if isinstance(s.effect, NetnsIs) and s.effect.source), None),
        init=None if init is None else init.key,
        log=init.do.log if init is not None and isinstance(init.do, Spawn) else None,
        # Whoever joins its init is within its bounds; where a mode has only processes of its own, there are none.
        bounds=init is not None and init.key == f"init/{plan.name}" and init.argv[:2] == ("unshare", "--mount"),
        attachments=tuple(cable_of(to_builtins(attachment)) for attachment in plan.attachments),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        created_boot=boot_time(),
        owner=owner,
        confirm_by=confirm_by,
        source=source,
    )


def attached(plans: Iterable[Plan]) -> list[Attachment]:
    """The attachments that plans make."""
    return [attachment for plan in plans for attachment in plan.attachments]


def tell_sharers(ctx: Context, rows: Sequence[SandboxRow]) -> None:
    """Give those who share a network its attachments, for display."""
    if any(row.shares is not None for row in rows):
        with_shared(rows, {**ctx.journal.sandboxes(), **{row.name: row for row in rows}})
