"""
What a watcher is to look out for: which of the kernel's messages can be about what nsctl made.

A host that runs Docker, or a routing daemon, has many changes a second that are none of nsctl's.
"""

from __future__ import annotations

from nsctl.engine.executor.context import Context
from nsctl.engine.executor.own_files import sources
from nsctl.engine.host.changes import Interest
from nsctl.engine.model.host import Watch

__all__ = ["interest_of"]

_FAMILIES: dict[int | str, int] = {4: 2, 6: 10, "bridge": 7}
"""NFPROTO_IPV4, NFPROTO_IPV6 and NFPROTO_BRIDGE."""
_FIREWALLD = "1/firewalld/"
"""firewalld's own table, of NFPROTO_INET: it makes that anew when it starts, and when it reloads."""
_LATER = -2
"""NETCONFA_IFINDEX_DEFAULT: what links begin with."""


def interest_of(ctx: Context) -> Interest:
    """What is worth another look, by the steps of all sandboxes and the links as they are now."""
    watch = Watch()
    rows = ctx.journal.steps()
    for row in rows:
        if row.step.effect is not None:
            row.step.effect.watch(watch)
    chains = {f"{_FAMILIES[family]}/{table}/{chain}" for family, table, chain in watch.chains}
    return Interest(
        links=frozenset(watch.links),
        indexes=frozenset(_indexes(ctx, watch.links)),
        settings=frozenset(_indexes(ctx, watch.settings) | ({_LATER} if watch.later_links else set())),
        chains=frozenset(chains | ({_FIREWALLD} if watch.zoned else set())),
        tables=frozenset(f"{_FAMILIES[family]}/{name}" for family, name in watch.tables),
        netns=frozenset(watch.namespaces),
        files=frozenset(sources() if watch.namespaces else ()),
        legacy=any(row.tools.get("iptables") == "legacy" for row in rows),
    )


def _indexes(ctx: Context, names: set[str]) -> set[int]:
    return {link.index for name in names if (link := ctx.kernel.link(name)) is not None}
