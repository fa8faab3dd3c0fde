"""
17. Both back ends of iptables, with a switch in between: rules are read, put back and removed where they were made.
"""

from __future__ import annotations

import itertools
import signal
from functools import partial

from tests.faults.ground import MODES, Ground
from tests.faults.tally import Tally
from tests.faults.warm import Warm
from tests.lab import needs, snapshot
from tests.system.test_identity import switch

pytestmark = needs("iptables-legacy", "nft")

AFTERWARDS = ("down", "check", "repair", "repair flushed", "second up", "replace", "scan")
TICKS = (20, 40, 60, 80, 100, 120, 140)
"""When nsctl is killed, before the switch and a recovery."""
Case = tuple[str, str, str, "str | int"]


def ground_for(warm: Warm) -> Ground:
    ground = Ground(warm)
    # Where they are looked into, tables of either back end come to be.
    for kind in ("legacy", "nft"):
        switch(ground.lab, kind)
        ground.good(*MODES["bridge"])
        ground.good("down", "web")
    ground.before = snapshot(ground.lab)
    return ground


def switched(ground: Ground, case: Case) -> None:
    mode, first, then, what = case
    switch(ground.lab, first)
    if isinstance(what, int):
        killed = ground.nsctl(*MODES[mode], at={what: [signal.SIGKILL]})
        switch(ground.lab, then)
        ground.good("recover")
        if killed.status == 0:
            ground.good("down", "web")
    else:
        ground.good(*MODES[mode])
        switch(ground.lab, then)
        if what != "down":
            afterwards(ground, what, mode, first)
        ground.good("down", "web")
    for kind in ("legacy", "nft"):
        assert "NSCTL-GUARD" not in ground.lab.run([f"iptables-{kind}-save"], check=True).stdout
    switch(ground.lab, "nft")
    ground.back()


def afterwards(ground: Ground, what: str, mode: str, first: str) -> None:
    match what:
        case "repair flushed":
            chain = ("-t", "nat", "-F", "NSCTL-POSTROUTING") if mode == "bridge" else ("-F", "NSCTL-FORWARD")
            ground.lab.run([f"iptables-{first}", *chain], check=True)
            assert ground.nsctl("check").status == 4
            ground.good("repair")
        case "repair":
            ground.good("repair")
        case "second up" | "replace":
            # Rules of one sandbox are never in two back ends.
            more = ("--replace",) if what == "replace" else ()
            name = "web" if more else "second"
            done = ground.nsctl(*["up", "bridge", *more, "--name", name, *MODES[mode][4:]])
            assert done.status in ({0, 2} if more else {2}), done
        case _:
            assert ground.good("recover", "--scan", "--yes").stdout == "nothing to recover\n"
    ground.good("check")


def test_rules_are_found_wherever_iptables_leads_by_now(warm: Warm, tally: Tally) -> None:
    ways = (("legacy", "nft"), ("nft", "legacy"))
    whats: tuple[str | int, ...] = (*AFTERWARDS, *TICKS)
    cases: list[Case] = [
        (mode, first, then, what)
        for mode, (first, then), what in itertools.product(("bridge", "internal bridge"), ways, whats)
    ]
    tally.sweep("back ends", cases, partial(ground_for, warm), switched)
