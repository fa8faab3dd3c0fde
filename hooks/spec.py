"""
The hooks: everything that a plugin may do.

A plugin is a module named by an entry point in group `nsctl`; it implements what it wants of these, marked `@hookimpl`.
It is given frozen values, never the engine's own objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from nsctl.engine.model.events import Event
    from nsctl.engine.model.mode import Mode
    from nsctl.engine.model.plan import Plan

__all__ = ["hookimpl", "nsctl_event", "nsctl_modes", "nsctl_review"]

hookspec = HookspecMarker("nsctl")
hookimpl = HookimplMarker("nsctl")


@hookspec
def nsctl_modes() -> list[Mode]:  # type: ignore[empty-body]  # a specification has no body
    """The modes that this plugin brings."""


@hookspec
def nsctl_review(plan: Plan) -> str | None:
    """
    Look at a plan before anything is changed, and say why it must not be carried out.

    The first reason stops it: nsctl exits 2 and shows the reason with the plugin's name.
    So does a review that raises.

    Args:
        plan: The plan.

    Returns:
        The reason, in one line; None lets the plan pass.
    """


@hookspec
def nsctl_event(event: Event) -> None:
    """
    Observe what happens.

    Raising on `PlanStarted` stops the change before it starts.
    Raising later is a warning, and the plugin hears no more.
    While sandboxes are taken down no plugin is loaded (a broken one must not be in the way): it is told afterwards.

    Args:
        event: The event, see `nsctl.engine.model.events`.
    """
