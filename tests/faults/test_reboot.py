"""7. A reboot that /run survives: nothing of before counts, nothing of before is in the way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.ground import MODES, civil
from tests.faults.tally import Tally
from tests.faults.warm import Warm
from tests.lab import Lab, Snapshot, assert_same, reboot, snapshot

UP = ("none", "host", "bridge", "workload")


@contextmanager
def rebooted(lab: Lab) -> Iterator[Lab]:
    """The host after a reboot; names of namespaces are plain files by then, as where /run is no tmpfs."""
    names = lab.run(["ls", "/run/netns"]).stdout.split()
    after = reboot(lab)
    try:
        for name in names:
            after.write(f"/run/netns/{name}", "", 0)
        yield after
    finally:
        after.close()


def kernel(lab: Lab) -> Snapshot:
    taken = snapshot(lab).without("files", "namespaces")
    real = {name: section for name, section in taken.sections.items() if "(not a network namespace)" not in section}
    return Snapshot(real)


def fresh_start(warm: Warm, lab: Lab, mode: str, address: str) -> None:
    """The same sandbox, with the same address, can be made and taken down; then there is nothing."""
    before = kernel(lab)
    listed = civil(warm.run(lab, "ls"))
    assert listed.status == 0, str(listed)
    assert "web" not in listed.stdout, str(listed)
    done = civil(warm.run(lab, *MODES[mode]))
    assert done.status == 0, str(done)
    assert address in done.stdout, f"{address} is not free: {done}"
    done = civil(warm.run(lab, "check"))
    assert done.status == 0, str(done)
    done = civil(warm.run(lab, "down", "web"))
    assert done.status == 0, str(done)
    assert_same(before, kernel(lab))
    left = [name for name in lab.run(["find", "/run/nsctl", "/run/netns"]).stdout.split() if "web" in name]
    assert left == []


@pytest.mark.parametrize("mode", UP)
def test_after_a_reboot_the_same_can_be_made_again(mode: str, warm: Warm, tally: Tally, lab: Lab) -> None:
    first = civil(warm.run(lab, *MODES[mode]))
    assert first.status == 0, str(first)
    with rebooted(lab) as after:
        fresh_start(warm, after, mode, "10.0.3.2" if "10.0.3.2" in first.stdout else "")
    tally.note("reboot", survived=True)


@pytest.mark.parametrize("tick", [60, 100, 120, 150, 170])
def test_a_reboot_in_the_middle_of_something_ends_it(tick: int, warm: Warm, tally: Tally, lab: Lab) -> None:
    killed = warm.run(lab, *MODES["bridge"], at={tick: [signal.SIGKILL]})
    assert killed.status == -signal.SIGKILL, str(killed)
    with rebooted(lab) as after:
        done = civil(warm.run(after, "recover"))
        assert done.status == 0, str(done)
        fresh_start(warm, after, "bridge", "10.0.3.2")
    tally.note("reboot", survived=True)


def test_nothing_is_undone_for_what_was_there_before_a_reboot(warm: Warm, tally: Tally, lab: Lab) -> None:
    assert warm.run(lab, *MODES["bridge"]).status == 0
    with rebooted(lab) as after:
        # Somebody else has made things of the same names meanwhile.
        after.run("ip link add nsbr0 address 02:00:5e:99:00:01 type bridge".split(), check=True)
        after.run("iptables -N NSCTL-FORWARD".split(), check=True)
        after.write("/proc/sys/net/ipv4/conf/eth0/forwarding", "1")
        before = kernel(after)
        for argv in (("recover",), ("down", "--all")):
            done = civil(warm.run(after, *argv))
            assert done.status == 0, str(done)
        assert_same(before, kernel(after))
    tally.note("reboot", survived=True)
