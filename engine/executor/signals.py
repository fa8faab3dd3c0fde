"""
Signals are held until the step ends, then everything is rolled back.

Steps run in sessions of their own, so ^C at a terminal reaches only nsctl.
A second signal does not abort the rollback; a vanished terminal or a closed pipe never does.
They may stay held to the end of the process: once it is settled what came of a command, no signal says otherwise.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from nsctl.engine.runner.workers import STOPPING

__all__ = ["HeldSignals"]

_HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DROPPED = (signal.SIGQUIT, signal.SIGTSTP)
"""Handled by doing nothing: commands and workloads would inherit it if they were ignored."""
_IGNORED = (signal.SIGPIPE,)
"""Handling it would only make the write that brought it be tried again, for ever. Popen gives commands its default."""


class HeldSignals:
    """
    A context in which INT, TERM and HUP are only noted.

    Args:
        stay: They are held beyond the end of the context, too.
    """

    def __init__(self, *, stay: bool = False) -> None:
        self.caught: int | None = None
        self.stay = stay
        self.ignored = False
        """Set by `Context.undoing` alone: a second signal must not stop what undoes the first one's work."""
        self._at_once = False
        self._before: dict[int, Any] = {}
        self._blocked: frozenset[int] = frozenset()

    def __enter__(self) -> Self:
        for signum in _HELD:
            # HUP ignored from the start is nohup's: leave it.
            if signal.getsignal(signum) is not signal.SIG_IGN or signum == signal.SIGINT:
                self._before[signum] = signal.signal(signum, self._note)
        for signum in _DROPPED:
            self._before[signum] = signal.signal(signum, _drop)
        for signum in _IGNORED:
            self._before[signum] = signal.signal(signum, signal.SIG_IGN)
        # As good as ignored, for the main thread, which alone writes to terminals.
        self._blocked = STOPPING - signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        return self

    def __exit__(self, *exc: object) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._blocked)
        if self.stay:
            return
        for signum, handler in self._before.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)

    def pending(self) -> bool:
        """Whether a signal came that something should stop for."""
        return self.caught is not None and not self.ignored

    @contextmanager
    def at_once(self, *, afresh: bool = False) -> Iterator[None]:
        """
        A context in which a signal is not held, but raises KeyboardInterrupt: there is nothing to be undone.

        Args:
            afresh: One that came before does not count.
        """
        lost = []  # raised where nothing can be raised: in a `__del__`

        def hook(unraisable: Any) -> None:
            if issubclass(unraisable.exc_type, KeyboardInterrupt):
                lost.append(unraisable.exc_type)
            else:
                before(unraisable)

        before, sys.unraisablehook = sys.unraisablehook, hook
        self._at_once = True
        try:
            if self.caught is not None and not afresh:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False
            sys.unraisablehook = before
        if lost:
            raise KeyboardInterrupt

    def _note(self, signum: int, _: FrameType | None) -> None:
        if self.caught is None:
            self.caught = signum
        if self._at_once:
            raise KeyboardInterrupt


def _drop(_: int, __: FrameType | None) -> None:
    return
