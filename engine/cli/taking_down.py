"""`down`, once the command line is read. It does without typer: see `nsctl.engine.cli.plain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsctl.engine import app
from nsctl.engine.cli import out

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.app.requests import DownRequest, Execution

__all__ = ["nothing", "take_down"]


def take_down(context: AppContext, request: DownRequest, how: Execution) -> int:
    """Take sandboxes down, and say which are."""
    gone = app.down(context, request, how)
    for name in gone:
        out.done(f"{name} is down")
    if not gone:
        out.done(nothing(request))
    return 0


def nothing(request: DownRequest) -> str:
    """What is said where there was none to take down."""
    return "nothing is up" if request.source is None else "nothing is up that this file made"
