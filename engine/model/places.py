"""Where nsctl keeps things, whatever it is told of."""

from __future__ import annotations

__all__ = ["HIDDEN", "HOST_DIR"]

HOST_DIR = "/run/nsctl"
"""What is the whole host's, wherever a state directory lies: the lock, the key, the list of state directories."""
HIDDEN = ("/var/log/nsctl",)
"""The folder of the audit trail, if no other is set."""
