"""One measurement: commands run on a lab host, and what they cost."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.lab import ENVIRONMENT

__all__ = ["Cost", "Failed", "Work"]

TIMEOUT = 300.0
"""Seconds after which a command is taken for stuck."""


class Failed(Exception):
    """A command did not do its work: whatever was measured is worth nothing."""


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What something cost.

    Args:
        wall: Seconds until it returned.
        cpu: Seconds of user and system time, of the processes that were waited for.
        gone: Seconds until its devices were gone, where it took some away.
    """

    wall: float
    cpu: float
    gone: float | None = None


class Work:
    """
    Runs commands and adds up their CPU time.

    Made and used in a thread that is on the lab host; nothing is started but the commands themselves.
    """

    def __init__(self) -> None:
        self.cpu = 0.0

    def run(self, *argv: str, stdin: str = "", env: Mapping[str, str] | None = None, ok: tuple[int, ...] = (0,)) -> str:
        """
        Run a command to its end; what it printed.

        Output goes to memory: no pipe has to be emptied meanwhile, and no reader uses CPU time.

        Raises:
            Failed: Its exit status is none of `ok`, or it did not end.
        """
        files = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdin", "stdout", "stderr")]
        try:
            if stdin:
                os.write(files[0], stdin.encode())
                os.lseek(files[0], 0, os.SEEK_SET)
            status = self._wait(list(argv), files, ENVIRONMENT | dict(env or {}))
            output, errors = (os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace") for fd in files[1:])
        finally:
            for fd in files:
                os.close(fd)
        if status not in ok:
            said = " / ".join((errors or output).strip().splitlines()[-4:])
            raise Failed(f"{' '.join(argv)[:120]}: exit status {status}: {said}")
        return output

    def _wait(self, argv: list[str], files: list[int], env: dict[str, str]) -> int:
        process = subprocess.Popen(
            argv, stdin=files[0], stdout=files[1], stderr=files[2], env=env, cwd="/", start_new_session=True
        )
        fd = os.pidfd_open(process.pid)
        try:
            waiting = select.poll()
            waiting.register(fd, select.POLLIN)
            if not waiting.poll(TIMEOUT * 1000):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            os.close(fd)
        self.cpu += usage.ru_utime + usage.ru_stime
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode

    def timer(self) -> float:
        """Now, in seconds; of a clock that nobody sets."""
        return time.perf_counter()
