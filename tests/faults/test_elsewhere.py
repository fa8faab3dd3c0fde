"""16. Every command from another PID, time, mount or network namespace, or several: refused, and nothing changed."""

from __future__ import annotations

import itertools
import re
from functools import partial

from tests.faults.ground import MODES, Ground
from tests.faults.tally import Tally
from tests.faults.warm import Warm
from tests.lab import assert_same, nsctl_argv, snapshot

ELSEWHERE = {
    "PID": ("--pid", "--mount-proc"),
    "time": ("--time",),
    "mount": ("--mount",),
    "network": ("--net",),
}
"""unshare's options for another namespace of each kind, with the same /run."""
COMMANDS = (
    ("ls",),
    ("ls", "--json"),
    ("inspect", "web"),
    ("check",),
    ("check", "--json"),
    ("repair",),
    ("repair", "--dry-run"),
    ("down", "web"),
    ("down", "--all"),
    ("down", "web", "--dry-run"),
    ("recover",),
    ("recover", "--scan", "--yes"),
    ("confirm", "web"),
    ("up", "none", "--name", "box"),
    ("up", "bridge", "--name", "db", "--subnet", "10.0.4.0/24"),
    ("up", "container", "--name", "box", "--target", "web"),
    ("up", "none", "--name", "box", "--dry-run"),
    ("apply", "/run/lab.toml"),
    ("down", "--file", "/run/lab.toml"),
    ("exec", "web", "--", "true"),
    ("shell", "web"),
    ("run", "none", "--name", "box", "--", "true"),
)
LAB = '[sandbox.box]\nmode = "none"\n'
Case = tuple[tuple[str, ...], tuple[str, ...]]


def ground_for(warm: Warm) -> Ground:
    ground = Ground(warm, up=[MODES["bridge"]])
    ground.lab.write("/run/lab.toml", LAB, 0o600)
    ground.before = snapshot(ground.lab)
    return ground


def refused(ground: Ground, case: Case) -> None:
    kinds, command = case
    options = [word for kind in kinds for word in ELSEWHERE[kind]]
    # /run/netns, which `ip netns` makes a shared mount, is the same in a mount namespace that takes part in it.
    options += ["--propagation", "private" if "mount" in kinds else "unchanged"] if {"mount", "PID"} & {*kinds} else []
    done = ground.lab.run(["unshare", "--fork", *options, *nsctl_argv(*command)])
    assert done.returncode == (125 if command[0] in {"exec", "shell", "run"} else 2), done
    first, *more = done.stderr.splitlines()
    told = re.search("were made in another (.*) namespace", first)
    assert told is not None, done
    assert any(kind in told[1] for kind in kinds), done
    assert more[0].startswith("hint: "), done
    assert done.stdout == "", done
    assert_same(ground.before, snapshot(ground.lab))


def test_from_where_sandboxes_cannot_be_seen_everything_is_refused(warm: Warm, tally: Tally) -> None:
    places = [kinds for number in (1, 2) for kinds in itertools.combinations(ELSEWHERE, number)]
    cases: list[Case] = [(kinds, command) for kinds in places for command in COMMANDS]
    tally.sweep("elsewhere", cases, partial(ground_for, warm), refused)
