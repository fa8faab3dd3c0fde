"""
Identity, postconditions: whose a thing is by now, and whether what is said is so.
"""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = ()
