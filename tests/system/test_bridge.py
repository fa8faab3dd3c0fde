"""Who reaches whom on a bridge, really."""

from __future__ import annotations

import pytest

from tests.lab import HOST_ADDRESS, INTERNET, INTERNET_ADDRESS, Lab, ask_tcp, ask_udp, tcp_server, udp_server
from tests.system.support import inside, said, unchanged, up

pytestmark = pytest.mark.warm

GATEWAY, WEB, DB = "10.0.3.1", "10.0.3.2", "10.0.3.3"
SUBNET = ("--subnet", "10.0.3.0/24")


def test_up_says_in_one_line_what_there_is_now(lab: Lab) -> None:
    assert up(lab, "bridge", "--name", "web", *SUBNET) == "web is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1\n"


def test_host_and_sandbox_reach_each_other(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *SUBNET)
    with tcp_server(lab, "web", port=80, reply=b"web") as web, tcp_server(lab, None, GATEWAY, port=81) as host:
        assert ask_tcp(lab, None, WEB, 80) == b"web"
        assert ask_tcp(lab, "web", GATEWAY, 81) == b"hello"
        assert ask_tcp(lab, "web", WEB, 80) == b"web"
        assert ask_tcp(lab, "web", "127.0.0.1", 80) == b"web"
    assert web.peers == [GATEWAY, WEB, "127.0.0.1"]
    assert host.peers == [WEB]


def test_sandboxes_on_one_bridge_reach_each_other_with_their_own_addresses(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *SUBNET)
    up(lab, "bridge", "--name", "db", *SUBNET)
    with tcp_server(lab, "db", port=5432) as db, udp_server(lab, "web", port=53) as web:
        assert ask_tcp(lab, "web", DB, 5432) == b"hello"
        assert ask_udp(lab, "db", WEB, 53) == b"hello"
    assert db.peers == [WEB]
    assert web.peers == [DB]


@pytest.mark.parametrize("policy", ["ACCEPT", "DROP"])
def test_the_outside_is_reached_and_sees_the_hosts_address(lab: Lab, policy: str) -> None:
    lab.run(["iptables", "-P", "FORWARD", policy], check=True)
    up(lab, "bridge", "--name", "web", *SUBNET)
    with tcp_server(lab, INTERNET, port=80) as tcp, udp_server(lab, INTERNET, port=53) as udp:
        assert ask_tcp(lab, "web", INTERNET_ADDRESS, 80) == b"hello"
        assert ask_udp(lab, "web", INTERNET_ADDRESS, 53) == b"hello"
    assert tcp.peers == udp.peers == [HOST_ADDRESS]
    assert f"-P FORWARD {policy}" in lab.run(["iptables", "-S", "FORWARD"]).stdout
    assert "1 received" in inside(lab, "web", "ping", "-c", "1", "-W", "2", INTERNET_ADDRESS)


def test_outside_only_answers_come_in_whatever_the_policy(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *SUBNET)
    lab.neighbour(["ip", "route", "add", "10.0.3.0/24", "via", HOST_ADDRESS], check=True)
    with tcp_server(lab, "web", port=80):
        assert ask_tcp(lab, None, WEB, 80) == b"hello"
        assert ask_tcp(lab, INTERNET, WEB, 80, timeout=0.3) is None


def test_two_networks_do_not_reach_each_other(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *SUBNET)
    up(lab, "bridge", "--name", "other", "--subnet", "10.0.4.0/24")
    with tcp_server(lab, "web", port=80), tcp_server(lab, "other", port=80):
        assert ask_tcp(lab, "other", WEB, 80, timeout=0.3) is None
        assert ask_tcp(lab, "web", "10.0.4.2", 80, timeout=0.3) is None
        assert ask_tcp(lab, None, WEB, 80) == ask_tcp(lab, None, "10.0.4.2", 80) == b"hello"


def test_an_internal_network_has_no_way_out_and_none_in(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *SUBNET, "--internal")
    up(lab, "bridge", "--name", "db", *SUBNET, "--internal")
    up(lab, "bridge", "--name", "other")
    assert inside(lab, "web", "ip", "route") == "10.0.3.0/24 dev eth0 proto kernel scope link src 10.0.3.2 \n"
    assert "10.0.3.0/24" not in lab.run(["iptables-save", "-t", "nat"]).stdout
    with (
        tcp_server(lab, INTERNET, port=80) as outside,
        tcp_server(lab, "db", port=80),
        tcp_server(lab, "other", port=80),
    ):
        assert ask_tcp(lab, "web", DB, 80) == b"hello"
        assert ask_tcp(lab, None, DB, 80) == b"hello"
        # Not even with a route that somebody adds inside.
        lab.run(["ip", "-n", "web", "route", "add", "default", "via", GATEWAY], check=True)
        assert ask_tcp(lab, "web", INTERNET_ADDRESS, 80, timeout=0.3) is None
        assert ask_tcp(lab, "web", "10.77.0.2", 80, timeout=0.3) is None
    assert outside.peers == []


def test_forwarding_is_set_for_the_bridge_and_the_uplink_never_for_all(lab: Lab) -> None:
    conf = "/proc/sys/net/ipv4/conf"
    with unchanged(lab):
        up(lab, "bridge", "--name", "web", *SUBNET)
        assert lab.read(f"{conf}/nsbr0/forwarding") == lab.read(f"{conf}/eth0/forwarding") == "1\n"
        assert lab.read("/proc/sys/net/ipv4/ip_forward") == lab.read(f"{conf}/lo/forwarding") == "0\n"
        said(lab, "down", "web")


def test_an_administrators_rules_come_first(lab: Lab) -> None:
    lab.run(["iptables", "-A", "FORWARD", "-d", INTERNET_ADDRESS, "-j", "DROP"], check=True)
    up(lab, "bridge", "--name", "web", *SUBNET)
    assert lab.run(["iptables", "-S", "FORWARD"]).stdout.splitlines() == [
        "-P FORWARD ACCEPT",
        f"-A FORWARD -d {INTERNET_ADDRESS}/32 -j DROP",
        '-A FORWARD -m comment --comment "nsctl:jump" -j NSCTL-FORWARD',
        '-A FORWARD -m comment --comment "nsctl:jump" -j NSCTL-GUARD',
    ]
    with tcp_server(lab, INTERNET, port=80):
        assert ask_tcp(lab, "web", INTERNET_ADDRESS, 80, timeout=0.3) is None


def test_without_an_uplink_there_is_a_network_all_the_same(lab_factory: type[Lab]) -> None:
    lab = lab_factory(uplink=False)
    with unchanged(lab):
        done = lab.nsctl("up", "bridge", "--name", "web")
        note = "note: the host has no default route: sandboxes get no further than the host itself\n"
        assert (done.returncode, done.stderr) == (0, note)
        assert "1 received" in lab.run(["ping", "-c", "1", "-W", "2", "10.77.0.2"]).stdout
        said(lab, "down", "web")
