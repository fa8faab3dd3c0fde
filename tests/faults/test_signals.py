"""5. INT, TERM and HUP at every boundary, once and twice: everything is undone, and the exit status says by what."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial

import pytest

from tests.faults.ground import BASE, BESIDE, MODES, Ground, before_the_init
from tests.faults.tally import Tally, some, thinned
from tests.faults.warm import Warm

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ground_for(warm: Warm, mode: str, *, shims: bool = False) -> Ground:
    return Ground(warm, shims=shims, up=[BASE] if mode in BESIDE else [], mode=mode)


def stopped(ground: Ground, argv: Sequence[str], at: Mapping[int, Sequence[int]]) -> None:
    """Run nsctl, with signals at some ticks, and see what came of it."""
    done = ground.nsctl(*argv, at=at)
    # Python handles two that come during one call of SQLite's in the order of their numbers.
    assert done.status in {0, *(128 + signum for signals in at.values() for signum in signals)}, str(done)
    up = ground.settled()
    assert up == (done.status == 0), f"{'up' if up else 'undone'}, but: {done}"
    assert "nothing to recover" in ground.good("recover").stdout


@pytest.mark.parametrize(
    ("mode", "most"),
    [("bridge", 60), ("container", 30), ("second on a bridge", 20), ("none", 15), ("bridge in a zone", 10)],
)
def test_up_that_is_signalled_is_undone(mode: str, most: int, warm: Warm, tally: Tally) -> None:
    make = partial(ground_for, warm, mode)
    generator = tally.random("signals", mode)
    ground = make()
    try:
        ticks = ground.good(*MODES[mode], at={}).ticks
    finally:
        ground.close()
    points = some(thinned(ticks, generator, inner=0), most, generator)
    cases: list[dict[int, list[int]]] = []
    for number, tick in enumerate(points):
        one, two = SIGNALS[number % 3], generator.choice(SIGNALS)
        cases.append({tick: [one]})
        # The second comes while the first one's work is undone, which has ticks of its own.
        cases.append({tick: [one], tick + generator.randint(1, 60): [two]})

    def attempt(ground: Ground, case: dict[int, list[int]]) -> None:
        stopped(ground, MODES[mode], case)

    tally.sweep("signals", cases, make, attempt)


def test_a_signal_is_heard_up_to_the_moment_when_it_is_up(warm: Warm, tally: Tally) -> None:
    words = ("up", "none", "--name", "web", "--confirm", "60s")
    make = partial(ground_for, warm, "none")
    ground = make()
    try:
        ground.good(*words)  # the first makes the store
        ground.good("down", "web")
        ticks = ground.good(*words, at={}).ticks
    finally:
        ground.close()
    # All steps are done and looked at by then, and the last write is still to come.
    watched = next(n for n, tick in enumerate(ticks, 1) if "confirm-web.pid" in tick and "Popen" in tick)

    def attempt(ground: Ground, signum: int) -> None:
        ground.good(*words)
        ground.good("down", "web")
        done = ground.nsctl(*words, at={watched: [signum]})
        assert done.status == 128 + signum, str(done)
        assert not ground.settled()
        assert not ground.lab.run(["pgrep", "-f", "nsctl-confirm-web"]).stdout

    tally.sweep("signals", SIGNALS, make, attempt)


def test_down_that_is_signalled_goes_on_to_the_end(warm: Warm, tally: Tally) -> None:
    make = partial(ground_for, warm, "bridge")
    ground = make()
    try:
        ground.good(*MODES["bridge"])
        ticks = ground.good("down", "web", at={}).ticks
    finally:
        ground.close()
    begun = next(n for n, tick in enumerate(ticks, 1) if "INTO transactions" in tick)

    def attempt(ground: Ground, case: tuple[int, int]) -> None:
        tick, signum = case
        ground.good(*MODES["bridge"])
        done = ground.nsctl("down", "web", at={tick: [signum], tick + 7: [signum]})
        assert done.status in {0, 128 + signum}, str(done)
        if tick > begun:
            assert "web" not in ground.names(), str(done)
        ground.settled()

    cases = [(tick, SIGNALS[tick % 3]) for tick in thinned(ticks, tally.random("down"), inner=0)]
    tally.sweep("signals", cases, make, attempt)


@pytest.mark.parametrize("signals", ["INT", "TERM,INT", "HUP,TERM"])
def test_a_signal_while_a_tool_runs_waits_for_its_end(signals: str, warm: Warm, tally: Tally) -> None:
    make = partial(ground_for, warm, "bridge", shims=True)
    ground = make()
    try:
        ground.plan({})
        ground.good(*MODES["bridge"])
        calls = before_the_init(ground.shims.calls)
    finally:
        ground.close()
    number_of = {name: int(signal.Signals[f"SIG{name}"]) for name in ("INT", "TERM", "HUP")}

    def attempt(ground: Ground, number: int) -> None:
        ground.plan({number: f"signal-parent-before:{signals}"})
        done = ground.nsctl(*MODES["bridge"])
        assert done.status == 128 + number_of[signals.partition(",")[0]], str(done)
        assert len(ground.shims.injected) == 1, str(done)
        ground.plan({})
        assert not ground.settled()

    tally.sweep("signals", range(1, len(calls) + 1), make, attempt)


def test_output_that_nobody_reads_stops_no_rollback(warm: Warm, tally: Tally) -> None:
    make = partial(ground_for, warm, "bridge", shims=True)

    def attempt(ground: Ground, number: int) -> None:
        ground.plan({number: "fail-after"})
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = ground.nsctl("-v", *MODES["bridge"], outputs=writer)
        finally:
            os.close(writer)
        assert done.status == 1, str(done)
        ground.plan({})
        assert not ground.settled()

    # Later calls may be stages of the init, which never come to an end.
    tally.sweep("output is gone", range(2, 4), make, attempt)
