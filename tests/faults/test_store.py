"""
6. The store cut off at 200 places, and 200 bits of it flipped: no traceback, no foreign deletion, no false success.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.faults.ground import BASE, BESIDE, MODES, Ground
from tests.faults.tally import Tally
from tests.faults.warm import Warm
from tests.lab import canaries_alive

STORE = "/run/nsctl/state.db"


class Stored(Ground):
    """A host with a sandbox, and the bytes of the store as they have to be."""

    def __init__(self, warm: Warm) -> None:
        super().__init__(warm, up=[BASE])
        self.up()

    def up(self) -> None:
        """Make the sandbox, and keep what the store is like."""
        self.good(*MODES["second on a bridge"], "--isolate", "net")  # an init would take longer than all the rest
        self.bytes: bytes = self.lab.call(Path(STORE).read_bytes)

    def restore(self) -> None:
        """The store as it has to be; the ones that were set aside go."""

        def restore() -> None:
            for path in Path(STORE).parent.glob("state.db*"):
                path.unlink()
            Path(STORE).write_bytes(self.bytes)
            Path(STORE).chmod(0o600)

        self.lab.call(restore)


def bear(ground: Stored, content: bytes) -> None:
    """Have nsctl work with a damaged store, and see that it does no harm, and claims nothing that is not so."""
    ground.lab.write(STORE, content)
    looked = ground.nsctl("check" if len(content) % 2 else "ls")
    assert looked.status in {0, 2, 4}, str(looked)
    done = ground.nsctl("down", "web")
    assert done.status in {0, 2, 3}, str(done)
    if done.status == 0:
        ground.back()  # it said so: nothing is left, and the other sandbox is as it was
    ground.restore()
    if done.status == 2:
        ground.good("check")  # it said so: nothing was changed
        canaries_alive(ground.lab, ground.canaries)
        return
    # Whatever it undid, it was nsctl's: the rest goes by the undamaged store, and everything else is as it was.
    ground.good("down", "web")
    ground.back()
    ground.up()


@pytest.mark.parametrize("kind", ["cut off", "a bit flipped"])
def test_a_damaged_store_does_no_harm(kind: str, warm: Warm, tally: Tally) -> None:
    generator = tally.random(kind)

    def attempt(ground: Stored, share: float) -> None:
        place = int(share * len(ground.bytes))
        if kind == "cut off":
            bear(ground, ground.bytes[:place])
        else:
            flipped = ground.bytes[place] ^ 1 << generator.randrange(8)
            bear(ground, ground.bytes[:place] + bytes([flipped]) + ground.bytes[place + 1 :])

    cases = [generator.random() if n > 20 else generator.random() / 100 for n in range(200)]
    assert tally.sweep(f"store: {kind}", cases, partial(Stored, warm), attempt) == 200


def test_random_bytes_are_no_store(warm: Warm, tally: Tally) -> None:
    generator = tally.random("bytes")

    def attempt(ground: Stored, size: int) -> None:
        bear(ground, generator.randbytes(size))

    tally.sweep("store: not one at all", [1, 100, 512, 4096, 100_000], partial(Stored, warm), attempt)


@pytest.mark.parametrize("mode", MODES)
def test_what_no_store_knows_of_is_found_by_its_marks(mode: str, warm: Warm, tally: Tally) -> None:
    def attempt(ground: Ground, _: int) -> None:
        if mode in BESIDE:
            ground.good(*BASE)
        ground.good(*MODES[mode])
        ground.lab.run(["sh", "-c", "rm /run/nsctl/state.db*"], check=True)
        shown = ground.good("recover", "--scan")
        assert "web" in shown.stdout, str(shown)
        assert ground.lab.exists("/run/nsctl/sandboxes/web"), "only --yes takes anything away"
        ground.good("recover", "--scan", "--yes")
        ground.back()
        ground.good(*MODES["bridge"])
        ground.good("down", "web")
        ground.back()

    tally.sweep("store: lost", [1], partial(Ground, warm, mode=mode), attempt)
