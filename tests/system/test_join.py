"""Ports on bridges of the host's that are not nsctl's: nothing of these is ever changed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import INTERNET, INTERNET_ADDRESS, Lab, ask_tcp, assert_back, shim, snapshot, tcp_server
from tests.system.support import data, down, inside, inspect, refused, said, unchanged, up

pytestmark = pytest.mark.warm

LAN = """\
link set dev eth0 address 02:00:00:00:00:01
link add name br0 address 52:54:00:00:00:01 type bridge
link set dev br0 addrgenmode none
address flush dev eth0
link set dev eth0 master br0
address add 203.0.113.2/24 brd + dev br0
link set dev br0 up
route add default via 203.0.113.1 dev br0
"""
"""The host's uplink as the port of a bridge, which has its address: as hosts of virtual machines have it."""
WEB = ("bridge", "--name", "web", "--join", "br0", "--ip", "203.0.113.9", "--gateway", INTERNET_ADDRESS)


def bridged(lab: Lab) -> None:
    lab.run(["ip", "-batch", "-"], input=LAN, check=True)


@pytest.fixture
def lan(lab: Lab) -> Iterator[Lab]:
    bridged(lab)
    with unchanged(lab):
        yield lab
        lab.nsctl("down", "--all", check=True)


def reaches(lab: Lab, name: str, address: str) -> bool:
    return lab.nsctl("exec", name, "--", "ping", "-c1", "-W2", address).returncode == 0


def ip(lab: Lab, *words: str) -> None:
    lab.run(["ip", *words], check=True)


def address_of(lab: Lab, link: str) -> str:
    (found,) = json.loads(lab.run(["ip", "-json", "link", "show", "dev", link], check=True).stdout)
    return str(found["address"])


def master(lab: Lab, link: str) -> str:
    (found,) = json.loads(lab.run(["ip", "-json", "link", "show", "dev", link], check=True).stdout)
    return str(found.get("master", ""))


def drifts(lab: Lab) -> dict[str, str]:
    return {one["key"]: one["found"] for one in json.loads(lab.nsctl("check", "--json").stdout)["drift"]}


def test_a_sandbox_on_the_lan_reaches_it_and_is_reached(lan: Lab) -> None:
    assert up(lan, *WEB) == "web is up: 203.0.113.9/24 on br0, gateway 203.0.113.1\n"
    assert reaches(lan, "web", INTERNET_ADDRESS)
    assert reaches(lan, "web", "203.0.113.2")
    assert lan.neighbour(["ping", "-c1", "-W2", "203.0.113.9"]).returncode == 0
    with tcp_server(lan, "web", port=80):
        assert ask_tcp(lan, INTERNET, "203.0.113.9", 80) == b"hello"
    assert said(lan, "check") == "everything is as it was made\n"
    assert "NSCTL" not in lan.run(["iptables-save"], check=True).stdout
    down(lan, "web")


def test_of_the_bridge_nothing_is_set(lan: Lab) -> None:
    before = snapshot(lan)
    up(lan, *WEB, "--isolate", "net")
    after = snapshot(lan)
    for section in ("links", "addresses", "routes", "rules", "sysctls"):
        had, has = before.sections[section], after.sections[section]
        assert {key: value for key, value in has.items() if "ns-web" not in key} == had
    down(lan, "web")


def test_without_an_address_it_is_a_link_and_no_more(lan: Lab) -> None:
    assert up(lan, "bridge", "--name", "l2", "--join", "br0") == "l2 is up: a link on br0, without an address\n"
    assert "inet " not in inside(lan, "l2", "ip", "-4", "address", "show", "dev", "eth0")
    assert inspect(lan, "l2")["addresses"] == []
    inside(lan, "l2", "ip", "address", "add", "203.0.113.77/24", "dev", "eth0")
    assert reaches(lan, "l2", INTERNET_ADDRESS)
    assert said(lan, "check") == "everything is as it was made\n"


def test_a_second_one_gets_neither_the_address_nor_the_hosts(lan: Lab) -> None:
    up(lan, *WEB)
    second = ("up", "bridge", "--name", "b", "--join", "br0", "--ip")
    refused(lan, *second, "203.0.113.9", says="203.0.113.9 is taken by 'web'")
    refused(lan, *second, "203.0.113.2", says="203.0.113.2 is the host's own address, of br0")
    up(lan, *second[1:], "203.0.113.10/24")
    assert reaches(lan, "b", "203.0.113.9")
    assert said(lan, "run", *second[1:3], "c", *second[4:], "203.0.113.11", "--", "ping", "-c1", "-q", "203.0.113.9")


def test_an_address_that_a_sandbox_of_another_store_has_on_it_is_refused(lab: Lab) -> None:
    bridged(lab)
    up(lab, *WEB)
    other = {"NSCTL_STATE_DIR": "/run/other"}
    words = ("bridge", "--name", "b", "--join", "br0", "--ip")
    taken = lab.nsctl("up", *words, "203.0.113.9", env=other)
    assert (taken.returncode, taken.stderr.splitlines()[0]) == (
        2,
        "nsctl: 203.0.113.9 is taken by 'web of the store /run/nsctl'",
    )
    plan = json.loads(lab.nsctl("up", *words, "203.0.113.10", "--dry-run", "--format", "json", env=other).stdout)
    lab.write("/run/plan.json", json.dumps(plan), 0o600)
    up(lab, *words[:1], "--name", "c", *words[3:], "203.0.113.10")
    late = lab.nsctl("apply", "/run/plan.json", env=other)
    assert (late.returncode, late.stderr.splitlines()[0]) == (
        2,
        "nsctl: 203.0.113.10 on br0 is c's, of the store /run/nsctl",
    )


def test_nothing_is_claimed_of_its_way_out(lan: Lab) -> None:
    up(lan, *WEB)
    lan.neighbour(["ip", "link", "set", "eth0", "down"], check=True)
    assert not reaches(lan, "web", INTERNET_ADDRESS)
    assert data(lan, "check", "--json")["way_out"] == {}
    lan.neighbour(["ip", "link", "set", "eth0", "up"], check=True)


def test_networks_tells_whose_they_are(lan: Lab) -> None:
    up(lan, *WEB)
    up(lan, "bridge", "--name", "l2", "--join", "br0")
    up(lan, "bridge", "--name", "own")
    assert said(lan, "networks").splitlines() == [
        "NAME   BRIDGE  SUBNET          GATEWAY    INTERNAL  OWNER  SANDBOXES",
        "br0    br0     203.0.113.0/24  -          -         host   l2, web",
        "nsbr0  nsbr0   10.77.0.0/24    10.77.0.1  no        nsctl  own",
    ]
    assert data(lan, "networks", "--json")[0]["joined"] is True


def test_networks_of_nsctls_beside_it_do_not_cut_it_off(lan: Lab) -> None:
    up(lan, "bridge", "--name", "own")
    up(lan, *WEB)
    assert reaches(lan, "web", INTERNET_ADDRESS)
    assert lan.neighbour(["ping", "-c1", "-W2", "203.0.113.9"]).returncode == 0
    assert reaches(lan, "own", INTERNET_ADDRESS)


def test_a_bridge_that_is_gone_is_named_and_its_namesake_left_alone(lab: Lab) -> None:
    ip(lab, "link", "add", "br0", "address", "52:54:00:00:00:01", "type", "bridge")
    ip(lab, "link", "add", "p0", "address", "02:00:00:00:00:05", "master", "br0", "type", "veth", "peer", "name", "p1")
    ip(lab, "link", "set", "br0", "up")
    up(lab, "bridge", "--name", "web", "--join", "br0")
    ip(lab, "link", "del", "br0")
    assert drifts(lab) == {"link/ns-web": "a port of nothing: the bridge br0 that it joined is gone"}
    ip(lab, "link", "add", "br0", "address", "52:54:00:00:00:01", "type", "bridge")
    assert drifts(lab) == {"link/ns-web": "a port of nothing: the bridge br0 that it joined is gone"}
    done = lab.nsctl("repair")
    assert done.returncode == 4
    assert "left alone: link/ns-web" in done.stderr
    assert master(lab, "ns-web") == ""
    ip(lab, "link", "del", "ns-web")
    lab.nsctl("repair")
    assert lab.run(["ip", "link", "show", "dev", "ns-web"]).returncode != 0
    before = lab.run(["ip", "link", "show", "dev", "br0"], check=True).stdout
    down(lab, "web")
    assert lab.run(["ip", "link", "show", "dev", "br0"], check=True).stdout == before


def test_a_bridge_with_another_name_is_still_the_one(lan: Lab) -> None:
    up(lan, *WEB)
    ip(lan, "link", "set", "br0", "down")
    ip(lan, "link", "set", "br0", "name", "lan0")
    ip(lan, "link", "set", "lan0", "up")
    assert drifts(lan) == {}
    ip(lan, "link", "set", "ns-web", "nomaster")
    assert drifts(lan) == {"link/ns-web": "master none, expected lan0"}
    lan.nsctl("repair", check=True)
    assert master(lan, "ns-web") == "lan0"
    assert reaches(lan, "web", INTERNET_ADDRESS)
    ip(lan, "link", "set", "lan0", "down")
    ip(lan, "link", "set", "lan0", "name", "br0")
    ip(lan, "link", "set", "br0", "up")
    ip(lan, "route", "add", "default", "via", INTERNET_ADDRESS, "dev", "br0")


def test_a_port_that_is_gone_is_made_again(lan: Lab) -> None:
    up(lan, *WEB)
    ip(lan, "link", "del", "ns-web")
    assert "link/ns-web" in drifts(lan)
    lan.nsctl("repair", check=True)
    assert reaches(lan, "web", INTERNET_ADDRESS)


@pytest.mark.parametrize("fuse", [(), ("--no-batch",)])
def test_a_failure_leaves_the_bridge_as_it_was(lan: Lab, fuse: tuple[str, ...]) -> None:
    before = snapshot(lan)
    lan.run(["mount", "-o", "bind,ro", "/proc/sys", "/proc/sys"], check=True)
    assert lan.nsctl("up", *WEB, *fuse).returncode == 1
    lan.run(["umount", "/proc/sys"], check=True)
    assert_back(lan, before)


def test_a_port_is_found_when_the_store_is_lost(lan: Lab) -> None:
    up(lan, *WEB, "--isolate", "net")
    lan.run(["rm", "/run/nsctl/state.db"], check=True)
    assert "removed link/ns-web" in lan.nsctl("recover", "--scan", "--yes", check=True).stdout
    assert lan.run(["ip", "link", "show", "dev", "ns-web"]).returncode != 0


def test_a_bridge_whose_hardware_address_would_change_is_refused(lab: Lab) -> None:
    ip(lab, "link", "add", "br1", "type", "bridge")
    ip(lab, "link", "set", "br1", "up")
    mac = address_of(lab, "br1")
    way = f"ip link set dev br1 address {mac}"
    wanted = ("bridge", "--name", "l2", "--join", "br1")
    refused(lab, "up", *wanted, says="br1 has no hardware address of its own", hint=way)
    lab.run(way.split(), check=True)
    up(lab, *wanted)
    assert address_of(lab, "br1") == mac
    down(lab, "l2")
    assert address_of(lab, "br1") == mac


def test_a_bridge_of_which_that_can_not_be_seen_is_refused_unless_another_port_decides(lab: Lab) -> None:
    lab.run(["mount", "-t", "tmpfs", "none", "/sys"], check=True)
    ip(lab, "link", "add", "br1", "type", "bridge")
    ip(lab, "link", "set", "br1", "up")
    refused(lab, "up", "bridge", "--join", "br1", says="can't be seen in /sys", hint="another port first")
    ip(lab, "link", "add", "p0", "address", "02:00:00:00:00:05", "master", "br1", "type", "veth", "peer", "name", "p1")
    before = address_of(lab, "br1")
    up(lab, "bridge", "--join", "br1")
    assert address_of(lab, "br1") == before


def test_a_pair_of_addresses_with_the_neighbour_at_the_other_end(lan: Lab) -> None:
    lan.neighbour(["ip", "address", "add", "192.0.2.8/31", "dev", "eth0"], check=True)
    line = up(lan, "bridge", "--name", "web", "--join", "br0", "--ip", "192.0.2.9/31", "--gateway", "192.0.2.8")
    assert line == "web is up: 192.0.2.9/31 on br0, gateway 192.0.2.8\n"
    assert reaches(lan, "web", "192.0.2.8")
    assert reaches(lan, "web", INTERNET_ADDRESS)


def test_a_bridge_with_vlans_takes_it_untagged(lan: Lab) -> None:
    if lan.run(["ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "1"]).returncode != 0:
        pytest.skip("the kernel's bridges have no VLANs")
    up(lan, *WEB)
    assert reaches(lan, "web", INTERNET_ADDRESS)
    assert "Egress Untagged" in lan.run(["bridge", "vlan", "show", "dev", "ns-web"], check=True).stdout
    down(lan, "web")
    ip(lan, "link", "set", "br0", "type", "bridge", "vlan_filtering", "0")


def test_a_lab_file_joins(lan: Lab) -> None:
    lan.write(
        "/run/lab/lab.toml",
        '[network.outside]\nmode = "bridge"\njoin = "br0"\n'
        '[sandbox.web]\nnetwork = "outside"\nip = "203.0.113.9/24"\n[sandbox.l2]\nnetwork = "outside"\n',
    )
    assert "done: 2 made" in said(lan, "apply", "/run/lab/lab.toml")
    assert reaches(lan, "web", INTERNET_ADDRESS)
    assert "nothing to do" in said(lan, "apply", "/run/lab/lab.toml")
    lan.run(["rm", "-r", "/run/lab"], check=True)


def test_a_script_makes_and_unmakes_it(lan: Lab) -> None:
    script = said(lan, "up", *WEB, "--isolate", "net", "--dry-run", "--format", "sh")
    lan.write("/run/lab/web.sh", script)
    before = snapshot(lan)
    lan.run(["sh", "/run/lab/web.sh"], check=True)
    assert lan.neighbour(["ping", "-c1", "-W2", "203.0.113.9"]).returncode == 0
    lan.run(["sh", "/run/lab/web.sh", "down"], check=True)
    assert_back(lan, before)
    lan.run(["rm", "-r", "/run/lab"], check=True)


REPLACED = f"""\
ip link set eth0 nomaster; ip link del br0; ip link add br0 address 52:54:00:00:00:01 type bridge
ip link set eth0 master br0; ip address add 203.0.113.2/24 brd + dev br0; ip link set br0 up
ip route add default via {INTERNET_ADDRESS} dev br0
"""


def test_a_saved_plan_does_not_join_a_namesake(lab: Lab) -> None:
    bridged(lab)
    lab.write("/run/lab/plan.json", said(lab, "up", *WEB, "--dry-run", "--format", "json"))
    lab.run(["sh", "-ec", REPLACED], check=True)
    refused(lab, "apply", "/run/lab/plan.json", says="br0 is another bridge", hint="make the plan again")


def test_a_bridge_that_is_replaced_while_it_is_joined_is_not_joined(lab: Lab) -> None:
    bridged(lab)
    shims = shim(lab, ("ip",))
    shims.stranger(REPLACED)
    shims.plan({1: "stranger-before"})
    done = lab.nsctl("up", *WEB, "--isolate", "net")
    assert done.returncode == 1
    assert "a port of br0; the bridge br0 that it joined is gone" in done.stderr
    assert lab.run(["ip", "link", "show", "dev", "ns-web"]).returncode != 0
    assert data(lab, "ls", "--json") == []
