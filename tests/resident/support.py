"""What the tests of this folder say often."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import ENVIRONMENT, Lab, nsctl_argv

SOCKET = "/run/nsctl/resident.sock"
COLD = {"NSCTL_RESIDENT": "no"}
_NOTE = "note: not run by the resident process: "


def server_of(lab: Lab) -> int:
    """The PID of the resident process, as the lab host sees it."""
    return int(lab.read("/run/nsctl/resident.lock").split()[0])


def server_on_machine(lab: Lab) -> int:
    """The same, as the machine sees it."""
    inside = server_of(lab)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
            same = os.readlink(f"/proc/{pid}/ns/pid") == lab.call(os.readlink, "/proc/1/ns/pid")
        except OSError:
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        if same and numbers[-1] == str(inside):
            return int(pid)
    raise AssertionError("the resident process is gone")


def requests(lab: Lab) -> int:
    """How often the resident process was asked, this time left out."""
    done = lab.nsctl("resident", "status", check=True)
    return int(done.stdout.split()[-1]) - 1


def why_not(lab: Lab, *argv: str, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None) -> str:
    """
    Why nsctl runs a command itself, `ls` if none is given; empty if the resident process ran it.

    It succeeds in both cases.
    """
    before = requests(lab)
    done = lab.run([*prefix, *nsctl_argv("-v", *(argv or ("ls",)))], env=ENVIRONMENT | dict(env or {}))
    assert done.returncode == 0, done
    asked = requests(lab) - before - 1  # of `requests` itself
    told = [line.removeprefix(_NOTE) for line in done.stderr.splitlines() if line.startswith(_NOTE)]
    if told:
        return told[0]
    return "" if asked == 1 else "it was not asked"


def alike(lab: Lab, *argv: str, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002
    """Run a command without the resident process and by it; what it says and returns is the same."""
    cold = lab.nsctl(*argv, input=input, env=COLD)
    by_it = lab.nsctl(*argv, input=input)
    assert (by_it.returncode, by_it.stdout, by_it.stderr) == (cold.returncode, cold.stdout, cold.stderr), argv
    return by_it
