"""3. The same through a resident process: SIGKILL to it, to its child, or to who asked, before any call of a tool."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from tests.faults.ground import MODES, Ground, before_the_init, settled
from tests.faults.tally import Tally
from tests.faults.test_kills import AFTERWARDS, recovered
from tests.faults.warm import Done, Warm
from tests.lab import needs

pytestmark = needs("bridge", "veth", "iptables")

KILLS = {
    "server": "read -r pid _ </run/nsctl/resident.lock && kill -s KILL $pid",
    "child": "read -r pid _ </run/nsctl/resident.lock && pkill -KILL -P $pid",
    "caller": "pkill -KILL -f -- '-m nsctl (up|down) '",
}
"""Who is killed → how; a lab's processes see those of the lab alone."""
FEW = 4
"""Cases for every day: each has a server of its own."""
UP = MODES["bridge"]
DOWN = ("down", "web")


class ResidentGround(Ground):
    """
    A ground on which a resident process is started for each try, and stopped after it.

    Args:
        warm: Starts nsctl where it is not asked.
    """

    def __init__(self, warm: Warm) -> None:
        super().__init__(warm, shims=True)
        try:
            self.serve()
            self.stop()
            self.before = settled(self.lab)  # with the directory and the lock, which stay
        except BaseException:
            self.close()
            raise

    def serve(self) -> None:
        """Have a resident process wait."""
        self.lab.nsctl("resident", "start", check=True)

    def stop(self) -> None:
        """Have none, whether it was killed or not; of one that was killed the next one removes the socket."""
        if self.lab.nsctl("resident", "status").returncode != 0:
            self.serve()
        self.lab.nsctl("resident", "stop", check=True)

    def asked(self, *argv: str) -> Done:
        """Have the resident process run nsctl."""
        done = self.lab.nsctl(*argv)
        return Done(argv, done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("who", KILLS)
def test_whoever_is_killed_the_command_is_done_or_leaves_nothing(who: str, warm: Warm, tally: Tally) -> None:
    ground = ResidentGround(warm)
    try:
        ground.serve()
        counts = {}
        for command in (UP, DOWN):
            ground.plan({})
            assert ground.asked(*command).status == 0
            # Those that an init makes itself see no process of the host's.
            counts[command] = len(before_the_init(ground.shims.calls))
    finally:
        ground.close()

    ends: list[int] = []

    def attempt(ground: ResidentGround, case: tuple[tuple[str, ...], int]) -> None:
        command, number = case
        ground.plan({})
        ground.serve()
        if command == DOWN:
            assert ground.asked(*UP).status == 0
        ground.shims.stranger(KILLS[who])
        ground.plan({number: "stranger-before"})
        done = ground.asked(*command)
        ends.append(done.status)
        # Without the server the child goes on.
        assert done.status in ({0} if who == "server" else {0, -signal.SIGKILL}), str(done)
        assert who != "server" or ground.shims.acted, str(done)
        assert len(ground.shims.injected) == 1, str(done)
        ground.plan({})
        ground.stop()
        recovered(ground, AFTERWARDS[number % 3])

    cases = [(command, n) for command, count in counts.items() for n in range(1, count + 1)]
    assert cases
    tally.sweep("killed: by a resident process", cases, partial(ResidentGround, warm), attempt, usually=FEW)
    assert who == "server" or -signal.SIGKILL in ends or len(ends) < FEW, "nobody was killed"
