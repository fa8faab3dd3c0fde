"""Start-up: commands that do next to nothing."""

from __future__ import annotations

import sys

from scripts.benchmark.bench import Bench
from scripts.benchmark.cost import Cost
from scripts.benchmark.host import Host
from scripts.benchmark.variants.nsctl import nsctl

__all__ = ["METRIC", "measure"]

METRIC = "start-up"

_COMMANDS = {
    "python": ("Python alone", (sys.executable, "-I", "-c", "pass")),
    "version": ("nsctl --version", nsctl("--version")),
    "help": ("nsctl --help", nsctl("--help")),
    "dry-run": ("nsctl up bridge --dry-run", nsctl("up", "bridge", "--name", "x", "--dry-run")),
    "ls": ("nsctl ls", nsctl("ls")),
}


def measure(bench: Bench, until: float) -> None:
    """Each once a round, beside bare Python."""
    host = Host()
    try:
        for _, command in _COMMANDS.values():
            _run(host, command)  # writes bytecode, and reads the files for the first time
        for turn in bench.turns(until, 2 * bench.rounds):
            for key, (title, command) in _COMMANDS.items():
                bench.titles[key] = title
                bench.record(METRIC, key, turn, _run(host, command))
    finally:
        host.close()


def _run(host: Host, command: tuple[str, ...]) -> Cost:
    return host.measure(lambda work: work.run(*command))
