"""
1. Every mode, every step: it fails before it acts, fails after it acted, or hangs. Afterwards the host is as before.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.faults.ground import BASE, BESIDE, FIREWALLD, MODES, Ground, before_the_init, is_stage
from tests.faults.tally import Tally
from tests.faults.warm import Warm
from tests.lab import Call

HANGS = ("300ms", "10s")
"""
Deadlines of a step where one hangs. The first is too short for a machine that has much to do, where other steps miss
it, and those that undo them: what was not survived then is tried once more, with the second.
"""
PLENTY = "30s"
TOLERATED = ("iptables-save", "ip6tables-save", "umount")
"""These only look, or take away what may not be there: nsctl can succeed without."""


def ground_for(warm: Warm, mode: str) -> Ground:
    return Ground(warm, shims=True, up=[BASE] if mode in BESIDE else [], mode=mode)


def calls_of(warm: Warm, mode: str, *options: str) -> list[Call]:
    ground = ground_for(warm, mode)
    try:
        ground.plan({})
        ground.good(*with_options(MODES[mode], *options))
        calls = ground.shims.calls
        ground.plan({})
        ground.good("down", "web")
        ground.back()
    finally:
        ground.close()
    assert calls
    return calls


def with_options(argv: Iterable[str], *options: str) -> list[str]:
    words = list(argv)
    return [*words[:2], *options, *words[2:]]


@pytest.mark.parametrize("mode", ["none", "host", "bridge", "container", FIREWALLD])
def test_a_step_that_fails_or_hangs_leaves_the_host_as_it_was(mode: str, warm: Warm, tally: Tally) -> None:
    try_steps(
        mode, ("--no-batch",), calls_of(warm, mode, "--no-batch"), ("fail-before", "fail-after", "hang"), warm, tally
    )


@pytest.mark.parametrize("mode", MODES)
def test_fused_steps_that_fail_or_hang_leave_the_host_as_it_was(mode: str, warm: Warm, tally: Tally) -> None:
    actions = ("fail-before", "fail-after", "hang-after", "hang-deaf", "hang-grandchild")
    try_steps(mode, (), before_the_init(calls_of(warm, mode)), actions, warm, tally)


def try_steps(
    mode: str, options: tuple[str, ...], calls: list[Call], actions: tuple[str, ...], warm: Warm, tally: Tally
) -> None:
    def attempt(ground: Ground, case: tuple[int, str, str]) -> None:
        if not case[1].startswith("hang"):
            attempt_within(PLENTY, ground, case)
            return
        try:
            attempt_within(HANGS[0], ground, case)
        except AssertionError:
            ground.plan({})
            ground.nsctl("recover")
            ground.nsctl("down", "web")
            ground.back()
            attempt_within(HANGS[1], ground, case)

    def attempt_within(deadline: str, ground: Ground, case: tuple[int, str, str]) -> None:
        number, action, _ = case
        ground.plan({number: action})
        done = ground.nsctl(*with_options(MODES[mode], "--step-timeout", deadline, *options))
        assert ground.shims.injected == [f"{number} {action}"], (ground.shims.injected, str(done))
        call = ground.shims.calls[number - 1]
        ground.plan({})
        # Two at once come in either order, so it may be a stage after all: none has an end for this to happen at.
        endless = is_stage(call) and action.endswith("-after")
        if done.status == 0 and (call.argv[0] in TOLERATED or endless):
            ground.settled(whole=not endless)
            return
        expected = (1, 2) if call.argv[0] in TOLERATED else (1,)
        assert done.status in expected, f"{call.argv}: {done}"
        ground.back()
        assert "web" not in ground.names()

    cases = [
        (n, action, " ".join(call.argv)[:80])
        for n, call in enumerate(calls, 1)
        for action in actions
        if not (is_stage(call) and action.endswith("-after"))
        # What else a bridge takes is tried without firewalld.
        if mode != FIREWALLD or call.argv[0] == "firewall-cmd"
    ]
    assert tally.sweep("a step fails or hangs", cases, lambda: ground_for(warm, mode), attempt) == len(cases)
