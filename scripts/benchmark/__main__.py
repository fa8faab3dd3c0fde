"""The command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from scripts.benchmark import machine, packages
from scripts.benchmark.bench import Bench, say
from scripts.benchmark.phases import bulk, entry, everyday, imports, memory, scale, single, watching
from scripts.benchmark.report import Report
from scripts.benchmark.variants import nsctl
from tests.lab import missing_for_labs

__all__ = ["main"]

EVERYDAY = "everyday"
_NAMES = (EVERYDAY, "nsctl", "script", "cni", "netavark", "podman", "docker", "netlink")
# Shares of the time limit at which no new round of a phase begins.
_EVERYDAY, _SINGLE, _RECOVER, _BULK, _BESIDE = 0.15, 0.38, 0.42, 0.92, 1.00
_RESERVE, _RESERVE_EACH = 30.0, 0.04
"""Seconds that memory, imports, watching and one more beside all others take, and how much more with each of these."""


def main() -> int:
    """Measure, and print the result."""
    options = _options()
    if os.geteuid() != 0:
        say("labs need root: sudo scripts/bench")
        return 2
    if options.install:
        packages.fetch()
    if reason := missing_for_labs():
        say(reason)
        return 2
    bench = Bench(options.rounds, tuple(sorted(options.sizes)), options.everybody, options.limit * 60)
    say(f"this takes at most about {_minutes(bench.limit)}")
    report = Report(bench, machine.describe())
    try:
        _measure(bench, report, frozenset(options.only), options.before)
    finally:
        bench.close()
    print("\n\n".join(report.text()), flush=True)
    if options.json:
        Path(options.json).write_text(report.json(), encoding="utf-8")
    if options.svg:
        Path(options.svg).write_text(report.svg(), encoding="utf-8")
    return 0


def _measure(bench: Bench, report: Report, only: frozenset[str], before: str | None) -> None:
    software = packages.unpacked()
    entry.enter(bench, only, software)
    largest = bench.sizes[-1]
    bench.share_out(_RESERVE + _RESERVE_EACH * largest)
    own = not only or bool({"nsctl", EVERYDAY} & only)
    if own:
        say("everyday commands")
        everyday.measure(bench, _EVERYDAY, software, before)
    if only == {EVERYDAY}:
        return
    singly = [stand.variant.title for stand in bench.stands if stand.variant.singly]
    say(f"one at a time, {bench.rounds} rounds of {', '.join(singly)}")
    single.measure(bench, _SINGLE)
    if own:
        scale.recover(bench, _RECOVER, min(scale.KILLED_AT, largest))
    say(f"many at once: {', '.join(map(str, bench.sizes))}")
    bulk.measure(bench, _RECOVER, _BULK)
    if own:
        say("scale, memory, imports")
        scale.beside(bench, _BESIDE, largest)
        report.memory = memory.measure(largest)
        report.imports = imports.measure()
        say("the watcher")
        report.memory |= watching.measure(bench, _BESIDE, tuple(sorted({1, largest})))


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"  # noqa: PLR2004 - as people say


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure nsctl beside a plain script, CNI, netavark, podman, docker and raw netlink, in labs.",
        epilog="By default it takes about 8 minutes.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="few rounds, and at most 100 at once: a minute and a half")
    add("--full", action="store_true", help="others than nsctl, too, 1000 at once, podman and docker 100: half an hour")
    add("--rounds", type=int, metavar="N", help="rounds, where time allows (10; --quick: 3)")
    add("--sizes", type=_numbers, metavar="N,N", help="so many at once (1,10,100,1000; --quick: 10,100)")
    add("--limit", type=float, metavar="MINUTES", help="how long it may take (8; --quick: 1.4; --full: 30)")
    add("--only", type=_words, default=[], metavar="NAME,NAME", help=f"only some of: {', '.join(_NAMES)}")
    add("--nsctl", metavar="FILE", help="measure an installed nsctl, by its console script (this clone's)")
    add("--before", metavar="FILE", help="measure another version's everyday commands beside, by its console script")
    add("--install", action="store_true", help=f"first fetch, for labs only: {', '.join(packages.PACKAGES)} (Debian)")
    add("--json", metavar="FILE", help="write everything to FILE")
    add("--svg", metavar="FILE", help="write a picture to FILE")
    options = parser.parse_args()
    rounds, sizes, everybody, limit = 10, [1, 10, 100, 1000], 100, 8.0
    if options.quick:
        rounds, sizes, everybody, limit = 3, [10, 100], 10, 1.4
    elif options.full:
        everybody, limit = 1000, 30.0
    options.rounds = options.rounds or rounds
    options.sizes = options.sizes or sizes
    options.limit = options.limit or limit
    options.everybody = everybody
    if options.nsctl:
        nsctl.PROGRAM[:] = [options.nsctl]
    return options


def _words(text: str) -> list[str]:
    words = [word for word in text.split(",") if word]
    if unknown := [word for word in words if word not in _NAMES and not word.startswith("nsctl-")]:
        raise argparse.ArgumentTypeError(f"there is no {unknown[0]}; there are {', '.join(_NAMES)}")
    return words


def _numbers(text: str) -> list[int]:
    numbers = [int(word) for word in text.split(",") if word]
    if not numbers or min(numbers) < 1 or max(numbers) > 1000:  # noqa: PLR2004 - a bridge has 1023 ports
        raise argparse.ArgumentTypeError("sizes are from 1 to 1000")
    return numbers


if __name__ == "__main__":
    sys.exit(main())
