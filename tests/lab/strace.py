"""
System calls of nsctl that fail, by strace: for what nsctl does itself, without a tool that a shim could stand in for.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nsctl.engine.testing.files import SHIM_DIRECTORY
from nsctl.engine.testing.lab import ENVIRONMENT, Lab, nsctl_argv
from tests.lab.shims import shim_directory

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Strace:
    """A finished command, and the system calls of it that were traced, one line each."""

    process: subprocess.CompletedProcess[str]
    calls: list[str]

    @property
    def injected(self) -> list[str]:
        """The calls that were made to fail."""
        return [call for call in self.calls if "(INJECTED" in call]


def strace(
    lab: Lab,
    argv: Sequence[str],
    *,
    trace: str = "",
    inject: str = "",
    path: str = "",
    follow: bool = False,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
) -> Strace:
    """
    Run a command on the lab host under strace.

    Args:
        trace: System calls to list, as for `strace -e trace=`; those of `inject` if not given.
        inject: As for `strace -e inject=`: `write:error=EIO:when=5`, `fsync:signal=SIGKILL:when=2`.
        path: Only calls that touch this file; `when` then counts only these.
        follow: Its children too; otherwise the command itself alone.
        timeout: In seconds.
        env: Added to `ENVIRONMENT`.
    """
    lab.call(shim_directory, f"{lab.token}-shim")
    output = f"{SHIM_DIRECTORY}/strace.{next(_numbers)}"
    options = ["-qq", "-o", output, "-e", f"trace={trace or inject.partition(':')[0]}"]
    options += ["-e", f"inject={inject}"] if inject else []
    options += ["-P", path] if path else []
    options += ["-f"] if follow else []
    environment = ENVIRONMENT | dict(env or {})
    process = lab.run(["strace", *options, "--", *argv], timeout=timeout, env=environment)
    if not lab.exists(output):
        raise AssertionError(f"strace failed: {process.stderr}")
    return Strace(process, lab.read(output).splitlines())


def nsctl_strace(
    lab: Lab,
    *args: str,
    trace: str = "",
    inject: str = "",
    path: str = "",
    follow: bool = False,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
) -> Strace:
    """`strace`, of nsctl."""
    argv = nsctl_argv(*args)
    return strace(lab, argv, trace=trace, inject=inject, path=path, follow=follow, timeout=timeout, env=env)
