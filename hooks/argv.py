"""Argument vectors as the audit trail has them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["argv_of"]

_VARIABLE = r"(?s)([A-Za-z_][A-Za-z0-9_]*)=.*"


def argv_of(words: Sequence[str]) -> list[str]:
    """The words, the values of variables that `env` sets left out: they may be secrets."""
    if "env" not in " ".join(words):  # the usual case, thousands of times in a lab
        return list(words)
    shown: list[str] = []
    setting = False
    for word in words:
        named = re.fullmatch(_VARIABLE, word)
        shown.append(f"{named[1]}=..." if setting and named else word)
        setting = word == "env" or word.endswith("/env") or (setting and (named is not None or word.startswith("-")))
    return shown
