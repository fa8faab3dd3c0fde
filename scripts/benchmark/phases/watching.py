"""
The watcher: what it takes when nothing happens, and how long a network stands open after rules were flushed.

The neighbour pings a sandbox, which the network's rules drop: as long as answers come, it stands open.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmark.bench import Bench, say
from scripts.benchmark.cost import Cost, Failed
from scripts.benchmark.host import Host
from scripts.benchmark.variant import NETWORK, address
from scripts.benchmark.variants.nsctl import Nsctl, NsctlLab, nsctl
from tests.lab import HOST_ADDRESS

__all__ = ["FLUSHES", "idle_of", "measure", "open_after"]

FLUSHES = {"iptables -F": "iptables -F; iptables -t nat -F; iptables -X", "nft flush ruleset": "nft flush ruleset"}
IDLE, IDLE_IN_SHORT = 10, 2
"""Seconds, and in few rounds."""
_FEW = 3
CLOSED = 1.0
"""Seconds without an answer, after which it is closed."""
LONGEST = 60.0
_FIGHT = 2
"""Rounds after which there is a pause: the watcher must not take the benchmark for somebody who fights it."""
_BETWEEN = 3.5
_ANSWER = re.compile(r"\[(\d+\.\d+)\] \d+ bytes from")


def idle_of(there: int) -> str:
    """The metric's name."""
    return f"watch: a second of nothing, {there} sandboxes"


def open_after(flush: str, there: int) -> str:
    """The metric's name."""
    return f"watch: open after {flush}, {there} sandboxes"


def measure(bench: Bench, until: float, sizes: tuple[int, ...]) -> dict[str, float]:
    """
    With each of these numbers of sandboxes.

    Returns:
        What takes memory → MiB.
    """
    one = Nsctl()
    bench.titles[one.key] = one.title
    memory = {}
    for size in sizes:
        host = Host()
        try:
            memory[f"nsctl watch over {size}, idle"] = _with(bench, until, host, size)
        except Failed as error:
            say(f"watch over {size} is left out: {error}")
        finally:
            host.close()
    return memory


def _with(bench: Bench, until: float, host: Host, size: int) -> float:
    lab = NsctlLab()
    lab.prepare(host)
    host.measure(lambda work: lab.up(work, range(1, size + 1)))
    host.lab.neighbour(["ip", "route", "add", str(NETWORK), "via", HOST_ADDRESS], check=True)
    with _watching(host) as watcher:
        idle = IDLE if bench.rounds > _FEW else IDLE_IN_SHORT
        before = _cpu(watcher)
        time.sleep(idle)
        bench.record(idle_of(size), Nsctl.key, 0, Cost(idle, _cpu(watcher) - before), idle)
        resident = _resident(watcher)
        for turn in bench.turns(until, None):
            for flush, script in FLUSHES.items():
                bench.record(open_after(flush, size), Nsctl.key, turn, _flushed(host, watcher, script))
            if turn % _FIGHT == _FIGHT - 1:
                time.sleep(_BETWEEN)
    return resident


@contextmanager
def _watching(host: Host) -> Iterator[subprocess.Popen[str]]:
    watcher = host.lab.popen(nsctl("watch"), stdout=None, stderr=None)
    try:
        _calm(watcher)
        yield watcher
    finally:
        watcher.send_signal(signal.SIGTERM)
        watcher.wait()


def _look_is_over(watcher: subprocess.Popen[str], before: float) -> None:
    deadline = time.monotonic() + LONGEST
    while not _of_looks(watcher) > before:
        if time.monotonic() > deadline:
            raise Failed("the watcher takes no look")
        time.sleep(0.02)


def _calm(watcher: subprocess.Popen[str]) -> None:
    # Until there has been no look for a second.
    last, since = _cpu(watcher), time.monotonic()
    begun = since
    while time.monotonic() - since < CLOSED:
        time.sleep(0.02)
        if _cpu(watcher) != last or _looks(watcher):
            last, since = _cpu(watcher), time.monotonic()
        if time.monotonic() - begun > LONGEST:
            raise Failed("the watcher finds no rest")


def _looks(watcher: subprocess.Popen[str]) -> bool:
    return bool(Path(f"/proc/{watcher.pid}/task/{watcher.pid}/children").read_text(encoding="ascii").split())


def _cpu(watcher: subprocess.Popen[str]) -> float:
    """Seconds of CPU time: of the watcher in nanoseconds, of its looks that are over in hundredths of a second."""
    own = Path(f"/proc/{watcher.pid}/schedstat").read_text(encoding="ascii").split()[0]
    return int(own) / 1e9 + _of_looks(watcher)


def _of_looks(watcher: subprocess.Popen[str]) -> float:
    fields = Path(f"/proc/{watcher.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / 100


def _resident(watcher: subprocess.Popen[str]) -> float:
    lines = Path(f"/proc/{watcher.pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _flushed(host: Host, watcher: subprocess.Popen[str], script: str) -> Cost:
    """From the end of the flush to the last answer."""
    cpu, before = _cpu(watcher), _of_looks(watcher)
    ping = host.lab.popen(["ping", "-n", "-D", "-i", "0.002", str(address(1))], at=host.lab.internet)
    try:
        time.sleep(0.3)
        host.lab.run(["sh", "-ec", script], check=True)
        flushed = time.time()
        _look_is_over(watcher, before)
        _calm(watcher)
    finally:
        ping.send_signal(signal.SIGINT)
        output, _ = ping.communicate()
    answers = [float(found[1]) for line in output.splitlines() if (found := _ANSWER.match(line))]
    if not answers:
        raise Failed("no answer came while the network stood open")
    return Cost(max(answers) - flushed, _cpu(watcher) - cpu)
