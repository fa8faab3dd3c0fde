"""Words on a line, as `ip -batch` and `iptables-restore` both read them."""

from __future__ import annotations

__all__ = ["is_quotable", "quoted_line"]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%!")
_UNQUOTABLE = frozenset('"\\#\n\r')
"""What no quoting gets through unharmed: `ip -batch` takes `#` for a comment even between quotes."""


def is_quotable(*words: str) -> bool:
    """Whether a line can hold these words."""
    return _UNQUOTABLE.isdisjoint("".join(words))


def quoted_line(*words: str) -> str:
    """The line."""
    return " ".join(w if w and _PLAIN.issuperset(w) else f'"{w}"' for w in words)
