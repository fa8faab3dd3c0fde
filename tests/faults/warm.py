"""The client of `zygote`: nsctl in a lab, for the price of a fork."""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import ENVIRONMENT, Lab

PARENT = "*zygote.py*"
"""The command line of such an nsctl, for shims that kill or signal it."""
ZYGOTE = Path(__file__).with_name("zygote.py")


@dataclass(frozen=True)
class Done:
    """
    A run of nsctl that is over.

    Args:
        status: The exit status; -n where signal n ended it.
        ticks: What it was about to do, one line each (see `zygote`).
    """

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    ticks: tuple[str, ...] = ()

    def __str__(self) -> str:
        last = f" after {self.ticks[-1]!r}" if self.ticks else ""
        return f"nsctl {' '.join(self.argv)}: {self.status}{last}: {self.stdout}{self.stderr}".rstrip()


class Running:
    """A run of nsctl that may still go on; `pid` is the machine's number of it."""

    def __init__(self, argv: tuple[str, ...], reply: socket.socket, outputs: Sequence[int]) -> None:
        self._argv = argv
        self._reply = reply
        self._outputs = outputs
        reply.settimeout(60)
        self.pid: int = self._next()["pid"]

    def _next(self) -> dict[str, Any]:
        message = self._reply.recv(1000)
        if not message:
            raise AssertionError(f"nsctl {self._argv}: no answer from the zygote: {self._texts()}")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _texts(self) -> list[str]:
        return [os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="backslashreplace") for fd in self._outputs]

    def signal(self, signum: int) -> None:
        """Send it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def wait(self, timeout: float = 60) -> Done:
        """
        Wait for its end.

        Raises:
            AssertionError: It takes longer; then it is killed.
        """
        self._reply.settimeout(timeout)
        try:
            status = self._next()["status"]
            stdout, stderr, ticks = self._texts()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            raise AssertionError(f"nsctl {self._argv} did not end: {self._texts()}") from None
        finally:
            self._reply.close()
            for fd in self._outputs:
                os.close(fd)
        return Done(self._argv, status, stdout, stderr, tuple(ticks.splitlines()))


class Warm:
    """A zygote, and what it is asked."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-X", "nsctl=nsctl", str(ZYGOTE)], stdin=theirs.fileno(), env=ENVIRONMENT, cwd="/"
        )
        theirs.close()
        if self._socket.recv(100) != b"ready":
            self.close()
            raise AssertionError("the zygote does not start")

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.wait(10)

    def start(
        self,
        lab: Lab,
        *argv: str,
        at: Mapping[int, Sequence[int]] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        stop: bool = False,
        outputs: int | None = None,
    ) -> Running:
        """
        Start nsctl in a lab.

        Args:
            at: Number of a tick → signals that come then; empty to only list the ticks.
            env: Added to the labs' environment.
            stdin: What it reads.
            stop: Whether it stops itself (SIGSTOP) before it begins.
            outputs: A descriptor that it is to write to, results and messages.
        """
        request = {
            "argv": argv,
            "env": ENVIRONMENT | dict(env or {}),
            "at": None if at is None else {str(n): [int(s) for s in signals] for n, signals in at.items()},
            "stop": stop,
        }
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr", "ticks")]
        os.write(files[0], stdin.encode())
        os.lseek(files[0], 0, os.SEEK_SET)
        reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        host = os.pidfd_open(lab.pid)
        results = files[1:3] if outputs is None else [outputs, outputs]
        sent = [theirs.fileno(), host, files[0], *results, files[3]]
        fds = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", sent))]
        try:
            self._socket.sendmsg([json.dumps(request).encode()], fds)
        finally:
            theirs.close()
            os.close(host)
            os.close(files[0])
        return Running(argv, reply, files[1:])

    def run(self, lab: Lab, *argv: str, timeout: float = 60, **how: Any) -> Done:
        """Run nsctl in a lab to its end; the arguments are those of `start`."""
        return self.start(lab, *argv, **how).wait(timeout)


def poll(condition: Callable[[], bool], within: float = 5) -> bool:
    """Whether something comes to be true in time."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True
