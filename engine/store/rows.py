"""What is kept."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.plan import Step
from nsctl.engine.model.progress import DONE, INTENT, STARTED
from nsctl.engine.store.sandboxes import SandboxRow

__all__ = ["DONE", "INTENT", "STARTED", "AttachmentRow", "SandboxRow", "StepRow", "Transaction"]


class AttachmentRow(Struct, frozen=True):
    """
    An attachment.

    Args:
        attachment: What it is.
        state: `building`, `up` or `removing`.
    """

    attachment: Attachment
    state: str


class StepRow(Struct):
    """
    A step in the journal.

    Args:
        seq: The order of application.
        step: The step, as it was applied: its undo is the one that counts.
        state: INTENT, STARTED or DONE.
        identity: What tells the result from a look-alike, recorded right after the step ran.
        tools: Which file each tool's name stood for (an undo uses the same iptables back end).
    """

    seq: int
    step: Step
    state: str = INTENT
    identity: dict[str, int] | None = None
    tools: dict[str, str] = {}


class Transaction(Struct):
    """
    What is under way; there is at most one, since the lock is exclusive.

    Args:
        restore: Plans of sandboxes that this transaction takes down and a rollback has to bring back.
    """

    id: str
    operation: str
    restore: list[dict[str, Any]] = []
