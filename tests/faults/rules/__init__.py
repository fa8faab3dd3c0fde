"""
nsctl's protective rules, each with the change that takes it out and a test that must notice.

`test_ablation` tries them. The old text has to be there exactly once, so a rule that moves or goes is found out.
"""

from __future__ import annotations

from tests.faults.rules import (
    adopting,
    attachments,
    bounds,
    claims,
    core,
    firewall,
    identity,
    mending,
    network,
    resident,
    settings,
    stores,
    trail,
    watching,
    ways_out,
)
from tests.faults.rules.rule import Rule

__all__ = ["AREAS", "RULES", "Rule"]

AREAS: tuple[tuple[Rule, ...], ...] = tuple(
    area.RULES
    for area in (
        core,
        identity,
        stores,
        bounds,
        claims,
        attachments,
        trail,
        network,
        resident,
        mending,
        firewall,
        settings,
        adopting,
        watching,
        ways_out,
    )
)
RULES = tuple(rule for area in AREAS for rule in area)
