"""
14. Strangers' acts between any two steps of `up` and `down`: what nsctl says then is true, and what is theirs stays.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests.faults.ground import MODES, Ground, before_the_init, is_stage
from tests.faults.strangers import ACTS, Act
from tests.faults.tally import Tally
from tests.faults.test_steps import with_options
from tests.faults.warm import Done, Warm
from tests.lab import Call

LOOKS = ("iptables-save", "ip6tables-save")
UP = MODES["bridge"]
NET_ALONE = with_options(UP, "--isolate", "net", "--no-batch")
"""Without an init, whose programs go on to become one another, and with a process a step: each ends before the next."""
NOT_THERE = ("the init is killed", "the sandbox's directory goes")
"""What only a sandbox with an init has."""
USUALLY = 30


def ground_for(warm: Warm) -> Ground:
    return Ground(warm, shims=True)


def calls_of(warm: Warm, up: list[str], *, down: bool) -> list[Call]:
    ground = ground_for(warm)
    try:
        ground.plan({})
        ground.good(*up)
        calls = ground.shims.calls
        ground.plan({})
        ground.good("down", "web")
        return ground.shims.calls if down else calls
    finally:
        ground.close()


def tried(ground: Ground, case: tuple[Act, int | str, str], *, up: list[str], down: bool) -> None:
    act, number, when = case
    ground.shims.stranger(act.script)
    if down:
        ground.plan({})
        ground.good(*up)
    ground.plan({number: f"stranger-{when}"})
    done = ground.nsctl(*(("down", "web") if down else up))
    ground.plan({})
    (torn_down if down else built)(ground, act, done)


def built(ground: Ground, act: Act, done: Done) -> None:
    if done.status == 0:
        assert "web is up" in done.stdout, done
        # So it is whole, as `check` sees it, too.
        checked = ground.nsctl("check")
        told = bool(act.told) and act.told in done.stderr
        assert checked.status == (4 if told else 0), f"{done}\n{checked}"
        ground.good("down", "web")
    elif done.status == 3:
        assert "left over: " in done.stderr, done
        theirs(ground, act)
        ground.good("recover")
        return ground.back()
    else:
        assert done.status in (1, 2), done
        assert done.status == 2 or "everything was undone" in done.stderr, done
    assert ground.names() == []
    theirs(ground, act)
    return ground.back()


def torn_down(ground: Ground, act: Act, done: Done) -> None:
    if done.status == 0:
        assert "web is down" in done.stdout, done
        assert ground.names() == []
        theirs(ground, act)
    else:
        assert done.status == 3, done
        assert "left over: " in done.stderr, done
        theirs(ground, act)
        ground.good("recover")
    ground.back()


def theirs(ground: Ground, act: Act) -> None:
    if act.theirs and ground.shims.acted:
        done = ground.lab.run(["sh", "-c", act.theirs])
        assert done.returncode == 0, f"what is theirs is gone, or changed: {act.theirs}: {done.stderr}"


def boundaries(calls: list[Call]) -> list[tuple[int, str]]:
    """
    Before each call, and after the last one that is no look: what happens during the last look may be missed by it.
    """
    last = max(n for n, call in enumerate(calls, 1) if call.argv[0] not in LOOKS)
    return [*((n, "before") for n in range(1, last + 1)), *([] if is_stage(calls[last - 1]) else [(last, "after")])]


@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "one by one"])
def test_what_is_said_is_true_whoever_acts_between_any_two_steps(
    warm: Warm, tally: Tally, *, fuse: bool, down: bool
) -> None:
    up = [*UP] if fuse else NET_ALONE
    calls = calls_of(warm, up, down=down)
    if fuse and not down:
        calls = before_the_init(calls)
    # Between the look at a namespace and its deletion there is a moment, and `ip netns del` goes by the name.
    acts = [act for act in ACTS if not (down and act.by_name)]
    cases = [(act, *boundary) for act in acts for boundary in boundaries(calls)]
    what = "down" if down else "up"
    tally.sweep(
        f"strangers: {what}", cases, partial(ground_for, warm), partial(tried, up=up, down=down), usually=USUALLY
    )


def test_what_goes_right_before_the_last_look_is_missed_by_it(warm: Warm, tally: Tally) -> None:
    calls = calls_of(warm, NET_ALONE, down=False)
    last = boundaries(calls)[-1]
    gone = [act for act in ACTS if not act.theirs and not act.told and act.what not in NOT_THERE]
    tally.sweep("strangers: last", [(act, *last) for act in gone], partial(ground_for, warm), missed)


def missed(ground: Ground, case: tuple[Act, int, str]) -> None:
    act, number, when = case
    ground.shims.stranger(act.script)
    ground.plan({number: f"stranger-{when}"})
    done = ground.nsctl(*NET_ALONE)
    ground.plan({})
    assert ground.shims.acted, act
    assert done.status == 1, done
    assert "is not in place at the end" in done.stderr, done
    built(ground, act, done)


def test_a_link_is_deleted_by_its_index(warm: Warm, tally: Tally) -> None:
    calls = calls_of(warm, NET_ALONE, down=True)
    number = next(n for n, call in enumerate(calls, 1) if "-batch" in call.argv)
    # By the pattern, for what looks for links that came meanwhile may be called before it, or after.
    assert calls[number - 1].argv[0] == "ip"
    cases = [(act, "ip * -batch -", "before") for act in ACTS if act.what == "a bridge in its place"]
    tally.sweep("strangers: down", cases, partial(ground_for, warm), partial(tried, up=NET_ALONE, down=True))


def test_a_rule_of_others_is_told(warm: Warm, tally: Tally) -> None:
    last = boundaries(calls_of(warm, NET_ALONE, down=False))[-1]
    cases = [(act, *last) for act in ACTS if act.told]
    tally.sweep("strangers: last", cases, partial(ground_for, warm), partial(tried, up=NET_ALONE, down=False))
