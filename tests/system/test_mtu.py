"""The MTU inside: the smallest of the links and routes by which packets may leave."""

from __future__ import annotations

import json

import pytest

from tests.lab import Lab
from tests.system.support import down, unchanged, up

pytestmark = [pytest.mark.system, pytest.mark.needs("bridge", "veth", "iptables")]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
VPN = """\
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip link add vpn0 mtu 1420 type veth peer name far mtu 1420
ip link set vpn0 up
ip link set far up
ip address add 192.0.2.1/24 dev vpn0
"""


@pytest.mark.parametrize(
    ("script", "mtu"),
    [
        ("ip route replace default via 203.0.113.1 mtu 1400", 1400),
        ("ip route replace default via 203.0.113.1 mtu lock 1390", 1390),
        ("ip link set eth0 mtu 1450", 1450),
        (VPN + "ip route add default via 192.0.2.2 table 100; ip rule add from 10.0.0.0/8 table 100", 1420),
        (
            VPN + "ip route add default dev vpn0 table 51820; ip rule add not fwmark 51820 table 51820;"
            " ip rule add table main suppress_prefixlength 0",
            1420,
        ),
        (VPN + "ip route add 0.0.0.0/1 dev vpn0; ip route add 128.0.0.0/1 dev vpn0", 1420),
        ("ip route replace default via 203.0.113.1 mtu 1000", 1000),
    ],
)
def test_packets_inside_fit_the_smallest_link_and_route_on_the_way_out(lab: Lab, script: str, mtu: int) -> None:
    lab.run(["sh", "-ec", script], check=True)
    with unchanged(lab):
        up(lab, *WEB)
        ends = {link["ifname"]: link["mtu"] for link in links(lab)}
        assert ends == {"nsbr0": mtu, "ns-web": mtu, "eth0": mtu}
        down(lab, "web")


def links(lab: Lab) -> list[dict[str, object]]:
    outer = json.loads(lab.run(["ip", "-j", "link"], check=True).stdout)
    inner = json.loads(lab.run(["ip", "-n", "web", "-j", "link"], check=True).stdout)
    return [link for link in outer if link["ifname"] in {"nsbr0", "ns-web"}] + [
        link for link in inner if link["ifname"] == "eth0"
    ]


def test_a_network_has_no_ipv6_to_switch_off_below_its_smallest_mtu(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, *WEB, "--mtu", "1000")
        assert lab.nsctl("exec", "web", "--", "ping", "-c1", "-W2", "203.0.113.1").returncode == 0
        assert lab.nsctl("check").returncode == 0
        down(lab, "web")
