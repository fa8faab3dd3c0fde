"""
Progress on a terminal, on stderr: a bar, once a change takes noticeable time.

rich is imported only then.
Nothing that happens here stops a change: a terminal that went away is a display less.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

from nsctl.engine.model.events import Event, PlanFinished, PlanStarted, StepStarted
from nsctl.engine.model.names import display
from nsctl.hooks.spec import hookimpl

__all__ = ["Progress", "wanted"]

PATIENCE = 0.7
"""Seconds before a bar appears."""
REFRESH = 0.1
"""Seconds between two drawings."""


def wanted(stream: TextIO | None = None) -> bool:
    """Whether stderr is a terminal that can redraw a line."""
    stream = stream or sys.stderr
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except (OSError, ValueError):
        return False


class Progress:
    """
    The observer that draws.

    Args:
        patience: Seconds before a bar appears.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._since = 0.0
        self._drawn = 0.0
        self._bar: Any = None
        self._task: Any = None

    @hookimpl
    def nsctl_event(self, event: Event) -> None:
        """Draw, if it is time to."""
        now = time.monotonic()
        with suppress(OSError, ValueError):
            if isinstance(event, PlanStarted):
                self._since = now
            elif isinstance(event, StepStarted):
                if now - self._since >= self._patience and now - self._drawn >= REFRESH:
                    self._drawn = now
                    self._draw(event)
            elif isinstance(event, PlanFinished):
                self.close()

    def close(self) -> None:
        """Take the bar away."""
        bar, self._bar = self._bar, None
        if bar is not None:
            with suppress(OSError, ValueError):
                bar.stop()

    def _draw(self, event: StepStarted) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            class Quiet(Console):
                def on_broken_pipe(self) -> None:
                    """Go on without a display, where rich would end the process in the middle of a change."""
                    raise BrokenPipeError

            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                # Markup off: what stands in brackets in a name is no instruction.
                TextColumn("{task.description}", markup=False),
                console=Quiet(stderr=True),
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=event.total)
        done = max(event.position - 1, 0)
        self._bar.update(self._task, completed=done, total=event.total, description=display(event.step.why))
        self._bar.refresh()
