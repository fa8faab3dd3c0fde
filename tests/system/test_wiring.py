"""What came along with a step: the end of a cable inside, the forwarding of a port, the route of a subnet."""

from __future__ import annotations

import json

import pytest

from nsctl.engine.testing.snapshot import assert_same
from tests.lab import Lab, assert_back, needs, snapshot
from tests.system.support import down, eventually, inside, said, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

NET = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
ACTS = {
    "the hardware address inside": (
        "ip -n web link set eth0 address 02:00:00:00:00:99",
        "link/ns-web",
        "eth0 inside has the hardware address 02:00:00:00:00:99, expected ",
    ),
    "the MTU inside": ("ip -n web link set eth0 mtu 1300", "link/ns-web", "eth0 inside has an MTU of 1300, expected "),
    "a port": (
        "bridge link set dev ns-web state 0",
        "up/ns-web",
        "up, and its bridge forwards nothing by it",
    ),
    "the route of the bridge": (
        "ip route del 10.0.3.0/24 dev nsbr0",
        "addr/nsbr0/10.0.3.1/24",
        "in place, without the route to 10.0.3.0/24",
    ),
    "the route inside": (
        "ip -n web route del 10.0.3.0/24 dev eth0",
        "addr/web:eth0/10.0.3.2/24",
        "in place, without the route to 10.0.3.0/24",
    ),
}


def sh(lab: Lab, script: str) -> None:
    lab.run(["sh", "-ec", script], check=True)


def found(lab: Lab) -> list[tuple[str, str, str]]:
    done = lab.nsctl("check", "--json")
    drifts = json.loads(done.stdout)["drift"]
    assert done.returncode == (4 if drifts else 0), done
    return [(d["key"], d["found"], d["state"]) for d in drifts]


def forwards(lab: Lab) -> bool:
    return lab.read("/sys/class/net/ns-web/brport/state").strip() == "3"


@pytest.mark.parametrize("what", ACTS)
def test_it_is_named_and_put_back(lab: Lab, what: str) -> None:
    act, key, says = ACTS[what]
    before = snapshot(lab)
    up(lab, *NET)
    assert eventually(lambda: forwards(lab))
    made = snapshot(lab)
    pid = inside(lab, "web", "sh", "-c", "echo $PPID")
    sh(lab, act)
    ((named, told, state),) = found(lab)
    assert (named, state) == (key, "changed")
    assert told.startswith(says)
    said(lab, "repair")
    assert found(lab) == []
    assert forwards(lab)
    assert_same(made, snapshot(lab))
    assert inside(lab, "web", "sh", "-c", "echo $PPID") == pid
    inside(lab, "web", "ping", "-c", "1", "-W", "5", "10.0.3.1")
    down(lab, "web")
    assert_back(lab, before)


def test_all_routes_inside_are_put_back_at_once_the_subnets_first(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
    before = lab.run(["ip", "-n", "web", "route"], check=True).stdout
    lab.run(["ip", "-n", "web", "route", "flush", "dev", "eth0"], check=True)
    lab.nsctl("repair", check=True)
    assert lab.run(["ip", "-n", "web", "route"], check=True).stdout == before


def test_both_ends_are_mended_at_once(lab: Lab) -> None:
    up(lab, *NET)
    sh(lab, "ip -n web link set eth0 address 02:00:00:00:00:99; ip link set ns-web mtu 1300")
    what = {key: what for key, what, _ in found(lab)}["link/ns-web"]
    assert "mtu 1300" in what
    assert "eth0 inside has the hardware address" in what
    said(lab, "repair")
    assert found(lab) == []
    down(lab, "web")


def test_another_link_under_the_name_of_the_inner_end_is_a_strangers(lab: Lab) -> None:
    before = snapshot(lab)
    up(lab, *NET)
    mac = lab.run(["ip", "-n", "web", "-json", "link", "show", "eth0"], check=True).stdout
    mac = json.loads(mac)[0]["address"]
    sh(lab, "ip -n web link set eth0 down; ip -n web link set eth0 name eth9; ip -n web addr flush dev eth9;"
            f" ip link add far type veth peer name eth0 netns web address {mac};"
            " ip -n web addr add 10.0.3.2/24 dev eth0;"
            " ip link set far up; ip -n web link set eth0 up; ip -n web link set eth9 up;"
            " nsenter --net=/run/netns/web sysctl -qw net.ipv4.conf.eth0.arp_notify=1"
            " net.ipv6.conf.eth0.disable_ipv6=1;"
            " ip -n web route add default via 10.0.3.1 dev eth0 metric 100")  # fmt: skip
    assert found(lab) == [("link/ns-web", "eth0 inside is another link", "foreign")]
    assert lab.nsctl("repair").returncode == 4
    # Once it is out of the way, the cable is made anew.
    sh(lab, "ip link del far")
    said(lab, "repair")
    assert found(lab) == []
    inside(lab, "web", "ping", "-c", "1", "-W", "5", "10.0.3.1")
    down(lab, "web")
    assert_back(lab, before)
