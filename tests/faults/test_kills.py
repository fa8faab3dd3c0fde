"""3. SIGKILL anywhere in up, down, repair and recover. The next command, or `recover`, leaves nothing behind."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from tests.faults.ground import BASE, BESIDE, MODES, Ground, before_the_init, is_stage
from tests.faults.tally import Tally, some, thinned
from tests.faults.warm import Warm

KILL = {signal.SIGKILL}
AFTERWARDS = ("recover", "up", "down")
"""What comes next: `recover`, or another command, which recovers first."""


def ground_for(warm: Warm, mode: str, *, shims: bool = False) -> Ground:
    return Ground(warm, shims=shims, up=[BASE] if mode in BESIDE else [], mode=mode)


def mend(ground: Ground, how: str) -> None:
    """Run the command that comes after a kill."""
    match how:
        case "recover":
            ground.good("recover")
        case "up":
            ground.good("up", "none", "--name", "next", "--isolate", "net")
            ground.good("down", "next")
        case _:
            refused = ground.nsctl("down", "nobody")
            assert refused.status == 2, str(refused)


def recovered(ground: Ground, how: str) -> None:
    mend(ground, how)
    ground.settled()
    again = ground.good("recover")
    assert "nothing to recover" in again.stdout, f"recovered twice: {again}"


def dry(make: Callable[[], Ground], *commands: Sequence[str]) -> tuple[str, ...]:
    """The ticks of the last of some commands."""
    ground = make()
    try:
        for argv in commands[:-1]:
            ground.good(*argv)
        return ground.good(*commands[-1], at={}).ticks
    finally:
        ground.close()


def kill_at(ground: Ground, tick: int, *argv: str) -> bool:
    """Kill nsctl at a tick; whether it got that far."""
    done = ground.nsctl(*argv, at={tick: KILL})
    assert done.status in {-signal.SIGKILL, 0}, str(done)
    return done.status != 0


@pytest.mark.parametrize(
    ("mode", "fuse", "most"),
    [(mode, True, 100 if mode in {"bridge", "container"} else 10) for mode in MODES]
    + [("bridge", False, 40), ("container", False, 15), ("none", False, 10), ("host", False, 10)],
)
def test_up_that_is_killed_leaves_nothing(*, mode: str, fuse: bool, most: int, warm: Warm, tally: Tally) -> None:
    argv = [*MODES[mode][:2], *([] if fuse else ["--no-batch"]), *MODES[mode][2:]]
    generator = tally.random("up", mode, fuse)
    points = some(thinned(dry(partial(ground_for, warm, mode), argv), generator, inner=1), most, generator)

    def attempt(ground: Ground, tick: int) -> None:
        kill_at(ground, tick, *argv)
        recovered(ground, AFTERWARDS[tick % 5 % 3])

    tally.sweep("killed: up", points, partial(ground_for, warm, mode), attempt)


@pytest.mark.parametrize(
    ("mode", "most"),
    [("bridge", 100), ("second on a bridge", 100), ("container", 20), ("workload", 10), ("bridge in a zone", 20)],
)
def test_down_that_is_killed_is_finished(mode: str, most: int, warm: Warm, tally: Tally) -> None:
    generator = tally.random("down", mode)
    ticks = dry(partial(ground_for, warm, mode), MODES[mode], ("down", "web"))
    points = some(thinned(ticks, generator), most, generator)

    def attempt(ground: Ground, tick: int) -> None:
        ground.good(*MODES[mode])
        kill_at(ground, tick, "down", "web")
        recovered(ground, AFTERWARDS[tick % 5 % 3])

    tally.sweep("killed: down", points, partial(ground_for, warm, mode), attempt)


def test_among_the_points_are_all_writes_of_an_attachment(warm: Warm, tally: Tally) -> None:
    ground = ground_for(warm, "bridge")
    try:
        ground.good(*MODES["bridge"])
        ground.good("down", "web")  # the first one empties a store that is new
        ticks = ground.good(*MODES["bridge"], at={}).ticks, ground.good("down", "web", at={}).ticks
        points = [[each[n - 1] for n in thinned(each, tally.random("attachments"), inner=0)] for each in ticks]
    finally:
        ground.close()
    up, down = (
        [what for what in WRITES if any(f" sql {what} attachments" in tick for tick in each)] for each in points
    )
    assert up == ["INSERT INTO", "UPDATE"]
    assert down == ["UPDATE", "DELETE FROM"]


WRITES = ("INSERT INTO", "UPDATE", "DELETE FROM")
DAMAGE = """\
ip link del ns-web
ip addr flush dev nsbr0
iptables -F NSCTL-FORWARD
iptables -t nat -F NSCTL-POSTROUTING
"""


def damage(ground: Ground) -> None:
    for line in DAMAGE.splitlines():
        ground.lab.run(line.split(), check=True)


def test_repair_that_is_killed_can_be_repeated(warm: Warm, tally: Tally) -> None:
    up = MODES["bridge"]
    ground = ground_for(warm, "bridge")
    try:
        ground.good(*up)
        damage(ground)
        ticks = ground.good("repair", at={}).ticks
        ground.good("check")
    finally:
        ground.close()

    def attempt(ground: Ground, tick: int) -> None:
        ground.good(*up)
        damage(ground)
        kill_at(ground, tick, "repair")
        mend(ground, AFTERWARDS[tick % 3])
        ground.good("repair")
        assert ground.settled()

    tally.sweep("killed: repair", thinned(ticks, tally.random("repair")), partial(ground_for, warm, "bridge"), attempt)


@pytest.mark.parametrize(("mode", "most"), [("bridge", 60), ("second on a bridge", 30)])
def test_recover_that_is_killed_and_killed_again_is_finished(mode: str, most: int, warm: Warm, tally: Tally) -> None:
    argv = MODES[mode]
    generator = tally.random("recover", mode)
    first = [n for n in thinned(dry(partial(ground_for, warm, mode), argv), generator, inner=0) if n > 30]
    cases = [
        (n, generator.randint(5, 60), generator.randint(5, 60) if deep else None)
        for n in some(first, most // 2, generator)
        for deep in (True, False)
    ]

    def attempt(ground: Ground, case: tuple[int, int, int | None]) -> None:
        up, once, twice = case
        kill_at(ground, up, *argv)
        kill_at(ground, once, "recover")
        if twice is not None:
            kill_at(ground, twice, "recover")
        recovered(ground, AFTERWARDS[up % 3])

    tally.sweep("killed: recover, up to two deep", cases, partial(ground_for, warm, mode), attempt)


@pytest.mark.parametrize("mode", ["bridge", "container"])
@pytest.mark.parametrize("action", ["kill-parent-before", "kill-parent-after", "orphan"])
def test_nsctl_that_dies_while_a_tool_runs_leaves_nothing(mode: str, action: str, warm: Warm, tally: Tally) -> None:
    argv = [*MODES[mode][:2], "--no-batch", *MODES[mode][2:]] if action != "orphan" else list(MODES[mode])
    make = partial(ground_for, warm, mode, shims=True)
    ground = make()
    try:
        ground.plan({})
        ground.good(*argv)
        ups = before_the_init(ground.shims.calls)  # those that it makes itself can't see nsctl, nor harm it
        ground.plan({})
        ground.good("down", "web")
        downs = ground.shims.calls
    finally:
        ground.close()

    def attempt(ground: Ground, case: tuple[str, int]) -> None:
        command, number = case
        if command == "down":
            ground.good(*argv)
        ground.plan({number: action})
        done = ground.nsctl(*(argv if command == "up" else ("down", "web")))
        # A stage of the init goes on by itself, and nsctl may be done before the signal comes.
        assert done.status in {-signal.SIGKILL, 0}, str(done)
        assert len(ground.shims.injected) == 1, str(done)
        if action == "orphan":
            # The orphan keeps the lock until it has ended: whatever it does is seen, and undone.
            done = ground.good("recover")
            ground.plan({})
        else:
            ground.plan({})
        recovered(ground, AFTERWARDS[number % 3])

    ends = action != "kill-parent-after"
    cases = [("up", n) for n, call in enumerate(ups, 1) if ends or not is_stage(call)]
    cases += [("down", n) for n in range(1, len(downs) + 1)]
    tally.sweep("killed: while a tool runs", cases, make, attempt)
