"""A lab in which a resident process runs what it runs of nsctl's commands; all others are started cold as ever."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from nsctl.testing import Lab

__all__ = ["ResidentLab"]

_LOCK = Path("/run/nsctl/resident.lock")
_PATIENCE = 1.0
"""How long the server may take to wait for a child that has ended, while others may still run; seconds."""


class ResidentLab(Lab):
    """
    A lab with a resident process, so that every command that has one, and may, goes through it.

    Args:
        uplink: As for `Lab`.
    """

    def __init__(self, *, uplink: bool = True) -> None:
        super().__init__(uplink=uplink)
        try:
            super().nsctl("resident", "start", check=True)
        except BaseException:
            self.close()
            raise

    def nsctl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002  subprocess's word
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run nsctl as `Lab.nsctl` does; what ran it is gone from the process table by the time it returns."""
        done = super().nsctl(*args, input=input, timeout=timeout, env=env, check=check)
        # The caller hears of the end from the child itself, a moment before the server has waited for the child.
        deadline = time.monotonic() + _PATIENCE
        while self.call(_has_children) and time.monotonic() < deadline:
            time.sleep(0.001)
        return done


def _has_children() -> bool:
    """Whether the resident process, if one is there, has a child that it has not waited for."""
    try:
        server = _LOCK.read_text(encoding="ascii").split()[0]
    except (OSError, IndexError):
        return False
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        except OSError:  # gone meanwhile
            continue
        if parent == server:
            return True
    return False
