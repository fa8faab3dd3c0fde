"""
8. With 0 bytes free, where the store is and where the audit trail is, `down` and `recover` work, and nothing is begun.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests.faults.ground import BASE, BESIDE, MODES, Ground
from tests.faults.tally import Tally
from tests.faults.warm import Warm
from tests.lab import full

DISKS = [("/run",), ("/var/log",), ("/run", "/var/log")]


def ground_for(warm: Warm, mode: str) -> Ground:
    return Ground(warm, up=[BASE] if mode in BESIDE else [], mode=mode)


@contextlib.contextmanager
def filled(ground: Ground, disks: tuple[str, ...]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for disk in disks:
            stack.enter_context(full(ground.lab, disk))
        yield


@pytest.mark.parametrize("mode", MODES)
def test_down_works_with_no_byte_free(mode: str, warm: Warm, tally: Tally) -> None:
    def attempt(ground: Ground, case: tuple[tuple[str, ...], bool]) -> None:
        disks, ballast = case
        ground.good(*MODES[mode])
        if not ballast:
            ground.lab.run(["rm", "/run/nsctl/ballast"], check=True)
        with filled(ground, disks):
            done = ground.good("down", "web")
            assert ("audit trail" in done.stderr) == ("/var/log" in disks), str(done)
            ground.back()
        again = ground.good("recover").stdout
        # Without room for a last line in the journal, it is for the next nsctl to find that all is done.
        assert "nothing to recover" in again or not (ballast or "/run" not in disks), again
        ground.settled()

    cases = [(disks, ballast) for disks in DISKS for ballast in (True, False)]
    tally.sweep("disk full: down", cases, partial(ground_for, warm, mode), attempt)


@pytest.mark.parametrize("mode", ["bridge", "second on a bridge"])
def test_recover_works_with_no_byte_free(mode: str, warm: Warm, tally: Tally) -> None:
    def attempt(ground: Ground, case: tuple[tuple[str, ...], int]) -> None:
        disks, tick = case
        ground.nsctl(*MODES[mode], at={tick: [signal.SIGKILL]})
        with filled(ground, disks):
            ground.good("recover")
            ground.back()
        ground.good("recover")
        assert not ground.settled()

    with contextlib.closing(ground_for(warm, mode)) as ground:
        ground.good(*MODES[mode])  # the first start of a fresh clone writes bytecode, too
        ground.good("down", "web")
        total = len(ground.good(*MODES[mode], at={}).ticks)
    generator = tally.random(mode)
    # Of the earliest and the latest there is nothing to undo.
    cases = [(disks, generator.randint(total // 4, total * 3 // 4)) for disks in DISKS for _ in range(4)]
    tally.sweep("disk full: recover", cases, partial(ground_for, warm, mode), attempt)


@pytest.mark.parametrize("mode", ["none", "bridge", "second on a bridge"])
def test_up_with_no_byte_free_changes_nothing(mode: str, warm: Warm, tally: Tally) -> None:
    def attempt(ground: Ground, disks: tuple[str, ...]) -> None:
        with filled(ground, disks):
            done = ground.nsctl(*MODES[mode])
            if done.status == 2:
                assert "hint: " in done.stderr, str(done)
                ground.back()
        if done.status == 0:
            # The record of its start went into what was left of the trail's last block.
            assert (disks, mode) == (("/var/log",), "second on a bridge"), str(done)
            assert "is missing records" in done.stderr, str(done)
            ground.good("log", "--verify")
        assert ground.settled() == (done.status == 0), str(done)

    tally.sweep("disk full: up", DISKS, partial(ground_for, warm, mode), attempt)


def test_where_nothing_can_be_written_nothing_is_lost(warm: Warm, tally: Tally) -> None:
    def attempt(ground: Ground, disk: str) -> None:
        ground.good(*MODES["bridge"], "--isolate", "net")  # an init would have its log open, and /run could not change
        ground.lab.run(["mount", "-o", "remount,ro", disk], check=True)
        done = ground.nsctl("down", "web")
        assert done.status in {0, 2, 3}, str(done)
        ground.lab.run(["mount", "-o", "remount,rw", disk], check=True)
        ground.good("recover")
        assert ground.settled() == (done.status == 2)

    tally.sweep("disk read-only", ["/run", "/var/log"], partial(ground_for, warm, "bridge"), attempt)
