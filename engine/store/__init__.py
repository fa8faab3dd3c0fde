"""
The store: what nsctl did and still has to undo, in SQLite under /run.

`lock` is the one exclusive lock, `home` says where a store's rows can be seen from, `others` finds the host's other
stores, `files` the directory, its ownership and its ballast, `database` the connection and its faults, `rows` what is
kept, `journal` the operations that the executor calls, and `salvage` what becomes of a store that is damaged.
"""

from __future__ import annotations

from nsctl.engine.store.database import Damaged, Unwritable
from nsctl.engine.store.journal import Journal
from nsctl.engine.store.lock import Lock
from nsctl.engine.store.others import HalfDone, Held, Others, can_be_shared
from nsctl.engine.store.rows import SandboxRow, StepRow, Transaction

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
