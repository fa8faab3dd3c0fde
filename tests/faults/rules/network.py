"""
What bridges let pass, and which addresses are free.
"""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = ()
