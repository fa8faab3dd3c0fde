"""
A step that fails, at every position of every mode: the host is as before.

Simple on purpose, with nsctl started as people start it; hangs, kills, signals and batches that stop half-way are in
tests/faults.
"""

from __future__ import annotations

import pytest

from tests.lab import Canaries, Lab, Shims, Snapshot, assert_back, canaries_alive, plant_canaries, shim, snapshot
from tests.system.support import data, down, up

MODES = {
    "none": ("none",),
    "host": ("host",),
    "bridge": ("bridge", "--subnet", "10.0.3.0/24"),
    "container": ("container", "--target", "target"),
    "bridge beside another": ("bridge", "--subnet", "10.0.4.0/24"),
    "net only": ("none", "--isolate", "net"),
    "workload": ("none", "--isolate", "net,mount", "--", "sleep", "1000"),
}


class Ground:
    """A lab with canaries, in which one thing is tried again and again."""

    def __init__(self, lab: Lab, mode: str, *options: str) -> None:
        self.lab = lab
        args = MODES[mode]
        cut = args.index("--") if "--" in args else len(args)
        self.up = ("up", *args[:cut], "--name", "web", *options, *args[cut:])
        if mode == "container":
            up(lab, "none", "--name", "target")
        if mode == "bridge beside another":
            up(lab, "bridge", "--name", "other", "--subnet", "10.0.4.0/24")
        self.canaries: Canaries = plant_canaries(lab)
        self.before: Snapshot = snapshot(lab)
        self.shims: Shims = shim(lab)
        lab.nsctl(*self.up, check=True)
        self.calls = [" ".join(call.argv) for call in self.shims.calls]
        down(lab, "web")
        assert_back(lab, self.before)

    def fails(self, number: int, action: str) -> None:
        """Try it with one call failing."""
        if "unshare --" in self.calls[number - 1]:
            action = "fail-before"  # it never ends: after having acted it can't fail
        self.shims.plan({number: action})
        done = self.lab.nsctl(*self.up)
        call = " ".join(self.shims.calls[number - 1].argv)  # two workers call in any order
        told = f"call {number}, {action}: {call[:200]}: {done}"
        assert self.shims.injected, told
        if done.returncode == 0:
            assert may_fail(call, action), told
            down(self.lab, "web")
        else:
            assert done.returncode in {1, 2}, told
            assert done.stdout == "", told
            assert done.stderr.startswith("nsctl: "), told
        assert_back(self.lab, self.before)
        canaries_alive(self.lab, self.canaries)


def may_fail(call: str, action: str) -> bool:
    """Whether a call may fail without harm: the init unmounts until there is nothing more, and others become it."""
    becomes = call.startswith("setpriv ") or "unshare --" in call
    return call.startswith("umount ") or (becomes and action == "fail-after")


# Every day tests/faults/test_steps.py tries some of each mode's.
@pytest.mark.nightly
@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_fails_leaves_the_host_as_it_was(lab: Lab, mode: str) -> None:
    ground = Ground(lab, mode)
    for number in range(1, len(ground.calls) + 1):
        ground.fails(number, "fail-before" if number % 2 else "fail-after")
    if mode == "bridge":
        for number in range(1, len(ground.calls) + 1):
            ground.fails(number, "fail-after" if number % 2 else "fail-before")
    assert "web" not in [found["name"] for found in data(lab, "ls", "--json")]


@pytest.mark.nightly
@pytest.mark.parametrize("mode", ["none", "host", "bridge", "container"])
def test_a_step_that_fails_leaves_the_host_as_it_was(lab: Lab, mode: str) -> None:
    ground = Ground(lab, mode, "--no-batch")
    assert len(ground.calls) >= (25 if mode == "bridge" else 4)
    for number in range(1, len(ground.calls) + 1):
        ground.fails(number, "fail-after" if number % 2 else "fail-before")
    ground.shims.plan({})
    lab.nsctl(*ground.up, check=True)
    down(lab, "web")
    assert_back(lab, ground.before)


@pytest.mark.both_ways
def test_the_failing_step_is_named_with_its_command_and_what_the_tool_said(lab: Lab) -> None:
    ground = Ground(lab, "bridge")
    ground.shims.plan({"ip *": "fail-before"})
    done = lab.nsctl(*ground.up)
    assert done.stderr.startswith("nsctl: step ")
    assert " failed: ip " in done.stderr
    assert "everything was undone" in done.stderr
