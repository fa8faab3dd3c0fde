"""firewalld that was started when networks were up already: then no step has put their bridges into a zone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from nsctl.engine.executor.context import Context
from nsctl.engine.kit.firewall import FORWARD
from nsctl.engine.kit.zones import FIREWALLD, zone
from nsctl.engine.model.attachment import sandbox_of
from nsctl.engine.model.effects import LinkIs, RuleTagged
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.facts import Facts, Firewall
from nsctl.engine.model.names import rule_tag
from nsctl.engine.model.plan import Step
from nsctl.engine.store import StepRow

__all__ = ["LateZone", "hold", "late_zones"]


class LateZone(NamedTuple):
    """
    A step that is missing.

    Args:
        step: The step.
        holders: The sandboxes and attachments that need it.
    """

    step: Step
    holders: tuple[str, ...]

    @property
    def sandboxes(self) -> tuple[str, ...]:
        """The sandboxes that need it, themselves or by an attachment."""
        return tuple(sorted({sandbox_of(holder) for holder in self.holders}))


def late_zones(ctx: Context, rows: Sequence[StepRow]) -> Iterator[LateZone]:
    """
    The steps that bridges would have got if firewalld had run when they were made.

    Args:
        ctx: The context.
        rows: Steps in place. Of their bridges, those count that nsctl filters what is forwarded for.
    """
    bridges = {
        row.step.effect.name: row.step.key
        for row in rows
        if isinstance(row.step.effect, LinkIs) and row.step.effect.type == "bridge" and row.step.effect.netns is None
    }
    if not bridges:
        return
    try:
        zones: Mapping[str, str] | None = ctx.kernel.zones.of_links
    except NsctlError:  # it is being started, or ended; what needs its answer says so
        return
    if zones is None:
        return
    rules = [row.step.effect for row in ctx.journal.steps_like(f"rule/4/filter/{FORWARD}/")]
    filtered = {word for rule in rules if isinstance(rule, RuleTagged) for word in rule.spec}
    facts = Facts(firewall=Firewall(managers={FIREWALLD: zones}))
    for bridge, key in bridges.items():
        if rule_tag(bridge) not in filtered or ctx.journal.step(f"zone/{bridge}") is not None:
            continue
        step = zone(bridge, facts)
        if step is not None:
            yield LateZone(step, tuple(ctx.journal.held_by(key)))


def hold(ctx: Context, late: Sequence[LateZone]) -> None:
    """Note them in the store, before they are done: from then on they belong to the sandboxes that need them."""
    if late:
        ctx.journal.build(
            [], [one.step for one in late], [(one.step.key, name) for one in late for name in one.holders]
        )
