"""
The executor: plans carried out, all or nothing.

Read in this order: `session` (the face), `transaction` (all or nothing), `forward` (do), `backward` (undo), `recovery`
(after a kill), `checking` (drift and repair).
"""

from __future__ import annotations

from nsctl.engine.executor.checking import Drift
from nsctl.engine.executor.session import Session

__all__ = ["Drift", "Session"]
