"""A lab host to measure on: the tests' own labs, with what strangers write kept apart."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from scripts.benchmark.cost import Cost, Failed, Work
from tests.lab import Lab

__all__ = ["BENCH", "Host"]

BENCH = "/run/bench"
"""Where files of the benchmark's own are, on a lab host."""
GONE_WITHIN = 60.0
"""Seconds in which the kernel has to remove what was taken down."""

_ROOM = """\
set -eu
for place in /run /var/log; do mount -o remount,size=2g $place; done # a thousand at a time leave 12 MB of audit trail
mkdir -p {bench}
"""
_OVERLAY = """\
mount -t tmpfs -o mode=0755 bench {bench}
for place in etc var/lib; do
    mkdir -p {bench}/$place/upper {bench}/$place/work
    lower=/$place
    if [ -d "{software}/$place" ]; then lower={software}/$place:/$place; fi
    mount -t overlay -o "lowerdir=$lower,upperdir={bench}/$place/upper,workdir={bench}/$place/work" bench /$place
done
if [ -d "{software}/usr" ]; then mount -t overlay -o "lowerdir={software}/usr:/usr" bench /usr; fi
"""

R = TypeVar("R")


class Host:
    """
    A lab host; it dies with `close`.

    Args:
        strangers: Whether others' software runs on it: then /etc and /var/lib are copies.
        software: A directory of unpacked packages that are seen as installed, for `strangers`.
    """

    def __init__(self, *, strangers: bool = False, software: Path | None = None) -> None:
        self.lab = Lab()
        setup = _ROOM.format(bench=BENCH)
        if strangers:
            setup += _OVERLAY.format(bench=BENCH, software=software or "/nonexistent")
        self.measure(lambda work: work.run("sh", "-c", setup))

    def close(self) -> None:
        """End everything on it."""
        self.lab.close()

    def write(self, name: str, text: str) -> str:
        """Write a file of the benchmark's; its path on the lab host."""
        path = f"{BENCH}/{name}"
        self.lab.write(path, text)
        return path

    def measure(self, what: Callable[[Work], object]) -> Cost:
        """
        Do something on the host, and say what it cost.

        Raises:
            Failed: It did not work.
        """

        def measured() -> Cost:
            work = Work()
            begun = time.perf_counter()
            what(work)
            return Cost(time.perf_counter() - begun, work.cpu)

        return self.lab.call(measured)

    def measure_gone(self, what: Callable[[Work], object], until: frozenset[str]) -> Cost:
        """
        `measure`, and how long it takes until no links but `until` are left.

        Raises:
            Failed: It did not work, or links stay.
        """

        def measured() -> Cost:
            work = Work()
            begun = time.perf_counter()
            what(work)
            wall = time.perf_counter() - begun
            return Cost(wall, work.cpu, _wait_for(until) - begun)

        return self.lab.call(measured)

    def links(self) -> frozenset[str]:
        """The names of the host's links."""
        return self.lab.call(_links)

    def settle(self) -> None:
        """
        Wait until the kernel is done with what was taken down before.

        It removes dead network namespaces one batch after the other, on the whole machine: when one that dies now
        is gone, all earlier ones are.
        """

        def barrier() -> None:
            work = Work()
            before = _links()
            work.run("ip", "netns", "add", "settle")
            work.run(*"ip link add dev settle0 type veth peer name settle1 netns settle".split())
            work.run("ip", "netns", "del", "settle")
            _wait_for(before)

        self.lab.call(barrier)


def _links() -> frozenset[str]:
    return frozenset(name for _, name in socket.if_nameindex())


def _wait_for(allowed: frozenset[str]) -> float:
    """Wait until no other links are there; the time at which that was so."""
    deadline = time.perf_counter() + GONE_WITHIN
    while True:
        begun = time.perf_counter()
        rest = _links() - allowed
        now = time.perf_counter()
        if not rest:
            return now
        if now > deadline:
            raise Failed(f"links stay: {', '.join(sorted(rest)[:5])}")
        # Looking takes the kernel's time too: of a thousand links, some milliseconds.
        time.sleep(max(0.0005, 3 * (now - begun)))
