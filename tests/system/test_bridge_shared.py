"""What several sandboxes share, and when it goes."""

from __future__ import annotations

import pytest

from tests.lab import (
    INTERNET,
    INTERNET_ADDRESS,
    Lab,
    ask_tcp,
    assert_back,
    canaries_alive,
    plant_canaries,
    snapshot,
    tcp_server,
)
from tests.system.support import data, down, refused, up

pytestmark = pytest.mark.warm

SUBNET = ("--subnet", "10.0.3.0/24")


@pytest.mark.both_ways
def test_the_last_one_down_removes_bridge_rules_and_sysctls(lab: Lab) -> None:
    canaries = plant_canaries(lab)
    before = snapshot(lab)
    for name in ("a", "b", "c"):
        up(lab, "bridge", "--name", name, *SUBNET)
    for name in ("b", "a"):
        down(lab, name)
        with tcp_server(lab, INTERNET, port=80):
            assert ask_tcp(lab, "c", INTERNET_ADDRESS, 80) == b"hello"
    assert lab.read("/proc/sys/net/ipv4/conf/nsbr0/forwarding") == "1\n"
    down(lab, "c")
    assert_back(lab, before)
    canaries_alive(lab, canaries)


def test_a_network_does_not_take_away_what_another_needs(lab: Lab) -> None:
    before = snapshot(lab)
    up(lab, "bridge", "--name", "a", *SUBNET)
    up(lab, "bridge", "--name", "b", "--subnet", "10.0.4.0/24")
    down(lab, "a")
    assert lab.read("/proc/sys/net/ipv4/conf/eth0/forwarding") == "1\n"
    assert "10.0.3.0" not in lab.run(["iptables-save"]).stdout
    with tcp_server(lab, INTERNET, port=80):
        assert ask_tcp(lab, "b", INTERNET_ADDRESS, 80) == b"hello"
    down(lab, "b")
    assert_back(lab, before)


def test_a_joining_sandbox_changes_nothing_of_what_is_there(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", *SUBNET)
    before = snapshot(lab)
    up(lab, "bridge", "--name", "b", *SUBNET)
    after = snapshot(lab)
    for section in ("sysctls", "iptables", "addresses", "routes"):
        old = before.sections.get(section, {})
        assert old.items() <= after.sections.get(section, {}).items(), section
    down(lab, "b")
    assert_back(lab, before)


def test_an_address_is_not_given_out_again_until_it_is_released(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", *SUBNET)
    up(lab, "bridge", "--name", "b", *SUBNET)
    refused(lab, "up", "bridge", "--name", "c", "--ip", "10.0.3.2", says="10.0.3.2 is taken by 'a'")
    assert " 10.0.3.4/24 " in up(lab, "bridge", "--name", "c", *SUBNET)
    down(lab, "a")
    assert " 10.0.3.2/24 " in up(lab, "bridge", "--name", "d", *SUBNET)
    assert " 10.0.3.5/24 " in up(lab, "bridge", "--name", "e", *SUBNET)


def test_an_address_that_a_dead_init_had_is_released_by_down(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", *SUBNET)
    lab.run(["kill", "-KILL", str(data(lab, "inspect", "a")["pid"])], check=True)
    down(lab, "a")
    assert " 10.0.3.2/24 " in up(lab, "bridge", "--name", "b", *SUBNET)


def test_a_full_subnet_is_refused(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", "--subnet", "10.0.3.0/30")
    refused(lab, "up", "bridge", "--name", "b", "--subnet", "10.0.3.0/30", says="every address of 10.0.3.0/30 is taken")


def test_a_new_network_takes_the_first_free_subnet_and_bridge(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a")
    up(lab, "bridge", "--name", "b")
    down(lab, "a")
    assert up(lab, "bridge", "--name", "c") == "c is up: 10.77.0.2/24 on nsbr0, gateway 10.77.0.1\n"
