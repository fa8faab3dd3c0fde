"""System calls of nsctl that fail or kill it, by strace: attached to one that was forked and waits."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.ground import Ground, civil
from tests.faults.warm import Done, poll


@dataclass(frozen=True)
class Traced:
    """
    Args:
        done: What nsctl did.
        calls: The traced system calls, one line each.
    """

    done: Done
    calls: list[str]

    @property
    def injected(self) -> list[str]:
        """The calls that something happened at."""
        return [call for call in self.calls if "(INJECTED" in call or "+++ killed" in call]


def traced(
    ground: Ground,
    argv: Sequence[str],
    calls: str,
    inject: str = "",
    *,
    paths: Sequence[str] = (),
    follow: bool = False,
) -> Traced:
    """
    Run nsctl with some of its main thread's system calls traced.

    Args:
        calls: Their names: `write,pwrite64`.
        inject: What happens, and when: `error=EIO:when=3`.
        paths: Only calls about these files.
        follow: Other threads, and what it starts, too; each counts for itself.
    """
    with TemporaryDirectory() as directory:
        output = Path(directory) / "calls"
        options = ["-qq", "-o", str(output), "-e", f"trace={calls}", *(["-f"] if follow else [])]
        options += ["-e", f"inject={calls}:{inject}"] if inject else []
        options += [word for path in paths for word in ("-P", path)]
        running = ground.start(*argv, stop=True)
        status = Path(f"/proc/{running.pid}/status")
        poll(lambda: "T (stopped)" in status.read_text(encoding="ascii"))
        tracer = subprocess.Popen(["strace", *options, "-p", str(running.pid)], stderr=subprocess.PIPE, text=True)
        attached = poll(lambda: "TracerPid:\t0\n" not in status.read_text(encoding="ascii"))
        running.signal(signal.SIGCONT)
        try:
            done = running.wait()
        finally:
            # With `follow` it would wait for the sandbox's init.
            tracer.send_signal(signal.SIGINT)
            _, errors = tracer.communicate(timeout=20)
        assert attached, errors
        return Traced(civil(done), output.read_text(encoding="utf-8", errors="backslashreplace").splitlines())
