"""What happens while a plan is carried out, for those who watch: the audit trail, the progress display, plugins."""

from __future__ import annotations

from msgspec import Struct

from nsctl.engine.model.plan import Step

__all__ = ["Event", "PlanFinished", "PlanStarted", "StepDone", "StepFailed", "StepStarted", "StepUndone"]


class Event(Struct, frozen=True):
    """
    The common part.

    Args:
        transaction: The transaction's identifier.
        sandbox: The sandbox's name; empty where several are changed at once and the event is of all.
    """

    transaction: str
    sandbox: str


class PlanStarted(Event, frozen=True):
    """
    The steps are in the journal; nothing has run.

    An observer that raises here stops the change before it starts: so does the audit trail when it can't be written.

    Args:
        operation: `up`, `down`, `run`, `apply`, `recover`, `repair`, `watch`, `systemd install` or `systemd uninstall`.
        mode: The mode, where there is one.
        steps: The steps that will be done (or undone, for `down`).
    """

    operation: str
    mode: str
    steps: tuple[Step, ...]


class StepStarted(Event, frozen=True):
    """A step is about to run, for the progress display."""

    step: Step
    position: int
    total: int


class StepDone(Event, frozen=True):
    """
    A step is done, or was in place already.

    Args:
        step: The step.
        skipped: Why nothing was run, or empty.
        executable: The file that was run; empty where the change was written in-process.
        duration: Seconds; of the whole fused run where steps were fused.
        stdout: What it printed.
        stderr: What it complained of.
    """

    step: Step
    skipped: str = ""
    executable: str = ""
    duration: float = 0.0
    stdout: str = ""
    stderr: str = ""


class StepFailed(Event, frozen=True):
    """
    A step failed.

    Args:
        step: The step.
        status: Its exit status; -n when signal n ended it.
        reason: What the tool said, or why nsctl stopped it.
    """

    step: Step
    status: int
    reason: str
    executable: str = ""
    duration: float = 0.0


class StepUndone(Event, frozen=True):
    """
    A step's result is gone, or its undo failed.

    Args:
        step: The step.
        skipped: Why nothing was run, or empty.
        error: Why the undo failed, or empty.
    """

    step: Step
    skipped: str = ""
    error: str = ""
    executable: str = ""
    duration: float = 0.0


class PlanFinished(Event, frozen=True):
    """
    The end.

    Args:
        operation: As in `PlanStarted`.
        outcome: `done`, `undone` (rolled back), or `left` (an undo failed).
        left: The keys of steps that could not be undone.
    """

    operation: str
    outcome: str
    left: tuple[str, ...] = ()
