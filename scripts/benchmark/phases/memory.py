"""Memory: the most that a command takes, and what an idle sandbox keeps."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from scripts.benchmark.cost import Work
from scripts.benchmark.host import Host
from scripts.benchmark.variants.nsctl import NsctlFull, NsctlLab, nsctl

__all__ = ["measure"]

SANDBOXES = 10
"""Idle sandboxes whose memory is counted: what they share is counted once."""

# A process's peak is at least what its parent had when it started it, so a small one starts the one that counts.
_PEAK = """
import os, sys
pid = os.fork()
if not pid:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(size: int) -> dict[str, float]:
    """
    What is measured → MiB.

    Args:
        size: Sandboxes of the large lab.
    """
    found: dict[str, float] = {}
    few = min(SANDBOXES, size)
    host = Host()
    try:
        found["Python alone, peak"] = _peak(host, (sys.executable, "-I", "-c", "pass"))
        found["nsctl --version, peak"] = _peak(host, nsctl("--version"))
        found["nsctl up bridge, peak"] = _peak(host, nsctl("up", "bridge", "--name", "x"))
        found["nsctl down, peak"] = _peak(host, nsctl("down", "x"))
        lab = NsctlLab()
        lab.prepare(host)
        found[f"nsctl apply of {size}, peak"] = _peak(host, nsctl("apply", host.lab.call(lab.write, size)))
        found[f"nsctl down of {size}, peak"] = _peak(host, nsctl("down", "--all"))
        before = host.lab.call(_sizes)
        host.measure(lambda work: NsctlFull().up(work, range(1, few + 1)))
        after = host.lab.call(_sizes)
        idle = sum(mib for pid, mib in after.items() if pid not in before)
        found[f"an idle init, one of {few}"] = idle / few
        host.measure(lambda work: work.run(*nsctl("down", "--all")))
    finally:
        host.close()
    return found


def _peak(host: Host, command: tuple[str, ...]) -> float:
    def run() -> str:
        return Work().run(sys.executable, "-I", "-S", "-c", _PEAK, *command)

    return int(host.lab.call(run)) / 1024


def _sizes() -> dict[int, float]:
    """Each process on the host and its proportional set size (pages that n processes share count 1/n), in MiB."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{name}/smaps_rollup", "rb") as file:
                found[int(name)] = sum(int(line.split()[1]) for line in file if line.startswith(b"Pss:")) / 1024
    return found
