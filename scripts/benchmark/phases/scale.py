"""One more beside a thousand: what a single command costs on a full host, and after a kill."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

from scripts.benchmark.bench import Bench, say
from scripts.benchmark.cost import Cost, Failed
from scripts.benchmark.host import Host
from scripts.benchmark.variants.nsctl import Nsctl, NsctlLab, nsctl

__all__ = ["KILLED_AT", "beside", "beside_of", "looks_of", "recover", "recovery_of"]

KILLED_AT = 100
"""Sandboxes that a killed nsctl was making."""
ROUNDS = 5
FEWER = 100
"""Sandboxes that are there when one comes, besides none and the most."""


def beside_of(there: int) -> tuple[str, str, str]:
    """The metrics' names."""
    return f"one up beside {there}", f"ls of {there + 1}", f"one down beside {there}"


def looks_of(there: int) -> tuple[str, str]:
    """The metrics' names."""
    return f"check of {there}", f"repair of {there}, nothing to do"


def recovery_of(size: int) -> str:
    """The metric's name."""
    return f"recover after a kill at {size}"


def beside(bench: Bench, until: float, size: int) -> None:
    """`up` of one, `ls`, and `down` of it, `check`, and `repair` with nothing to do: beside none, some, and `size`."""
    lab, one = NsctlLab(), Nsctl()
    bench.titles[one.key] = one.title
    host = Host()
    try:
        lab.prepare(host)
        _more(host, one, 0)  # reads the files for the first time
        for there in sorted({0, min(FEWER, size), size}):
            if there:
                host.measure(lambda work, there=there: lab.up(work, range(1, there + 1)))  # type: ignore[misc]
            for turn in bench.turns(until, min(bench.rounds, ROUNDS)):
                for metric, cost in zip(beside_of(there), _more(host, one, there), strict=True):
                    bench.record(metric, one.key, turn, cost)
                for metric, word in zip(looks_of(there), ("check", "repair"), strict=True):
                    bench.record(metric, one.key, turn, host.measure(lambda work, word=word: work.run(*nsctl(word))))  # type: ignore[misc]
    except Failed as error:
        say(f"one beside {size} is left out: {error}")
    finally:
        host.close()


def _more(host: Host, one: Nsctl, there: int) -> tuple[Cost, Cost, Cost]:
    before = host.links()
    up = host.measure(lambda work: one.up(work, [there + 1]))
    listed = host.measure(lambda work: work.run(*nsctl("ls")))
    down = host.measure_gone(lambda work: one.down(work, [there + 1]), before)
    host.settle()
    return up, listed, down


def recover(bench: Bench, until: float, size: int = KILLED_AT) -> None:
    """Kill nsctl when nine tenths of the links of an `apply` are there, and let `recover` take all of it away."""
    lab = NsctlLab()
    host = Host()
    try:
        lab.prepare(host)
        for turn in bench.turns(until, min(bench.rounds, ROUNDS)):
            bench.titles[lab.key] = lab.title
            bench.record(recovery_of(size), lab.key, turn, _recovered(host, lab, size))
    except Failed as error:
        say(f"recovery is left out: {error}")
    finally:
        host.close()


def _recovered(host: Host, lab: NsctlLab, size: int) -> Cost:
    none = host.links()
    path = host.lab.call(lab.write, size)
    for _ in range(5):
        child = host.lab.popen(nsctl("apply", path))
        while len(host.links()) < len(none) + 0.9 * size and child.poll() is None:
            time.sleep(0.001)
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        child.communicate()
        if child.returncode == -signal.SIGKILL:
            return host.measure_gone(lambda work: work.run(*nsctl("recover")), none)
        host.measure(lambda work: lab.down(work, range(1, size + 1)))
    raise Failed("nsctl is always faster than the signal")
