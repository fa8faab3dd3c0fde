"""What a rule is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rule"]


@dataclass(frozen=True)
class Rule:
    """
    Something that protects.

    Args:
        name: What it says.
        file: Where it stands.
        old: Its text there.
        new: The text without it.
        test: The test that fails then.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
