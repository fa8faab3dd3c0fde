"""Each option of mode bridge, and what the bridge checklist of other tools taught."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab import INTERNET, INTERNET_ADDRESS, Lab, ask_tcp, tcp_server
from tests.system.support import inside, refused, unchanged, up

pytestmark = pytest.mark.warm


def link(lab: Lab, name: str, netns: str | None = None) -> Any:
    where = ["-n", netns] if netns else []
    (found,) = json.loads(lab.run(["ip", *where, "-details", "-json", "link", "show", "dev", name], check=True).stdout)
    return found


def addresses(lab: Lab, name: str) -> list[str]:
    (found,) = json.loads(lab.run(["ip", "-json", "address", "show", "dev", name], check=True).stdout)
    return [f"{a['local']}/{a['prefixlen']}" for a in found["addr_info"]]


def test_networks_get_their_subnets_from_the_pool_one_after_the_other(lab: Lab) -> None:
    assert up(lab, "bridge") == "bridge is up: 10.77.0.2/24 on nsbr0, gateway 10.77.0.1\n"
    assert up(lab, "bridge", "--name", "b", "--network", "b") == "b is up: 10.77.1.2/24 on b, gateway 10.77.1.1\n"
    assert up(lab, "bridge", "--name", "c", "--bridge", "br7") == "c is up: 10.77.2.2/24 on br7, gateway 10.77.2.1\n"


def test_the_default_subnet_overlaps_no_route_and_no_name_server(lab: Lab) -> None:
    lab.run(["ip", "route", "add", "10.77.0.128/26", "via", INTERNET_ADDRESS], check=True)
    lab.write("/run/resolv.conf", "nameserver 10.77.1.53\n")
    lab.run(["mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf"], check=True)
    assert " 10.77.2.2/24 " in up(lab, "bridge")


def test_subnet_ip_gateway_bridge_ifname_mac_and_mtu_are_as_asked_for(lab: Lab) -> None:
    with unchanged(lab):
        line = up(
            lab,
            *("bridge", "--name", "web", "--subnet", "192.168.50.0/28", "--ip", "192.168.50.5"),
            *("--gateway", "192.168.50.14", "--bridge", "lan0", "--ifname", "net0"),
            *("--mac", "02:00:00:00:00:55", "--mtu", "1400"),
        )
        assert line == "web is up: 192.168.50.5/28 on lan0, gateway 192.168.50.14\n"
        assert addresses(lab, "lan0") == ["192.168.50.14/28"]
        endpoint = link(lab, "net0", "web")
        assert (endpoint["address"], endpoint["mtu"]) == ("02:00:00:00:00:55", 1400)
        assert link(lab, "lan0")["mtu"] == 1400
        assert "inet 192.168.50.5/28 " in inside(lab, "web", "ip", "address", "show", "dev", "net0")
        route = inside(lab, "web", "ip", "route", "show", "default")
        assert route == "default via 192.168.50.14 dev net0 metric 100 \n"
        up(lab, "none")
        lab.nsctl("down", "--all", check=True)


def test_a_network_is_joined_by_its_subnet_its_bridge_its_gateway_or_an_address_of_it(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", "--subnet", "10.0.3.0/24")
    assert up(lab, "bridge", "--name", "b", "--subnet", "10.0.3.0/24").startswith("b is up: 10.0.3.3/24 on nsbr0,")
    assert up(lab, "bridge", "--name", "c", "--bridge", "nsbr0").startswith("c is up: 10.0.3.4/24 on nsbr0,")
    assert up(lab, "bridge", "--name", "d", "--gateway", "10.0.3.1").startswith("d is up: 10.0.3.5/24 on nsbr0,")
    assert up(lab, "bridge", "--name", "e", "--ip", "10.0.3.99").startswith("e is up: 10.0.3.99/24 on nsbr0,")


def test_what_contradicts_an_existing_network_is_refused(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", "--subnet", "10.0.3.0/24", "--mtu", "1400")
    joins = ("up", "bridge", "--name", "b", "--bridge", "nsbr0")
    refused(lab, *joins, "--subnet", "10.0.4.0/24", says="nsbr0 has the subnet 10.0.3.0/24, not 10.0.4.0/24")
    refused(lab, *joins, "--gateway", "10.0.3.9", says="nsbr0 has the gateway 10.0.3.1, not 10.0.3.9")
    refused(lab, *joins, "--mtu", "1500", says="nsbr0 has the MTU 1400, not 1500", hint="--mtu")
    refused(lab, *joins, "--internal", says="nsbr0 is no internal network", hint="leave out --internal")
    refused(lab, *joins, "--ip", "10.0.4.9", says="10.0.4.9 is not in 10.0.3.0/24")
    refused(lab, *joins, "--ip", "10.0.3.2", says="10.0.3.2 is taken by 'a'")
    refused(lab, *joins, "--ip", "10.0.3.1", says="10.0.3.1 is the gateway")
    refused(lab, *joins, "--ip", "10.0.3.255", says="10.0.3.255 is the broadcast address")


def test_an_overlap_with_a_route_of_the_host_is_refused_with_the_route_named(lab: Lab) -> None:
    lab.run(["ip", "route", "add", "10.8.0.0/16", "via", INTERNET_ADDRESS], check=True)
    wanted = ("bridge", "--name", "web", "--subnet", "10.8.3.0/24")
    says = r"the subnet 10\.8\.3\.0/24 overlaps the host's route 10\.8\.0\.0/16 via 203\.0\.113\.1 dev eth0"
    refused(lab, "up", *wanted, says=says, hint="--allow-overlap")
    refused(lab, "up", "bridge", "--subnet", "203.0.113.0/24", says="route 203.0.113.0/24 dev eth0")
    assert up(lab, *wanted, "--allow-overlap") == "web is up: 10.8.3.2/24 on nsbr0, gateway 10.8.3.1\n"


def test_an_overlap_with_another_network_of_nsctls_is_refused_with_the_bridge_named(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", "--subnet", "10.0.3.0/24")
    refused(
        lab, "up", "bridge", "--name", "b", "--subnet", "10.0.0.0/16", says="overlaps 10.0.3.0/24 of .* bridge nsbr0"
    )


def test_the_mtu_is_that_of_the_default_routes_link_on_bridge_and_both_ends(lab: Lab) -> None:
    lab.run(["ip", "link", "set", "dev", "eth0", "mtu", "1280"], check=True)
    up(lab, "bridge", "--name", "web")
    (port,) = json.loads(lab.run(["ip", "-json", "link", "show", "master", "nsbr0"], check=True).stdout)
    assert port["mtu"] == link(lab, "nsbr0")["mtu"] == link(lab, "eth0", "web")["mtu"] == 1280


def test_the_bridges_hardware_address_stays_whatever_ports_come_and_go(lab: Lab) -> None:
    up(lab, "bridge", "--name", "a", "--subnet", "10.0.3.0/24", "--mac", "02:00:00:00:00:01")
    before = link(lab, "nsbr0")["address"]
    up(lab, "bridge", "--name", "b", "--subnet", "10.0.3.0/24")
    lab.nsctl("down", "a", check=True)
    assert link(lab, "nsbr0")["address"] == before


def test_an_ipv4_network_is_quiet_in_ipv6(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web")
    assert "inet6" not in lab.run(["ip", "address", "show", "dev", "nsbr0"]).stdout
    assert "inet6" not in inside(lab, "web", "ip", "address", "show", "dev", "eth0")
    (port,) = json.loads(lab.run(["ip", "-json", "address", "show", "master", "nsbr0"], check=True).stdout)
    assert [a for a in port["addr_info"] if a["family"] == "inet6"] == []
    assert lab.read("/proc/sys/net/ipv6/conf/nsbr0/accept_ra") == "0\n"
    assert inside(lab, "web", "cat", "/proc/sys/net/ipv4/conf/eth0/arp_notify") == "1\n"
    assert "LOOPBACK,UP" in inside(lab, "web", "ip", "link", "show", "dev", "lo")


def test_the_chosen_uplink_is_the_way_out(lab: Lab) -> None:
    lab.run(["ip", "link", "add", "wan1", "type", "bridge"], check=True)
    refused(lab, "up", "bridge", "--uplink", "wan2", says="there is no link 'wan2'")
    refused(lab, "up", "bridge", "--uplink", "wan1", "--internal", says="--internal has no way out")
    done = lab.nsctl("up", "bridge", "--name", "web", "--uplink", "wan1", check=True)
    assert "warning: web has no way out: the host forwards nothing that comes in by eth0" in done.stderr
    assert lab.read("/proc/sys/net/ipv4/conf/wan1/forwarding") == "1\n"
    with tcp_server(lab, INTERNET, port=80):
        assert ask_tcp(lab, "web", INTERNET_ADDRESS, 80, timeout=0.3) is None
