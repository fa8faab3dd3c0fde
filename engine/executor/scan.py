"""
Finding what nsctl made and no store knows: after the store was lost or damaged.
"""

from __future__ import annotations

from nsctl.engine.executor.context import Context

__all__ = ["scan"]


def scan(ctx: Context, *, remove: bool) -> list[str]:
    """
    Look for what bears nsctl's marks and is in no store; with `remove`, take it away.
    """
    return []
