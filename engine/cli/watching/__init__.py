"""
The process that waits, for `watch`: it imports little, reads nothing by itself, and starts `taken.py` when it has to.

Only what the kernel tells wakes it up. A burst of changes is waited out, for 0.3 s at most; then one look is
taken, in a process of its own, which puts back what is missing. What that changes, the kernel tells as well: it asks
the watcher to forget what came until its last look begins, so that none of it counts as somebody else's.
"""

from __future__ import annotations

__all__: list[str] = []
