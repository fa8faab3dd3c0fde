"""Which names a new sandbox can't have, and the first one that it can."""

from __future__ import annotations

import os
from collections.abc import Container
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from nsctl.engine.model.facts import HOST_DIR, Facts

if TYPE_CHECKING:
    from nsctl.engine.executor import Session
    from nsctl.engine.store import Others

__all__ = ["first_free", "names_in_use"]


def names_in_use(session: Session | None, state_dir: Path, facts: Facts) -> frozenset[str]:
    """
    The names of sandboxes, of whatever store of this host, ended ones too, and those under /run/netns.

    Args:
        session: The store, where there is one that can be read.
        state_dir: Its directory.
        facts: The host.
    """
    others = _others(state_dir) if session is None else session.ctx.others
    own = () if session is None else session.sandboxes()
    return facts.netns.union(own, *(held.by for held in (others or {}).values()))


def _others(state_dir: Path) -> Others | None:
    host = Path(HOST_DIR)
    if not any(os.access(host / name, os.R_OK) for name in ("state.db", "stores")):
        return None  # without the imports
    from nsctl.engine.store import Others

    return Others(host, state_dir)


def first_free(name: str, used: Container[str]) -> str:
    """The name, or the first of NAME-2, NAME-3, … that is not used."""
    return name if name not in used else next(free for n in count(2) if (free := f"{name}-{n}") not in used)
