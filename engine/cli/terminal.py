"""The context of a command at a terminal: diagnostics are printed, and -v and the progress display watch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from nsctl.engine.app.context import AppContext
from nsctl.engine.cli import out

__all__ = ["terminal_context"]


def terminal_context(words: Sequence[str] = ()) -> AppContext:
    """
    The context of a command.

    Args:
        words: The command line, for hints.

    Raises:
        Invalid: A variable names a place that can't be one.
    """
    return AppContext.from_environment(
        os.environ, report=out.diagnostic, observers=_observers, words=words, ends_process=True
    )


def _observers() -> dict[str, Any]:
    from nsctl.hooks.progress import Progress, wanted

    observers: dict[str, Any] = {}
    if wanted():
        observers["nsctl:progress"] = Progress()
    if out.verbose:
        from nsctl.engine.cli.step_printer import StepPrinter

        observers["nsctl:verbose"] = StepPrinter()
    return observers
