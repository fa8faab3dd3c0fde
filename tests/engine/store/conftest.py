from __future__ import annotations

from pathlib import Path

import pytest

from nsctl.engine.model.commands import Command
from nsctl.engine.model.effects import LinkIs
from nsctl.engine.model.plan import Step
from nsctl.engine.store import Journal, SandboxRow, Transaction


def step(key: str) -> Step:
    name = key.rpartition("/")[2]
    return Step(
        key,
        f"make {name}",
        Command(("ip", "link", "add", "dev", name, "type", "bridge")),
        (Command(("ip", "link", "del", "dev", name)),),
        LinkIs(name, "02:00:00:00:00:01"),
        after=(),
    )


def sandbox(name: str) -> SandboxRow:
    return SandboxRow(name, "bridge", {"network": "br0"}, ("net",), ("true",), {}, init=f"init/{name}")


def bring_up(journal: Journal, name: str, *, shared: str = "link/br0") -> None:
    """A sandbox that is up, with a step of its own and one that it shares."""
    own = f"link/{name}"
    new = [step(key) for key in (shared, own) if journal.step(key) is None]
    journal.begin(Transaction(f"t-{name}", "up"), [sandbox(name)], new, [(shared, name), (own, name)], ())
    journal.started((s.key, None, {}) for s in new)
    journal.done([(s.key, {"index": 7}, {"iptables": "nft"}) for s in new])
    journal.finish([name])


def take_down(journal: Journal, name: str) -> None:
    journal.begin(Transaction(f"t-{name}", "down"), [], [], [], [name])
    journal.undone([row.step.key for row in journal.held_only_by([name])])
    journal.removed([name])
    journal.finish()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path
