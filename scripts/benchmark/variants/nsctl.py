"""nsctl itself, as its console script starts it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark.cost import Failed, Work
from scripts.benchmark.host import BENCH, Host
from scripts.benchmark.variant import NETWORK, Variant, netns

__all__ = [
    "Nsctl",
    "NsctlBefore",
    "NsctlCommand",
    "NsctlFull",
    "NsctlLab",
    "NsctlLabFull",
    "NsctlLabUnfused",
    "NsctlResident",
    "NsctlUnfused",
    "nsctl",
]

PROGRAM = [sys.executable, "-I", str(Path(sys.executable).with_name("nsctl"))]
"""How `scripts/nsctl` starts it; --nsctl has another one measured."""

_REFUSED = "not run by the resident process"


def nsctl(*words: str) -> tuple[str, ...]:
    """A command line of nsctl's."""
    return (*PROGRAM, *words)


class Nsctl(Variant):
    """Only a network namespace: what a script, CNI and netavark make."""

    key = "nsctl"
    title = "nsctl (network only)"
    note = "nsctl up bridge --isolate net"
    bulk = False
    strangers = False
    options: tuple[str, ...] = ("--isolate", "net")
    fusing: tuple[str, ...] = ()

    def command(self, *words: str) -> tuple[str, ...]:
        """A command line."""
        return nsctl(*words)

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """One command for each."""
        bridge = ("up", "bridge", "--subnet", str(NETWORK), *self.options, *self.fusing)
        for number in numbers:
            work.run(*self.command(*bridge, "--name", netns(number)))

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """One command for each."""
        for number in reversed(numbers):
            work.run(*self.command("down", netns(number), *self.fusing))


class NsctlCommand(Nsctl):
    """The same, among the everyday commands."""

    key = "nsctl-command"
    title = "nsctl"


class NsctlResident(Nsctl):
    """The same commands, carried out by a process that stays."""

    key = "nsctl-resident"
    title = "nsctl with a resident"
    note = "nsctl up bridge --isolate net, after nsctl resident start"

    def prepare(self, host: Host) -> None:
        """Start the process."""
        host.measure(lambda work: work.run(*nsctl("resident", "start")))

    def check(self, work: Work, number: int) -> None:
        """Whether it is the resident that runs commands, too: whoever is refused runs them, and says so to -v only."""
        super().check(work, number)
        said = work.run("sh", "-c", 'exec "$@" 2>&1', "sh", *nsctl("-v", "ls"))
        if _REFUSED in said:
            raise Failed(said[said.index(_REFUSED) :].splitlines()[0])


class NsctlBefore(Nsctl):
    """
    Another version.

    Args:
        program: Its console script.
    """

    key = "nsctl-before"
    title = "nsctl, the other one"
    note = "what --before names"

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def command(self, *words: str) -> tuple[str, ...]:
        """A command line."""
        return (self._program, *words)


class NsctlUnfused(Nsctl):
    """One process for each step."""

    key = "nsctl-no-batch"
    title = "nsctl --no-batch"
    note = "the same with one process for each step"
    fusing = ("--no-batch",)


class NsctlFull(Nsctl):
    """The whole sandbox: namespaces of all kinds and an init, as podman and docker make."""

    key = "nsctl-full"
    title = "nsctl"
    note = "nsctl up bridge: the whole sandbox, with an init"
    options = ()


class NsctlLab(Variant):
    """A lab file: all of them in one command and one transaction."""

    key = "nsctl-lab"
    title = "nsctl apply (network only)"
    note = 'nsctl apply lab.toml, isolate = ["net"]'
    singly = False
    quick = True
    strangers = False
    isolate = 'isolate = ["net"]\n'
    fusing: tuple[str, ...] = ()

    def prepare(self, host: Host) -> None:
        """Where the lab file will be; its name is what its sandboxes are known by."""
        host.write(f"{self.key}.toml", "")

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """Apply the file with so many more."""
        self._apply(work, numbers[-1])

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """All of the file's; or apply it with so many fewer."""
        if numbers[0] == 1:
            work.run(*nsctl("down", "--file", f"{BENCH}/{self.key}.toml", *self.fusing))
        else:
            self._apply(work, numbers[0] - 1)

    def write(self, count: int) -> str:
        """Write the file for so many sandboxes; its path."""
        path = f"{BENCH}/{self.key}.toml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'[sandbox.s]\nmode = "bridge"\nsubnet = "{NETWORK}"\n{self.isolate}count = {count}\n')
        return path

    def _apply(self, work: Work, count: int) -> None:
        work.run(*nsctl("apply", self.write(count), *self.fusing))


class NsctlLabUnfused(NsctlLab):
    """One process for each step."""

    key = "nsctl-lab-no-batch"
    title = "nsctl apply --no-batch"
    note = "the same with one process for each step"
    quick = False
    fusing = ("--no-batch",)


class NsctlLabFull(NsctlLab):
    """Whole sandboxes."""

    key = "nsctl-lab-full"
    title = "nsctl apply"
    note = "nsctl apply lab.toml: whole sandboxes, each with an init"
    isolate = ""
