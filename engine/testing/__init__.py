"""
For authors of modes: their plans as golden cases, and their steps failed in turn on the real kernel.

nsctl itself never imports this.
"""

from __future__ import annotations

from nsctl.engine.testing.cases import UPDATE, cases_in, check_case, facts_from_json, plan_case
from nsctl.engine.testing.kernel import Failure, fail_every_step, in_lab

__all__ = [
    "UPDATE",
    "Failure",
    "cases_in",
    "check_case",
    "facts_from_json",
    "fail_every_step",
    "in_lab",
    "plan_case",
]
