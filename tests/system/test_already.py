"""What is there already counts as up only if it is as it was made."""

from __future__ import annotations

import pytest

from tests.lab import Lab, needs
from tests.system.support import down, refused, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

WEB = ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24", "--", "sleep", "1000301")
DAMAGE = ("ip link del nsbr0", "iptables -F NSCTL-FORWARD", "ip netns del web", "ip -n web addr flush dev eth0")


@pytest.mark.parametrize("damage", DAMAGE)
def test_up_again_says_what_is_not_as_it_was_made(lab: Lab, damage: str) -> None:
    lab.nsctl(*WEB, check=True)
    assert "(already)" in lab.nsctl(*WEB, check=True).stdout
    lab.run(["sh", "-ec", damage], check=True)
    done = lab.nsctl(*WEB)
    assert (done.returncode, done.stdout) == (4, ""), done
    first, hint = done.stderr.splitlines()
    assert "'web' is up already, and not as made: " in first
    assert hint == "hint: put it back: nsctl repair web"
    assert lab.nsctl("repair", "web").returncode == 0
    assert "(already)" in lab.nsctl(*WEB, check=True).stdout
    down(lab, "web")


def test_apply_again_does_too(lab: Lab) -> None:
    lab.write("/run/lab.toml", '[sandbox.c]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\ncount = 2\n', 0o600)
    lab.nsctl("apply", "/run/lab.toml", check=True)
    assert "nothing to do" in lab.nsctl("apply", "/run/lab.toml", check=True).stdout
    lab.run(["ip", "link", "del", "ns-c-1"], check=True)
    done = lab.nsctl("apply", "/run/lab.toml")
    assert (done.returncode, done.stdout) == (4, ""), done
    assert "2 sandboxes are up already, and not as made: link/ns-c-1: missing" in done.stderr
    assert lab.nsctl("repair").returncode == 0
    assert "nothing to do" in lab.nsctl("apply", "/run/lab.toml", check=True).stdout


def test_what_is_up_already_can_not_be_given_a_time_to_be_confirmed_in(lab: Lab) -> None:
    up(lab, "none", "--name", "q")
    refused(lab, "up", "none", "--name", "q", "--confirm", "2s", says="--confirm is for what is made now")
    down(lab, "q")
