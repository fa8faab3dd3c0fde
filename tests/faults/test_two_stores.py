"""15. Two state directories side by side: commands at random for both, some of them killed, against a model."""

from __future__ import annotations

import json
import random
import signal
from dataclasses import dataclass, field
from functools import partial

from tests.faults.ground import Ground, civil
from tests.faults.tally import Tally
from tests.faults.warm import Done, Warm

STORES: tuple[dict[str, str], ...] = ({}, {"NSCTL_STATE_DIR": "/run/other"})
NAMES = ("a", "b", "c", "d")
SUBNETS = ("10.1.3.0/24", "10.2.3.0/24", "10.3.3.0/24")
STEPS = 30
"""Commands of one walk."""
WALKS = 8
KILL = [signal.SIGKILL]


@dataclass
class Model:
    """The sandboxes that are up, store by store."""

    up: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))

    def elsewhere(self, store: int, name: str) -> bool:
        """Whether the other store has it."""
        return name in self.up[1 - store]


def walk(ground: Ground, seed: str) -> None:
    generator = random.Random(seed)  # noqa: S311  nothing secret
    model = Model()
    for _ in range(STEPS):
        step(ground, generator, model)
        agree(ground, model)
    for store, names in enumerate(model.up):
        if names:
            done(ground, store, "down", *sorted(names))
    ground.lab.run(["rm", "-rf", "/run/other"], check=True)
    ground.back()


def step(ground: Ground, generator: random.Random, model: Model) -> None:
    store, name = generator.randrange(2), generator.choice(NAMES)
    what = generator.choices(["bridge", "none", "down", "killed", "scan", "repair"], [8, 2, 6, 4, 2, 1])[0]
    bridge = ("up", "bridge", "--name", name, "--subnet", generator.choice(SUBNETS), "--isolate", "net")
    match what:
        case "bridge" | "none":
            argv = bridge if what == "bridge" else ("up", "none", "--name", name, "--isolate", "net")
            tried = civil(ground.nsctl(*argv, env=STORES[store]))
            # Refused: another request under that name, and a network that the other store has made.
            assert tried.status in ({2} if model.elsewhere(store, name) else {0, 2}), tried
            if name in model.up[store]:
                assert tried.status == 2 or "(already)" in tried.stdout, tried
            if tried.status == 0:
                model.up[store].add(name)
        case "down" if name in model.up[store]:
            done(ground, store, "down", name)
            model.up[store].remove(name)
        case "killed" if name not in model.up[store] and not model.elsewhere(store, name):
            killed = ground.nsctl(*bridge, env=STORES[store], at={generator.randint(5, 150): KILL})
            if killed.status == 0:
                model.up[store].add(name)
        case "scan":
            recovered(ground, store)
            assert recovered(ground, store, "--scan", "--yes").stdout.startswith("nothing to recover")
        case "repair":
            done(ground, store, "repair")
        case _:  # there is nothing to take down, or something in the way
            pass


def done(ground: Ground, store: int, *argv: str) -> Done:
    return ground.good(*argv, env=STORES[store])


def recovered(ground: Ground, store: int, *more: str) -> Done:
    # 4 where the other one has work half done.
    tried = civil(ground.nsctl("recover", *more, env=STORES[store]))
    assert tried.status in {0, 4}, tried
    return tried


def agree(ground: Ground, model: Model) -> None:
    """Each store has what the model says, and all of it is whole."""
    for store in range(len(model.up)):
        recovered(ground, store)
    for store, names in enumerate(model.up):
        assert recovered(ground, store).status == 0
        found = {row["name"] for row in json.loads(done(ground, store, "ls", "--json").stdout)}
        assert found == names, (store, found, names)
        for name in sorted(names):
            ground.attached(name, env=STORES[store])
        done(ground, store, "check")


def test_two_state_directories_never_harm_each_other(warm: Warm, tally: Tally) -> None:
    walks = [f"{tally.seed} {number}" for number in range(WALKS)]
    count = tally.sweep("two stores", walks, partial(Ground, warm), walk)
    assert count == WALKS
    tally.note("two stores", survived=True, times=count * (STEPS - 1))
