"""Whether sandboxes have the way out that they were promised, judged from what is read; no packet is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nsctl.engine.executor.context import Context
from nsctl.engine.host.snapshot import insides, read_host
from nsctl.engine.kit.firewall import POSTROUTING
from nsctl.engine.model.effects import SysctlIs
from nsctl.engine.model.plan import Step
from nsctl.engine.planning.sharing import Sharing
from nsctl.engine.reach.promise import Promise, Verdict, judge, promises_of

__all__ = ["ways_out"]

_KINDS = ("route/", "addr/", "link/", f"rule/4/nat/{POSTROUTING}/", "sysctl/net/ipv4/conf/")
"""What the keys of the steps begin with that say what was promised, of the host and inside; and what nsctl switched."""


def ways_out(
    ctx: Context, names: Sequence[str] = (), to: int | None = None, *, made: Mapping[str, Sequence[Step]] | None = None
) -> dict[str, Verdict]:
    """
    Of each sandbox with a way out, whether it has it; one that shares another's network has the other's.

    The rules of the firewall are those that were read last, if they were.

    Args:
        ctx: The context.
        names: The sandboxes; all, if none is named.
        to: The address outside; one out in the internet, if not given.
        made: The steps of sandboxes that were made just now, which the journal need not be asked for.
    """
    rows = ctx.journal.sandboxes()
    sharing = Sharing(rows)
    wanted = frozenset(names or rows)
    up = [name for name, row in rows.items() if row.state == "up" and name in wanted]
    owners = {n: o for n in up if (o := sharing.owner(n)) and rows[o].gateway}
    with_gateway = {owner for owner in owners.values() if owner}
    if not with_gateway:
        return {}
    if made is not None and with_gateway <= made.keys():
        backend = ""  # rules of two are not mixed
        steps = list({step.key: step for owner in with_gateway for step in made[owner]}.values())
    else:
        if names:
            held = [row for kind in _KINDS for row in ctx.journal.steps_like(kind, with_gateway)]
        else:  # who asks for all has read all
            held = [row for row in ctx.journal.steps() if row.step.key.startswith(_KINDS)]
        backend = next((b for row in held if (b := row.tools.get("iptables", ""))), "")
        steps = [row.step for row in held]
    promises = promises_of(steps)
    chosen = [promises[owner] for owner in dict.fromkeys(owners.values()) if owner in promises]
    found = _judged(ctx, chosen, steps, backend, to)
    return {name: found[owner] for name, owner in owners.items() if owner in found}


def _judged(
    ctx: Context, promises: Sequence[Promise], steps: Iterable[Step], backend: str, to: int | None
) -> dict[str, Verdict]:
    if not promises:
        return {}
    own = {s.effect.key for s in steps if isinstance(s.effect, SysctlIs) and s.effect.netns is None}
    host = read_host(ctx.kernel, own=own, backend=backend)
    return judge(host, promises, insides([promise.netns for promise in promises], ctx.kernel), to)
