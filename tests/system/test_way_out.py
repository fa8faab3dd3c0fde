"""The way out: it stays whatever the host's routes become, and nothing else begins to be forwarded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab import INTERNET, Lab, Snapshot, ask_tcp, ask_udp, assert_back, snapshot, tcp_server, udp_server
from tests.system.support import down, up

pytestmark = [pytest.mark.system, pytest.mark.needs("bridge", "veth", "iptables")]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
FAR = "198.51.100.9"
"""An address of both neighbours', so that each uplink leads to it."""
PORT = 5005
SECOND = f"""\
ip netns add isp
ip netns exec isp sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip link add eth1 type veth peer name far netns isp
ip address add 192.0.2.1/24 dev eth1
ip link set eth1 up
ip -n isp link set lo up
ip -n isp address add 192.0.2.2/24 dev far
ip -n isp address add {FAR}/32 dev lo
ip -n isp link set far up
"""
CHANGES = {
    "none": ("", ""),
    "the default route comes late": ("ip route del default", "ip route add default via 203.0.113.1"),
    "it moves to another link": ("", "ip route replace default via 192.0.2.2"),
    "it moves to a link that comes late": (
        "ip netns del isp",
        SECOND + "ip route replace default via 192.0.2.2",
    ),
    "its link is renamed": (
        "",
        "ip link set eth0 down; ip link set eth0 name wan0; ip link set wan0 up; ip route add default via 203.0.113.1",
    ),
    "its link is gone, and comes back": (
        "ip route replace default via 192.0.2.2",
        "ip link del eth1; ip netns del isp;" + SECOND + "ip route replace default via 192.0.2.2",
    ),
    "a rule leads the network to another table": (
        "",
        "ip route add default via 192.0.2.2 table 100; ip rule add from 10.0.0.0/8 table 100 priority 100",
    ),
    "a VPN's rule lets only the default route go there": (
        "",
        (
            "ip route add default via 192.0.2.2 table 51820; ip rule add not fwmark 51820 table 51820 priority 101;"
            " ip rule add table main suppress_prefixlength 0 priority 100"
        ),
    ),
    "both at once": (
        "",
        "ip route replace default nexthop via 203.0.113.1 nexthop via 192.0.2.2",
    ),
    "the two halves of a VPN": ("", "ip route add 0.0.0.0/1 via 192.0.2.2; ip route add 128.0.0.0/1 via 192.0.2.2"),
    "all of it is flushed and made anew": (
        "",
        (
            "ip route flush table main; ip route add 203.0.113.0/24 dev eth0 src 203.0.113.2;"
            " ip route add 10.0.3.0/24 dev nsbr0; ip route add default via 203.0.113.1"
        ),
    ),
}
"""What happens to the uplinks: before `up`, and after it."""


@pytest.fixture
def host(lab: Lab) -> Iterator[Lab]:
    """A lab host with two neighbours that both have the address, and answer there."""
    lab.neighbour(["ip", "address", "add", f"{FAR}/32", "dev", "lo"], check=True)
    sh(lab, "sysctl -qw net.ipv6.conf.default.disable_ipv6=1")  # no address may come later
    sh(lab, SECOND)
    with tcp_server(lab, INTERNET, port=PORT), udp_server(lab, INTERNET, FAR, PORT):
        yield lab


def sh(lab: Lab, script: str) -> None:
    lab.run(["sh", "-ec", script], check=True)


def reaches(lab: Lab, name: str) -> list[str]:
    """How a sandbox gets an answer from there."""
    found = []
    with ExitStack() as stack:
        if lab.exists("/run/netns/isp"):
            stack.enter_context(tcp_server(lab, "isp", port=PORT))
            stack.enter_context(udp_server(lab, "isp", FAR, PORT))
        if ask_tcp(lab, name, FAR, PORT) is not None:
            found.append("tcp")
        if ask_udp(lab, name, FAR, PORT) is not None:
            found.append("udp")
        if lab.nsctl("exec", name, "--", "ping", "-c1", "-W2", FAR).returncode == 0:
            found.append("icmp")
    return found


def settings(found: Snapshot) -> dict[str, str]:
    return {key: value for key, value in found.sections["sysctls"].items() if key.endswith("/forwarding")}


@pytest.mark.parametrize("change", CHANGES)
def test_a_sandbox_keeps_its_way_out_whatever_becomes_of_the_uplinks(host: Lab, change: str) -> None:
    first, then = CHANGES[change]
    sh(host, first or "true")
    done = host.nsctl("up", *WEB)
    late = (
        "note: the host has no default route: sandboxes get no further than the host itself\n"
        if "del default" in first
        else ""
    )
    assert (done.returncode, done.stderr) == (0, late)
    sh(host, then or "true")
    assert reaches(host, "web") == ["tcp", "udp", "icmp"]
    assert host.nsctl("check").returncode == 0
    # Whoever comes now, too, and none takes it from the other.
    up(host, "bridge", "--name", "db", "--subnet", "10.0.4.0/24")
    assert reaches(host, "db") == ["tcp", "udp", "icmp"]
    assert host.nsctl("down", "web").returncode == 0
    assert reaches(host, "db") == ["tcp", "udp", "icmp"]
    assert host.nsctl("check").returncode == 0
    assert host.nsctl("down", "db").returncode == 0
    assert {key for key, value in settings(snapshot(host)).items() if value != "0"} <= {
        "net/ipv6/conf/default/forwarding"
    }
    assert "NSCTL" not in host.run(["iptables-save"], check=True).stdout


def test_links_that_came_meanwhile_no_longer_forward_when_all_is_down(host: Lab) -> None:
    before = snapshot(host)
    up(host, *WEB)
    sh(host, "ip link add late0 type veth peer name late1; ip link set late0 up; ip link set late1 up")
    assert host.read("/proc/sys/net/ipv4/conf/late0/forwarding") == "1\n"
    down(host, "web")
    assert host.read("/proc/sys/net/ipv4/conf/late0/forwarding") == "0\n"
    sh(host, "ip link del late0")
    assert_back(host, before)


def test_links_that_forwarded_before_go_on_and_others_do_not_begin(host: Lab) -> None:
    sh(host, "echo 1 >/proc/sys/net/ipv4/conf/eth1/forwarding")
    before = snapshot(host)
    up(host, *WEB)
    rules = host.run(["iptables", "-S", "NSCTL-GUARD"], check=True).stdout.splitlines()
    assert '-A NSCTL-GUARD -i eth1 -m comment --comment "nsctl:guard" -j RETURN' in rules
    assert rules[-1] == '-A NSCTL-GUARD -m comment --comment "nsctl:guard" -j DROP'
    down(host, "web")
    assert_back(host, before)
