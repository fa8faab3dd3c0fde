"""How far a step has come, as the journal has it."""

from __future__ import annotations

__all__ = ["DONE", "INTENT", "STARTED"]

INTENT = "intent"
"""It is in the journal, and its command has not been started."""
STARTED = "started"
"""Its command may have run."""
DONE = "done"
"""Its command succeeded, or the effect was in place."""
