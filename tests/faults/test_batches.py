"""2. A fused batch that stops after each of its lines: what it did is undone, and what it did not do is not missed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest

from nsctl.engine.testing.files import SHIM_DIRECTORY
from tests.faults.ground import BASE, BESIDE, MODES, Ground
from tests.faults.tally import Tally
from tests.faults.warm import Warm


@dataclass(frozen=True)
class Stop:
    """
    A place in a batch where it stops.

    Args:
        line: The batch's command line; several may have the same.
        inside: Whether it is the one in the sandbox's network.
        action: As for shims.
    """

    line: str
    inside: bool
    action: str

    def plan(self, ground: Ground) -> None:
        """From now on the first such batch stops there."""
        ground.plan({})
        there = "!=" if self.inside else "="
        tests = [
            f"[ ! -e {SHIM_DIRECTORY}/done ]",
            f"[ \"$line\" = '{self.line}' ]",
            f'[ "$(readlink /proc/self/ns/net)" {there} "$(readlink /proc/1/ns/net)" ]',
        ]
        plan = f"if {' && '.join(tests)}; then action={self.action}; fi\n"
        ground.lab.write(f"{SHIM_DIRECTORY}/plan", plan)


def ground_for(warm: Warm, mode: str) -> Ground:
    return Ground(warm, shims=True, up=[BASE] if mode in BESIDE else [], mode=mode)


def places(ground: Ground, *argv: str) -> list[Stop]:
    """Every place where a batch of a command of nsctl's can stop."""
    ground.plan({})
    ground.shims.record(on=True)
    ground.good(*argv)
    ground.shims.record(on=False)
    found = []
    for call in ground.shims.calls:
        if call.stdin is not None and call.argv[0] == "ip":
            inside = call.stdin.startswith("link set dev lo")
            found += [Stop(" ".join(call.argv), inside, f"batch-stop:{n}") for n in range(call.lines + 1)]
        elif call.stdin is not None:
            stops = range(call.stdin.splitlines().count("COMMIT") + 1)
            found += [Stop(" ".join(call.argv), inside=False, action=f"restore-stop:{n}") for n in stops]
    assert found
    return found


def stopped(ground: Ground) -> None:
    assert ground.shims.calls  # which says so if a fault could not be injected
    assert len(ground.shims.injected) == 1, ground.shims.injected
    ground.plan({})


@pytest.mark.parametrize("mode", ["none", "bridge", "internal bridge", "workload", "second on a bridge"])
def test_a_batch_that_stops_half_way_is_undone(mode: str, warm: Warm, tally: Tally) -> None:
    ground = ground_for(warm, mode)
    try:
        cases = places(ground, *MODES[mode])
    finally:
        ground.close()

    def attempt(ground: Ground, case: Stop) -> None:
        case.plan(ground)
        done = ground.nsctl(*MODES[mode])
        assert done.status == 1, str(done)
        stopped(ground)
        assert not ground.settled()

    assert tally.sweep("a batch stops half-way", cases, partial(ground_for, warm, mode), attempt) > 1


@pytest.mark.parametrize("mode", ["bridge", "second on a bridge", "container"])
def test_an_undoing_batch_that_stops_half_way_is_named_and_undone_by_recover(
    mode: str, warm: Warm, tally: Tally
) -> None:
    ground = ground_for(warm, mode)
    try:
        ground.good(*MODES[mode])
        cases = places(ground, "down", "web")
    finally:
        ground.close()

    def attempt(ground: Ground, case: Stop) -> None:
        ground.good(*MODES[mode])
        case.plan(ground)
        done = ground.nsctl("down", "web")
        stopped(ground)
        # A batch of rules that fails is repeated rule by rule, so there may be nothing left to name.
        assert done.status in {0, 3}, str(done)
        assert (done.status == 3) == ("left over: " in done.stderr), str(done)
        if done.status == 3:
            ground.good("recover")
        assert not ground.settled()

    tally.sweep("an undoing batch stops half-way", cases, partial(ground_for, warm, mode), attempt)


@pytest.mark.parametrize("action", ["fail-before", "fail-after"])
def test_undos_that_all_fail_are_named_and_repeated_by_recover(action: str, warm: Warm, tally: Tally) -> None:
    def attempt(ground: Ground, number: int) -> None:
        ground.plan({number: "fail-after", f"{number + 1}+": action, "*-save*": ""})
        done = ground.nsctl(*MODES["bridge"])
        assert done.status in ({3} if action == "fail-before" else {1, 3}), str(done)
        assert (done.status == 3) == ("left over: " in done.stderr), str(done)
        ground.plan({})
        if done.status == 3:
            ground.good("recover")
        assert not ground.settled()

    tally.sweep("every undo fails", range(3, 7), partial(ground_for, warm, "bridge"), attempt)
