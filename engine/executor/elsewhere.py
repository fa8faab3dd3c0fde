"""
What a killed nsctl left half done in another state directory of this host.

Only an nsctl that is pointed to that directory can finish it, so it is named, with the command that does.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from nsctl.engine.executor.drift import Drift
from nsctl.engine.model.errors import Conflict, NsctlError
from nsctl.engine.store import HalfDone, Others
from nsctl.engine.store.files import HOST_DIR
from nsctl.engine.store.lock import nobody_at_work

__all__ = ["as_drift", "half_done_elsewhere", "named", "told"]


def half_done_elsewhere(state_dir: Path) -> list[HalfDone]:
    """
    What is half done in the other stores, for who does not hold the lock; nothing while an nsctl is at work.

    Args:
        state_dir: The directory of the store that asks.
    """
    others = Others(HOST_DIR, state_dir)
    if not others.places():
        return []
    with nobody_at_work(HOST_DIR / "lock") as over:
        return others.half_done() if over else []


def told(one: HalfDone) -> str:
    """It, in a line."""
    what = " ".join(filter(None, (one.operation, ", ".join(one.names))))
    return f"an nsctl that was killed left {what or 'its work'} half done in the state directory {one.store}"


def as_drift(one: HalfDone) -> Drift:
    """It, as something that `check` found."""
    return Drift(f"store/{one.store}", "nothing half done", told(one), one.names, "changed")


def named(conflict: Conflict, state_dir: Path) -> Conflict:
    """
    A conflict, with what to do about it if a store with half-done work holds what is in the way.

    Args:
        conflict: It; what is in the way stands in its message.
        state_dir: The directory of the store that asks.
    """
    with suppress(NsctlError, OSError):  # the conflict is what has to be told
        for one in half_done_elsewhere(state_dir):
            if any(re.search(rf"(?<![\w.-]){re.escape(thing)}(?![\w-])", conflict.message) for thing in one.things):
                conflict.hint = f"{told(one)}; finish it: {one.command}"
    return conflict
