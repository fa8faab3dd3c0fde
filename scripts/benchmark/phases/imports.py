"""What `up` imports, and how long it takes: so that growth shows."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from scripts.benchmark.host import Host

__all__ = ["Imports", "measure", "read"]

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Imports:
    """
    Import times, in milliseconds.

    Args:
        total: All of them together.
        modules: How many there are.
        packages: Package → its own modules' times; those of the standard library that belong to none are single.
        largest: Module → its own time and its time with what it imports.
    """

    total: float
    modules: int
    packages: dict[str, float]
    largest: dict[str, tuple[float, float]]


def measure() -> Imports:
    """Of a real `up`, the fastest of a few: the interpreter's own measurement."""
    host = Host()
    try:
        return min((_once(host, number) for number in range(ROUNDS + 1)), key=lambda imports: imports.total)
    finally:
        host.close()


def _once(host: Host, number: int) -> Imports:
    words = ("-I", "-X", "importtime", "-m", "nsctl", "up", "bridge", "--name", f"s-{number}", "--isolate", "net")
    return read(host.lab.run([sys.executable, *words], check=True).stderr)


def read(text: str) -> Imports:
    """Read what the interpreter printed, among other things perhaps."""
    own: dict[str, float] = {}
    together: dict[str, float] = {}
    for line in text.splitlines():
        head, _, rest = line.partition("import time:")
        fields = rest.split("|")
        if head or len(fields) != 3 or not fields[0].strip().isdigit():  # noqa: PLR2004 - own, cumulative, name
            continue
        name = fields[2].strip()
        own[name] = own.get(name, 0.0) + int(fields[0]) / 1000
        together[name] = int(fields[1]) / 1000
    packages: dict[str, float] = {}
    for name, milliseconds in own.items():
        package = name.partition(".")[0]
        packages[package] = packages.get(package, 0.0) + milliseconds
    largest = sorted(own, key=own.__getitem__, reverse=True)
    return Imports(sum(own.values()), len(own), _sorted(packages), {n: (own[n], together[n]) for n in largest})


def _sorted(numbers: dict[str, float]) -> dict[str, float]:
    return dict(sorted(numbers.items(), key=lambda item: -item[1]))
