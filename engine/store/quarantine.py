"""A store that seems damaged: is it, and where it goes if it is."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from nsctl.engine.model.errors import Refused
from nsctl.engine.store.database import Unwritable
from nsctl.engine.store.journal import Journal

__all__ = ["is_sound", "set_aside"]


def is_sound(state_dir: Path, host: Path | None = None) -> bool:
    """Whether a second look finds nothing wrong with a store: then it was the reading that failed."""
    try:
        journal = Journal(state_dir, host=host)
        try:
            return journal.verify()
        finally:
            journal.close()
    except Refused:
        return False


def set_aside(state_dir: Path) -> Path:
    """
    Move a damaged store out of the way, and say where to.

    Raises:
        Unwritable: It can't be moved.
    """
    target = state_dir / f"state.db.damaged-{int(time.time())}-{os.getpid()}"
    try:
        os.rename(state_dir / "state.db", target)
        for suffix in ("-journal", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(state_dir / f"state.db{suffix}")
    except OSError as e:
        raise Unwritable(f"the store {state_dir}/state.db is damaged, and can't be set aside: {e.strerror}") from e
    return target
