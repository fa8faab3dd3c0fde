"""What a mode makes, told apart: the sandbox itself, and the cable by which it is attached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nsctl.engine.kit.link import hardware_address_inside, inner_end
from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.effects import AddrOn, LinkIs, LinkSet, LinkUp, NetnsIs, RouteVia
from nsctl.engine.model.plan import Step
from nsctl.engine.planning.forecast import gateway_of, names_of, sandbox_of

__all__ = ["attachment_of"]


def attachment_of(sandbox: str, mode: str, options: Mapping[str, Any], steps: Sequence[Step]) -> Attachment | None:
    """
    The attachment that the steps of a mode make; None where they make no more than a namespace.

    It holds all of them but those of the sandbox itself: its network namespace, and what concerns `lo` in there.

    Args:
        sandbox: The sandbox.
        mode: The mode's name.
        options: The mode's options as plain data.
        steps: The mode's steps, in order.
    """
    interface = next((link for step in steps if (link := _inside(step, sandbox)) not in {None, "lo"}), None)
    if interface is None:
        return None
    whole = sandbox_of(sandbox, mode, options, (), steps)
    own = tuple(step.key for step in steps if not _is_of_the_sandbox(step, sandbox))
    return Attachment(
        sandbox=sandbox,
        interface=interface,
        mode=mode,
        options=dict(options),
        steps=own,
        addresses=whole.addresses,
        gateway=gateway_of(sandbox, steps),
        link=whole.network,
        network=names_of(steps).get(whole.network or "", whole.network),
        mac=next((mac for step in steps if (mac := hardware_address_inside(step)) is not None), None),
    )


def _is_of_the_sandbox(step: Step, sandbox: str) -> bool:
    effect = step.effect
    return (isinstance(effect, NetnsIs) and effect.name == sandbox) or _inside(step, sandbox) == "lo"


def _inside(step: Step, sandbox: str) -> str | None:
    """The link inside the sandbox that a step makes, or sets something on."""
    end = inner_end(step)
    if end is not None and end.netns == sandbox:
        return end.name
    effect = step.effect
    if isinstance(effect, LinkIs | LinkUp | LinkSet) and effect.netns == sandbox:
        return effect.name
    return effect.link if isinstance(effect, AddrOn | RouteVia) and effect.netns == sandbox else None
