"""A lab in which nsctl is forked from one that is loaded, for tests that are not about its start."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from nsctl.testing import Lab, nsctl_argv
from tests.faults.warm import Warm

__all__ = ["WarmLab"]


class WarmLab(Lab):
    """
    A lab whose `nsctl` costs a fork in place of an interpreter's start; see `zygote`.

    Args:
        warm: Starts it.
        uplink: As for `Lab`.
    """

    def __init__(self, warm: Warm, *, uplink: bool = True) -> None:
        super().__init__(uplink=uplink)
        self._warm = warm

    def nsctl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002  subprocess's word
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run nsctl on the lab host to its end, as `Lab.nsctl` does."""
        done = self._warm.run(self, *args, timeout=timeout, env=env, stdin=input or "")
        if check and done.status != 0:
            raise AssertionError(str(done))
        return subprocess.CompletedProcess(nsctl_argv(*args), done.status, done.stdout, done.stderr)
