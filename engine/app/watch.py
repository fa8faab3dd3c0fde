"""For the watcher: its directories, and a look that puts back what is missing, but for processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nsctl.engine.model.errors import RollbackFailed

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.host.changes import Interest

__all__ = ["Look", "look", "prepare"]

_ROUNDS = 3
"""Looks in a row that found something missing; then somebody takes it away as fast as it is put back."""


@dataclass
class Look:
    """
    What a look has come to, as far as it got.

    Args:
        begun: Whether it has looked at all.
        restored: What was put back: the steps' keys, and what they are for.
        restless: Whether something was still missing at the end.
        interest: What the watcher has to wait for; None if the look failed.
    """

    begun: bool = False
    restored: dict[str, str] = field(default_factory=dict)
    restless: bool = False
    interest: Interest | None = None


def prepare(ctx: AppContext) -> None:
    """
    Make the directories that a watcher follows.

    Raises:
        Refused: The process is not root's, or they can't be made.
    """
    from nsctl.engine.store.files import HOST_DIR, ensure_private_dir

    ctx.need_root()
    ensure_private_dir(HOST_DIR)
    ensure_private_dir(ctx.state_dir)


def look(ctx: AppContext, came: Look, about_to_look: Callable[[], None], settled: Callable[[], None]) -> None:
    """
    Look, and put back what is missing.

    Args:
        ctx: The context.
        came: Is filled in on the way, since a look that fails has come to something, too.
        about_to_look: Is called before each look.
        settled: Is called at the end, while no other nsctl can be at work.

    Raises:
        RollbackFailed: Something of what a killed nsctl left could not be undone.
        NsctlError: It failed otherwise.
    """
    from nsctl.engine.executor.interest import interest_of

    with ctx.open_for_change("watch") as session:
        if session.ctx.left:
            came.begun = True
            raise RollbackFailed(f"still left over: {session.ctx.left[0]}", hint="finish it: nsctl recover")
        for left in reversed(range(_ROUNDS)):
            about_to_look()
            came.begun = True
            steps = session.repair(ended=False)
            came.restored |= {step.key: step.why for step in steps}
            if not steps or session.caught is not None:
                break
            came.restless = left == 0
        came.interest = interest_of(session.ctx)
        settled()
