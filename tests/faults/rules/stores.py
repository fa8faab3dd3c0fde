"""
Visibility and instances: other namespaces, other state directories, whose sandbox a name means.
"""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = ()
