"""
The store: what nsctl did and still has to undo, in SQLite under /run.

`lock` is the one exclusive lock, `home` says where a store's rows can be seen from, `others` finds the host's other
stores, `files` the directory, its ownership and its ballast, `database` the connection and its faults, `sandboxes` what
most commands read, `seals` what protects a row, `rows` what else is kept, `journal` the operations that the executor
calls, and `quarantine` what becomes of a store that is damaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsctl.engine.store.database import Damaged, Unwritable
    from nsctl.engine.store.journal import Journal
    from nsctl.engine.store.lock import Lock
    from nsctl.engine.store.others import HalfDone, Held, Others, can_be_shared
    from nsctl.engine.store.rows import StepRow, Transaction
    from nsctl.engine.store.sandboxes import SandboxRow

__all__ = [
    "Damaged",
    "HalfDone",
    "Held",
    "Journal",
    "Lock",
    "Others",
    "SandboxRow",
    "StepRow",
    "Transaction",
    "Unwritable",
    "can_be_shared",
]


def __getattr__(name: str) -> Any:
    # Who only reads the sandboxes takes `sandboxes`, and loads no more than that.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nsctl.engine.store import database, journal, lock, others, rows

    module = next(module for module in (database, journal, lock, others, rows) if name in module.__all__)
    return getattr(module, name)
