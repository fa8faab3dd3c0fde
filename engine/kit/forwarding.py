"""
Forwarding: what a sandbox is answered comes in by some link of the host's, which has to forward it.

By which link is for the host's routes to say, and they change: a default route arrives late, moves to another link, or
lives in another table. So all links forward, those that come later too, and a guard at the end of FORWARD drops what
goes from one that is not nsctl's to another: the host did not forward that before, and does not begin to.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from nsctl.engine.kit.firewall import GUARD, own_chain, rule
from nsctl.engine.kit.keys import shared
from nsctl.engine.kit.sysctls import sysctl
from nsctl.engine.model.commands import Command
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import check_ifname
from nsctl.engine.model.plan import Step

__all__ = ["DEFAULT", "GUARDING", "LATER_LINKS", "forward_back", "way_back"]

LATER_LINKS = (
    'ip -o link show nomaster | tr :@ "  " | while read -r index link rest; do'
    ' [ "$index" -le "$0" ] || echo 0 >/proc/sys/net/ipv4/conf/"$link"/forwarding; done 2>/dev/null'
)
"""A script that switches forwarding off for the links, ports left out, with a higher index than it is given."""
GUARDING = "guard"
"""Whose the rules are that all networks need."""
DEFAULT = "net/ipv4/conf/default/forwarding"
"""What links begin with."""
_LINK = "net/ipv4/conf/{}/forwarding"
_BRIDGED = "net/bridge/bridge-nf-call-iptables"
"""It is there where br_netfilter is loaded, which has frames that stay on a bridge pass FORWARD too."""


def way_back(bridge: str, facts: Facts, *, uplink: str | None = None) -> Iterator[Step | tuple[Step, ...]]:
    """
    Have the host forward what comes back to a bridge, and nothing else that it did not forward before.

    Args:
        bridge: The bridge.
        facts: The host.
        uplink: The only link that answers may come in by; by default it may be any, now and later.
    """
    if uplink is None and facts.way_back:
        yield forward_back(bridge)
        yield facts.way_back  # as it was made for the first one
        return
    closed = facts.sysctls.get(DEFAULT) == "0"  # else links that come later forward anyway
    every = uplink is None and closed
    names = (uplink,) if uplink is not None else tuple(dict.fromkeys((*facts.uplinks, *(facts.outer if every else ()))))
    steps = [sysctl(facts, _LINK.format(n), "1", why=f"forward answers that come in by {n}") for n in names]
    opened = {name: step for name, step in zip(names, steps, strict=True) if step is not None}
    others = tuple(dict.fromkeys((*names, *facts.outer)))
    # By a rule for all bridges, now and later, which would load br_netfilter where it is not; else by their names.
    every_bridge = _BRIDGED in facts.sysctls
    bridges = () if every_bridge else tuple(n for n in others if n in facts.links and facts.links[n].type == "bridge")
    # Before it is switched on:
    if closed:
        before = tuple(n for n in others if facts.sysctls.get(_LINK.format(n)) == "1" and n not in opened)
        yield forward_back(bridge, others=False, forwarding=before, bridges=bridges, every_bridge=every_bridge)
    else:
        yield forward_back(bridge, tuple(opened), bridges=bridges, every_bridge=every_bridge)
    yield tuple(opened.values())
    later = sysctl(facts, DEFAULT, "1", why="and by links that are added later") if every else None
    if later is not None:
        last = max((link.index for link in facts.links.values()), default=0)
        yield replace(later, undo=(Command(("sh", "-c", LATER_LINKS, str(last))), *later.undo))


@shared
def forward_back(
    bridge: str,
    uplinks: tuple[str, ...] = (),
    *,
    others: bool = True,
    forwarding: tuple[str, ...] = (),
    bridges: tuple[str, ...] = (),
    every_bridge: bool = False,
) -> tuple[Step, ...]:
    """
    Of what comes in by links that nsctl has forward, only what goes to nsctl's bridges passes.

    The host did not forward from there before, and does not begin to. What may pass to a bridge is for NSCTL-FORWARD to
    say; here it returns, from the head of the chain, whatever the order in which rules are put back.

    Args:
        bridge: The bridge.
        uplinks: The links for which nsctl switches forwarding on.
        others: Whether other links are left alone; else nothing of theirs passes either.
        forwarding: Where it does not: the links that forwarded before.
        bridges: Bridges of others': what stays on one of them is not forwarded, and passes.
        every_bridge: The same for all of them.
    """
    check_ifname(bridge, "bridge name")
    steps = list(own_chain("filter", "FORWARD", GUARD))
    for link in forwarding:
        why = f"{link} was forwarding before: leave it as it was"
        steps.append(rule("filter", GUARD, "-i", link, "-j", "RETURN", owner=GUARDING, why=why, head=True))
    why = "pass what stays on one bridge: it is not routed"
    if every_bridge:
        words = ("-m", "physdev", "--physdev-is-bridged", "-j", "RETURN")
        steps.append(rule("filter", GUARD, *words, owner=GUARDING, why=why, head=True))
    for link in bridges:
        named = ("-i", link, "-o", link, "-j", "RETURN")
        steps.append(rule("filter", GUARD, *named, owner=GUARDING, why=why, head=True))
    why = f"traffic of {bridge} is for NSCTL-FORWARD to decide"
    steps += [
        rule("filter", GUARD, way, bridge, "-j", "RETURN", owner=bridge, why=why, head=True) for way in ("-o", "-i")
    ]
    for link in uplinks:
        why = f"forward nothing else from {link}: the host did not before"
        steps.append(rule("filter", GUARD, "-i", link, "-j", "DROP", owner=link, why=why))
    if not others:
        why = "forward nothing else: the host did not before"
        steps.append(rule("filter", GUARD, "-j", "DROP", owner=GUARDING, why=why))
    return tuple(steps)
