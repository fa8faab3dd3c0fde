"""The rows of sandboxes and attachments that plans make."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from nsctl.engine.executor.context import Context, boot_time
from nsctl.engine.executor.inventory import info_of
from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.plan import Plan
from nsctl.engine.store import SandboxRow

__all__ = ["attached", "new_row", "tell_sharers"]


def new_row(plan: Plan, *, owner: tuple[int, int] | None, confirm_by: float | None, source: str) -> SandboxRow:
    """The row of a sandbox that a plan makes now."""
    return SandboxRow(
        name=plan.name,
        mode=plan.mode,
        options=plan.options,
        isolate=plan.isolate,
        command=plan.command,
        settings=plan.settings,
        info=info_of(plan),
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
    """Give those who share a network its addresses, for display."""
    sharing = [row for row in rows if "shares" in row.info]
    if not sharing:
        return
    known = {**ctx.journal.sandboxes(), **{row.name: row for row in rows}}
    for row in sharing:
        target = known.get(row.info["shares"])
        if target is not None:
            row.info |= {key: target.info.get(key) for key in ("addresses", "network", "link", "gateway")}
