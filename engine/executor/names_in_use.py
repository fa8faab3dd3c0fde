"""
Which names a new sandbox can't have, and the first one that it can.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import count
from pathlib import Path

from nsctl.engine.executor.session import Session
from nsctl.engine.facts import Facts
from nsctl.engine.store import Others
from nsctl.engine.store.files import HOST_DIR

__all__ = ["first_free", "names_in_use"]


def names_in_use(session: Session | None, state_dir: Path, facts: Facts) -> frozenset[str]:
    """
    The names of sandboxes, of whatever store of this host, ended ones too, and those under /run/netns.

    Args:
        session: The store, where there is one that can be read.
        state_dir: Its directory.
        facts: The host.
    """
    others = Others(HOST_DIR, state_dir) if session is None else session.ctx.others
    own = () if session is None else session.sandboxes()
    return facts.netns.union(own, *(held.by for held in others.values()))


def first_free(name: str, used: Container[str]) -> str:
    """
    The name, or the first of NAME-2, NAME-3, … that is not used.
    """
    return name if name not in used else next(free for n in count(2) if (free := f"{name}-{n}") not in used)
