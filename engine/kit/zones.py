"""Zones of firewalld: what iptables accepts, firewalld's own table of nftables may still reject."""

from __future__ import annotations

from nsctl.engine.kit.keys import link_key
from nsctl.engine.model.commands import Command
from nsctl.engine.model.effects import ZoneIs
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import check_ifname
from nsctl.engine.model.plan import Step

__all__ = ["FIREWALLD", "TRUSTED", "zone"]

FIREWALLD = "firewalld"
TRUSTED = "trusted"
"""
The zone of firewalld's that accepts everything; it comes with it.

What may pass to and from a bridge is for nsctl's own chains to say: a packet that these drop is not saved by a zone.
"""


def zone(link: str, facts: Facts, *, after: tuple[str, ...] = ()) -> Step | None:
    """
    Where firewalld runs, have it let pass what comes from a link and goes to it.

    None where it does not run, and where somebody has chosen a zone for this link: that counts.

    Args:
        link: The link.
        facts: The host.
        after: The keys of the steps that keep out what a zone would let in.
    """
    check_ifname(link)
    key = f"zone/{link}"
    if key in facts.steps:
        return facts.steps[key]
    zones = facts.firewall.managers.get(FIREWALLD)
    if zones is None or link in zones:
        return None
    return Step(
        key=key,
        why=f"have firewalld leave what comes from {link} to the rules above",
        # Not --change-interface: if somebody chooses a zone for it meanwhile, that is not overridden.
        do=Command(("firewall-cmd", f"--zone={TRUSTED}", f"--add-interface={link}")),
        undo=(Command(("firewall-cmd", f"--zone={TRUSTED}", f"--remove-interface={link}")),),
        effect=ZoneIs(TRUSTED, link),
        after=(link_key(link, None), *after),
    )
