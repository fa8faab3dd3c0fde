"""
The executor: plans carried out, all or nothing.

Read in this order: `session` (the face), `transaction` (all or nothing), `decide` (what is done about a step),
`pending` and `apply` (do), `undo`, `recovery` (after a kill), `drift` and `repair`.
Who only looks takes `reading`, and loads no more than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsctl.engine.executor.drift import Drift
    from nsctl.engine.executor.session import Session

__all__ = ["Drift", "Session"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Each alone: who makes or takes down sandboxes does not load what compares and repairs.
    if name == "Session":
        from nsctl.engine.executor.session import Session

        return Session
    from nsctl.engine.executor.drift import Drift

    return Drift
