"""
What a watcher is to look out for: which of the kernel's messages can be about what nsctl made.

A host that runs Docker, or a routing daemon, has many changes a second that are none of nsctl's.
"""

from __future__ import annotations

from nsctl.engine.executor.context import Context
from nsctl.engine.executor.own_files import sources
from nsctl.engine.host.changes import Interest
from nsctl.engine.model.effect import ChainIs, Effect, LinkIs, NetnsIs, NftTable, RuleTagged, SysctlIs

__all__ = ["interest_of"]

_FAMILIES = {4: 2, 6: 10, "bridge": 7}
"""NFPROTO_IPV4, NFPROTO_IPV6 and NFPROTO_BRIDGE."""
_FIREWALLD = "1/firewalld/"
"""firewalld's own table, of NFPROTO_INET: it makes that anew when it starts, and when it reloads."""
_LATER = -2
"""NETCONFA_IFINDEX_DEFAULT: what links begin with."""


def interest_of(ctx: Context) -> Interest:
    """What is worth another look, by the steps of all sandboxes and the links as they are now."""
    links, settings, chains, names, legacy = set[str](), set[str](), set[str](), set[str](), False
    tables = set[str]()
    rows = ctx.journal.steps()
    for row in rows:
        effect = row.step.effect
        if effect is None:
            continue
        if isinstance(effect, LinkIs) and effect.netns is None:
            links.add(effect.name)
            chains.add(_FIREWALLD)
        elif (link := effect.host_link) is not None:
            (settings if isinstance(effect, SysctlIs) else links).add(link)
        elif isinstance(effect, NetnsIs):
            names.add(effect.name)
        elif isinstance(effect, ChainIs | RuleTagged) and effect.netns is None:
            chains.add(f"{_FAMILIES[effect.family]}/{effect.table}/{effect.chain}")
            legacy = legacy or row.tools.get("iptables") == "legacy"
        elif isinstance(effect, NftTable):
            tables.add(f"{_FAMILIES[effect.family]}/{effect.name}")
    later = {_LATER} if any(_is_default(row.step.effect) for row in rows) else set[int]()
    return Interest(
        links=frozenset(links),
        indexes=frozenset(_indexes(ctx, links)),
        settings=frozenset(_indexes(ctx, settings) | later),
        chains=frozenset(chains),
        tables=frozenset(tables),
        netns=frozenset(names),
        files=frozenset(sources() if names else ()),
        legacy=legacy,
    )


def _indexes(ctx: Context, names: set[str]) -> set[int]:
    return {link.index for name in names if (link := ctx.kernel.link(name)) is not None}


def _is_default(effect: Effect | None) -> bool:
    return isinstance(effect, SysctlIs) and effect.netns is None and "/conf/default/" in effect.key
