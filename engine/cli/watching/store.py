"""Whether a store has changed, without opening it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["generation"]

_COUNTER = 24
"""Where a database of SQLite counts its changes (sqlite.org/fileformat2.html)."""


def generation(state_dir: Path) -> str:
    """A text that changes whenever the store does; empty where there is none."""
    try:
        with open(state_dir / "state.db", "rb") as f:
            return f"{os.fstat(f.fileno()).st_ino} {f.read(_COUNTER + 4)[_COUNTER:].hex()}"
    except OSError:
        return ""
