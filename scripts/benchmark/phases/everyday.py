"""
Everyday commands beside their peers, each as a whole process: all of them once a round, in turns.

A bare interpreter runs in each of these rounds, too: it is what no command in Python can do without.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.bench import Bench, say
from scripts.benchmark.cost import Cost, Failed
from scripts.benchmark.host import Host
from scripts.benchmark.stand import Stand
from scripts.benchmark.variants.cni import CniBridge
from scripts.benchmark.variants.nsctl import Nsctl, NsctlBefore, NsctlCommand, NsctlResident
from scripts.benchmark.variants.script import Script

__all__ = ["BARE", "DOWN", "EXEC", "LS", "METRICS", "ORDER", "RUN", "UP", "measure"]

VERSION, HELP, DRY_RUN, LS, EXEC, RUN, UP, DOWN = METRICS = (
    "nsctl --version",
    "nsctl --help",
    "nsctl up bridge --dry-run",
    "nsctl ls",
    "true in a sandbox",
    "true in new namespaces",
    "everyday up, network only",
    "everyday down, network only",
)
BARE = "python"
"""The key of the bare interpreter, which the ratios are to."""
_BARE = (os.path.realpath(sys.executable), "-I", "-S", "-c", "pass")
_TITLES = {
    BARE: "python -I -S -c pass",
    "ip-netns-exec": "ip netns exec",
    "nsenter": "nsenter, 5 namespaces",
    "bwrap": "bwrap --unshare-all",
    "unshare": "unshare, 5 namespaces",
}
_NSCTL = (NsctlCommand, NsctlBefore, NsctlResident)
ORDER = (BARE, *(kind.key for kind in _NSCTL), *_TITLES, CniBridge.key, Script.key)
_SANDBOX = "keep"


@dataclass(frozen=True, slots=True)
class _Command:
    metric: str
    key: str
    host: Host
    argv: tuple[str, ...]


def measure(bench: Bench, until: float, software: Path | None, before: str | None) -> None:
    """
    Twice as many rounds as elsewhere, as far as the time allows.

    Args:
        bench: The benchmark.
        until: The share of the limit at which no new round begins.
        software: A directory of unpacked packages to find others' tools in.
        before: Another `nsctl` to measure beside this one.
    """
    bench.titles |= _TITLES
    with _stands(bench, software, before) as stands:
        commands = [command for stand in stands for command in _of_nsctl(stand)]
        commands += _of_others(next(s.host for s in stands if s.variant.key == NsctlCommand.key), software)
        for command in commands:
            _cost(command)  # reads the files for the first time
        for turn in bench.turns(until, 2 * bench.rounds):
            _round(bench, stands, commands, turn)


@contextmanager
def _stands(bench: Bench, software: Path | None, before: str | None) -> Iterator[list[Stand]]:
    variants = [
        NsctlCommand(),
        *([NsctlBefore(before)] if before else []),
        NsctlResident(),
        CniBridge(software),
        Script(),
    ]
    stands: list[Stand] = []
    try:
        for variant in variants:
            bench.titles.setdefault(variant.key, variant.title)
            reason = variant.missing()
            if not reason:
                try:
                    stands.append(Stand(variant, software))
                    stands[-1].try_out()
                    stands[-1].up([1])
                except Failed as error:
                    stands.pop().close()
                    reason = str(error)
            if reason:
                say(f"{variant.title} is left out: {reason}")
                bench.left_out[variant.key] = reason
        yield stands
    finally:
        for stand in stands:
            stand.close()


def _of_nsctl(stand: Stand) -> Iterator[_Command]:
    variant, host = stand.variant, stand.host
    if not isinstance(variant, Nsctl):
        return
    nsctl = variant.command
    host.measure(lambda work: work.run(*nsctl("up", "none", "--name", _SANDBOX)))
    forms: dict[str, tuple[str, ...]] = {LS: ("ls",)}
    if not isinstance(variant, NsctlResident):  # it runs none of the others
        forms |= {
            VERSION: ("--version",),
            HELP: ("--help",),
            DRY_RUN: ("up", "bridge", "--name", "x", "--dry-run"),
            EXEC: ("exec", _SANDBOX, "--", "true"),
            RUN: ("run", "none", "--", "true"),
        }
    for metric, words in forms.items():
        yield _Command(metric, variant.key, host, nsctl(*words))


def _of_others(host: Host, software: Path | None) -> Iterator[_Command]:
    """The peers, on the host where nsctl's own sandbox is: they go into the same one."""
    found = json.loads(host.lab.run(NsctlCommand().command("inspect", _SANDBOX), check=True).stdout)
    inside = ("-m", "-u", "-i", "-n", "-p")
    yield _Command(EXEC, "ip-netns-exec", host, ("ip", "netns", "exec", _SANDBOX, "true"))
    yield _Command(EXEC, "nsenter", host, ("nsenter", "-t", str(found["pid"]), *inside, "--", "true"))
    yield _Command(RUN, "unshare", host, ("unshare", *inside, "--fork", "--mount-proc", "--", "true"))
    bwrap = shutil.which("bwrap", path=f"/usr/bin:{software}/usr/bin")
    if bwrap is None:
        say("bwrap is left out: it is not there (bubblewrap)")
    else:
        yield _Command(RUN, "bwrap", host, (bwrap, "--unshare-all", "--dev-bind", "/", "/", "--", "true"))


def _round(bench: Bench, stands: Sequence[Stand], commands: Sequence[_Command], turn: int) -> None:
    bare = stands[0].host
    for metric in METRICS:
        bench.record(metric, BARE, turn, _cost(_Command(metric, BARE, bare, _BARE)))
        those = [command for command in commands if command.metric == metric]
        first = turn % len(those) if those else 0
        for command in (*those[first:], *those[:first]):
            bench.record(metric, command.key, turn, _cost(command))
    turns = bench.taking_turns(stands, turn)
    beside = {stand.variant.key: stand.host.links() for stand in turns}
    for stand in turns:
        bench.record(UP, stand.variant.key, turn, stand.up([2]))
    for stand in turns:
        bench.record(DOWN, stand.variant.key, turn, stand.down([2], beside[stand.variant.key]))
    for stand in turns:
        stand.host.settle()


def _cost(command: _Command) -> Cost:
    return command.host.measure(lambda work: work.run(*command.argv))
