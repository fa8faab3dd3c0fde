"""What a mode makes, told apart: the sandbox itself, and the cable by which it is attached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nsctl.engine.kit.link import hardware_address_inside, inner_end
from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.effects import AddrOn, LinkIs, LinkSet, LinkUp, NetnsIs, RouteVia
from nsctl.engine.model.plan import Step
from nsctl.engine.planning.forecast import gateway_of, names_of, networks_of, sandbox_of

__all__ = ["attachment_of"]

_ON_NAME = (LinkIs, LinkUp, LinkSet)
_ON_LINK = (AddrOn, RouteVia)
"""Effects on a link, by the field that names it."""


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
    inside = [_inside(step, sandbox) for step in steps]
    interface = next((link for link in inside if link not in {None, "lo"}), None)
    if interface is None:
        return None
    names = names_of(steps)
    whole = sandbox_of(sandbox, mode, options, (), steps)
    own = tuple(
        step.key
        for step, link in zip(steps, inside, strict=True)
        if link != "lo" and not (isinstance(step.effect, NetnsIs) and step.effect.name == sandbox)
    )
    return Attachment(
        sandbox=sandbox,
        interface=interface,
        mode=mode,
        options=dict(options),
        steps=own,
        addresses=whole.addresses,
        gateway=gateway_of(sandbox, steps),
        link=whole.network,
        network=names.get(whole.network or "", whole.network),
        mac=next((mac for step in steps if (mac := hardware_address_inside(step)) is not None), None),
        networks={link: str(address) for link, address in networks_of(steps).items()},
        names=names,
        joined=next(
            (e.master for s in steps if isinstance(e := s.effect, LinkIs) and e.master_index is not None), None
        ),
    )


def _inside(step: Step, sandbox: str) -> str | None:
    """The link inside the sandbox that a step makes, or sets something on."""
    effect = step.effect
    end = inner_end(step)
    if end is not None and end.netns == sandbox:
        return end.name
    if isinstance(effect, _ON_NAME):
        return effect.name if effect.netns == sandbox else None
    return effect.link if isinstance(effect, _ON_LINK) and effect.netns == sandbox else None
