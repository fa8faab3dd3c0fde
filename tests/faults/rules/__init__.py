"""
nsctl's protective rules, each with the change that takes it out and a test that must notice.

`test_ablation` tries them. The old text has to be there exactly once, so a rule that moves or goes is found out.
"""

from __future__ import annotations

from tests.faults.rules import (
    adopting,
    bounds,
    claims,
    core,
    firewall,
    identity,
    mending,
    network,
    settings,
    stores,
    trail,
    watching,
    ways_out,
)
from tests.faults.rules.rule import Rule

__all__ = ["RULES", "Rule"]

RULES = tuple(
    rule
    for area in (
        core,
        identity,
        stores,
        bounds,
        claims,
        trail,
        network,
        mending,
        firewall,
        settings,
        adopting,
        watching,
        ways_out,
    )
    for rule in area.RULES
)
