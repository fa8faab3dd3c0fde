"""4. System calls of nsctl's own that fail, or that it dies at: writes, opens, forks, execs and the like."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest

from tests.faults.ground import MODES, Ground
from tests.faults.tally import Tally, some
from tests.faults.tracer import traced
from tests.faults.warm import Warm
from tests.lab import needs

pytestmark = needs("strace")

KILLED = "signal=SIGKILL"
FAULTS = {
    "pwrite64": (KILLED, "error=EIO", "error=ENOSPC"),
    "write": (KILLED, "error=EIO", "error=ENOSPC"),
    "openat": (KILLED, "error=EIO", "error=EMFILE"),
    "fdatasync": (KILLED, "error=EIO"),
    "ftruncate": (KILLED, "error=EIO"),
    "unlink": (KILLED, "error=EIO"),
    "mkdir": ("error=EIO", "error=ENOSPC"),
    "flock": ("error=ENOLCK",),
    "memfd_create": ("error=EMFILE",),
    "vfork": (KILLED, "error=EAGAIN"),
    "clone3": ("error=EAGAIN",),
    "pidfd_open": ("error=EMFILE",),
    "socket": ("error=EMFILE",),
    "sendto": ("error=ENOBUFS",),
    "recvmsg": ("error=ENOBUFS",),
    "pread64": ("error=EIO",),
    "getdents64": ("error=EIO",),
}
"""System call → what happens to it; those that nsctl's main thread does not make are left out."""
MANY = ("pwrite64", "openat")
COMMANDS = {"up": MODES["bridge"], "down": ("down", "web"), "recover": ("recover",), "repair": ("repair",)}
TOOLS = ("ip", "nft", "iptables-save", "iptables-restore", "unshare", "mount", "setpriv")


@dataclass(frozen=True)
class Fault:
    """What happens at the n-th call of a system call."""

    call: str
    what: str
    number: int


def prepare(ground: Ground, command: str) -> None:
    """Have something for the command to do."""
    if command in {"down", "repair"}:
        ground.good(*MODES["bridge"])
    if command == "repair":
        ground.lab.run(["ip", "link", "del", "ns-web"], check=True)
        ground.lab.run(["iptables", "-F", "NSCTL-FORWARD"], check=True)
    if command == "recover":
        ground.nsctl(*MODES["bridge"], at={150: [signal.SIGKILL]})


def survive(ground: Ground, command: str, status: int) -> None:
    """The status was true, and whatever is left can be taken away."""
    if status == -signal.SIGKILL:
        ground.good("recover")
        if command == "repair":
            ground.good("repair")
    elif command == "up":
        assert status in {0, 1, 2, 3}, status
        if status == 3:
            ground.good("recover")
        assert ground.settled() == (status == 0)
    elif command == "down":
        assert status in {0, 2, 3}, status
        if status == 0:
            ground.back()
        ground.good("recover")
        assert ground.settled() == (status == 2)
    elif command == "repair":
        assert status in {0, 1, 2, 4}, status
        ground.good("repair")
        assert ground.settled()
    else:
        assert status in {0, 2, 3}, status
        if status == 0:
            ground.back()
        ground.good("recover")
    if status == -signal.SIGKILL or command == "recover":
        ground.settled()


@pytest.mark.parametrize(("command", "most"), [("up", 20), ("down", 10), ("recover", 7), ("repair", 5)])
def test_a_system_call_that_fails_is_survived(command: str, most: int, warm: Warm, tally: Tally) -> None:
    ground = Ground(warm)
    try:
        prepare(ground, command)
        calls = traced(ground, COMMANDS[command], ",".join(FAULTS)).calls
    finally:
        ground.close()
    counts = Counter(line.partition("(")[0].split()[-1] for line in calls if "(" in line)
    generator = tally.random(command)
    cases = [
        Fault(call, what, number)
        for call, whats in FAULTS.items()
        for what in whats
        for number in some(range(1, counts[call] + 1), most if call in MANY else 3, generator)
    ]

    def attempt(ground: Ground, fault: Fault) -> None:
        prepare(ground, command)
        trace = traced(ground, COMMANDS[command], fault.call, f"{fault.what}:when={fault.number}")
        try:
            survive(ground, command, trace.done.status)
        except AssertionError as e:
            raise AssertionError(f"{trace.injected} {trace.done}: {e}") from e

    tally.sweep(f"system call: {command}", cases, partial(Ground, warm), attempt)


@pytest.mark.parametrize("error", ["EIO", "ENOMEM", "EMFILE", "ENOENT"])
def test_a_tool_that_can_not_be_executed_is_a_step_that_failed(error: str, warm: Warm, tally: Tally) -> None:
    def attempt(ground: Ground, tool: str) -> None:
        paths = [f"{directory}/{tool}" for directory in ("/usr/sbin", "/usr/bin", "/sbin", "/bin")]
        trace = traced(ground, MODES["bridge"], "execve", f"error={error}", paths=paths, follow=True)
        assert trace.injected, str(trace.done)
        survive(ground, "up", trace.done.status)
        assert trace.done.status in {1, 2}, str(trace.done)

    tally.sweep("system call: execve", TOOLS, partial(Ground, warm), attempt)
