"""
Rules in chains of nsctl's that nsctl did not make.
"""

from __future__ import annotations

from nsctl.engine.effect import ChainIs, RuleTagged
from nsctl.engine.executor.context import Context
from nsctl.engine.names import rule_tag
from nsctl.engine.plan import Step

__all__ = ["strange_rules"]


def strange_rules(ctx: Context, step: Step, backend: str = "") -> list[tuple[str, ...]]:
    """
    The rules in a chain of nsctl's that no store of this host knows, and that do not bear nsctl's comment.

    Args:
        ctx: The context.
        step: The chain's.
        backend: The back end of iptables that the chain is in; empty: the one in use.

    Raises:
        NsctlError: The rules can't be read.
    """
    chain = step.effect
    if not isinstance(chain, ChainIs):
        return []
    rules = ctx.kernel.rules(chain.table, chain.chain, chain.family, chain.netns, backend) or []
    untagged = [spec for spec in rules if not any(word.startswith(rule_tag("")) for word in spec)]
    if not untagged:
        return []
    known = [*ctx.journal.steps_like("rule/"), *(held.row for held in ctx.others.values())]
    place = (chain.table, chain.chain, chain.family)
    rules_known = [e for e in (r.step.effect for r in known) if isinstance(e, RuleTagged)]
    own = {e.spec for e in rules_known if (e.table, e.chain, e.family) == place}
    return [spec for spec in untagged if spec not in own]
