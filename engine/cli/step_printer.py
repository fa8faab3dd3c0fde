"""The observer behind `-v`: every step, as it ends, on stderr."""

from __future__ import annotations

from nsctl.engine.cli import out
from nsctl.engine.model.events import Event, StepDone, StepFailed, StepUndone
from nsctl.engine.planning.render import shell_of
from nsctl.hooks.spec import hookimpl

__all__ = ["StepPrinter"]


class StepPrinter:
    """Tells what was done, command by command."""

    @hookimpl
    def nsctl_event(self, event: Event) -> None:
        """Tell."""
        match event:
            case StepDone():
                out.note(f"{'in place already' if event.skipped else 'done'}: {shell_of(event.step.do)}")
            case StepFailed():
                out.note(f"failed: {shell_of(event.step.do)}: {event.reason}")
            case StepUndone() if not event.step.is_claim:
                commands = "; ".join(shell_of(c) for c in event.step.undo) or f"with {event.step.removed_with}"
                out.note(f"{event.error or event.skipped or 'undone'}: {event.step.key}: {commands}")
            case _:
                pass
