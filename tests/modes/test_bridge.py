"""A bridge on the real kernel: the points of the peers' checklist that golden cases can't show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab import HOST_ADDRESS, INTERNET_ADDRESS, Lab, assert_back, snapshot

LAN = ("--subnet", "10.0.3.0/24")


def up(lab: Lab, name: str, *options: str) -> None:
    lab.nsctl("up", "bridge", "--name", name, *options, check=True)


def ping(lab: Lab, sandbox: str, address: str) -> bool:
    return lab.nsctl("exec", sandbox, "--", "ping", "-c1", "-W1", address).returncode == 0


def links(lab: Lab, *where: str) -> dict[str, Any]:
    found = json.loads(lab.run(["ip", "-j", "-d", *where, "address"], check=True).stdout)
    return {link["ifname"]: link for link in found}


def sysctl(lab: Lab, key: str, netns: str = "") -> str:
    argv = ["sysctl", "-n", key]
    return lab.run(["ip", "netns", "exec", netns, *argv] if netns else argv, check=True).stdout.strip()


def test_neighbours_host_and_outside_are_reached_whatever_the_policy_of_forward_is(lab: Lab) -> None:
    lab.run(["iptables", "-P", "FORWARD", "DROP"], check=True)
    before = snapshot(lab)
    up(lab, "web", *LAN)
    up(lab, "db", *LAN)

    assert ping(lab, "web", "10.0.3.1")
    assert ping(lab, "web", "10.0.3.3")
    assert ping(lab, "web", INTERNET_ADDRESS)
    assert lab.run(["ping", "-c1", "-W1", "10.0.3.2"]).returncode == 0

    lab.nsctl("down", "--all", check=True)
    assert_back(lab, before)


def test_the_outside_sees_the_hosts_address(lab: Lab) -> None:
    up(lab, "web", *LAN)
    assert ping(lab, "web", INTERNET_ADDRESS)

    # The neighbour has no route to 10.0.3.0/24, so that its answer came shows that it saw the host's address.
    assert "10.0.3" not in lab.neighbour(["ip", "route"], check=True).stdout
    assert HOST_ADDRESS in lab.neighbour(["ip", "neigh"], check=True).stdout


def test_22_nothing_new_comes_in_from_outside_although_the_policy_accepts(lab: Lab) -> None:
    up(lab, "web", *LAN)
    lab.neighbour(["ip", "route", "add", "10.0.3.0/24", "via", HOST_ADDRESS], check=True)

    assert lab.neighbour(["ping", "-c1", "-W1", "10.0.3.2"]).returncode != 0
    lab.nsctl("down", "web", check=True)


def test_25_networks_are_isolated_from_each_other(lab: Lab) -> None:
    up(lab, "web", *LAN)
    up(lab, "other", "--network", "other")
    other = json.loads(lab.nsctl("ls", "--json", check=True).stdout)
    [address] = [row["addresses"][0].partition("/")[0] for row in other if row["name"] == "other"]

    assert not ping(lab, "web", address)
    assert not ping(lab, "other", "10.0.3.2")


def test_17_an_internal_network_reaches_nothing_but_itself_and_the_host(lab: Lab) -> None:
    up(lab, "a", *LAN, "--internal")
    up(lab, "b", *LAN, "--internal")
    lab.run(["ip", "netns", "exec", "a", "ip", "route", "add", "default", "via", "10.0.3.1"], check=True)

    assert ping(lab, "a", "10.0.3.3")
    assert ping(lab, "a", "10.0.3.1")
    assert not ping(lab, "a", INTERNET_ADDRESS)


def test_1_the_bridge_keeps_its_hardware_address_as_ports_come_and_go(lab: Lab) -> None:
    up(lab, "web", *LAN)
    mac = links(lab)["nsbr0"]["address"]
    up(lab, "db", *LAN)
    lab.nsctl("down", "web", check=True)

    assert links(lab)["nsbr0"]["address"] == mac


def test_3_both_ends_and_the_bridge_have_the_mtu_of_the_default_routes_link(lab: Lab) -> None:
    lab.run(["ip", "link", "set", "eth0", "mtu", "1380"], check=True)
    up(lab, "web", *LAN)

    assert links(lab)["nsbr0"]["mtu"] == links(lab)["ns-web"]["mtu"] == links(lab, "-n", "web")["eth0"]["mtu"] == 1380


def test_4_to_7_no_ipv6_anywhere_on_an_ipv4_network(lab: Lab) -> None:
    up(lab, "web", *LAN)

    found = {**links(lab), **{f"web:{n}": link for n, link in links(lab, "-n", "web").items()}}
    for name in ("nsbr0", "ns-web", "web:eth0"):
        assert [a for a in found[name]["addr_info"] if a["family"] == "inet6"] == [], name
    assert sysctl(lab, "net.ipv6.conf.nsbr0.accept_ra") == "0"
    assert sysctl(lab, "net.ipv6.conf.eth0.disable_ipv6", "web") == "1"


def test_9_the_peer_is_born_inside_so_no_eth0_is_added_to_the_host(lab: Lab) -> None:
    up(lab, "web", *LAN, "--ifname", "wan0")

    assert "wan0" not in links(lab)
    assert "wan0" in links(lab, "-n", "web")


def test_10_11_14_loopback_up_arp_announced_and_a_metric_on_the_default_route(lab: Lab) -> None:
    up(lab, "web", *LAN)

    assert "UP" in links(lab, "-n", "web")["lo"]["flags"]
    assert sysctl(lab, "net.ipv4.conf.eth0.arp_notify", "web") == "1"
    [route] = json.loads(lab.run(["ip", "-j", "-n", "web", "route", "show", "default"], check=True).stdout)
    assert route["metric"] == 100


def test_15_16_forwarding_is_set_only_where_needed_and_put_back(lab: Lab) -> None:
    keys = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv4.conf.eth0.forwarding")
    before = [sysctl(lab, key) for key in keys]
    up(lab, "web", *LAN)

    assert sysctl(lab, "net.ipv4.conf.nsbr0.forwarding") == sysctl(lab, "net.ipv4.conf.eth0.forwarding") == "1"
    assert sysctl(lab, "net.ipv4.ip_forward") == before[0] == "0"

    lab.nsctl("down", "web", check=True)
    assert [sysctl(lab, key) for key in keys] == before


def test_2_a_bridge_that_nsctl_did_not_make_is_refused_and_left_alone(lab: Lab) -> None:
    lab.run(["ip", "link", "add", "br9", "type", "bridge"], check=True)
    before = snapshot(lab)

    refused = lab.nsctl("up", "bridge", "--bridge", "br9", *LAN)

    assert refused.returncode == 2
    assert "br9 is there already, and not nsctl's" in refused.stderr
    assert_back(lab, before)


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_rules_read_back_as_they_were_planned_with_either_back_end(lab: Lab, backend: str) -> None:
    if lab.run(["sh", "-c", f"command -v iptables-{backend}-save && ls /etc/alternatives/iptables"]).returncode != 0:
        pytest.skip(f"no {backend} back end to choose")
    # As update-alternatives does it, in a copy of the lab's own.
    lab.run(
        ["sh", "-c", "cp -a /etc/alternatives /run/chosen && mount --bind /run/chosen /etc/alternatives"], check=True
    )
    for tail in ("", "-save", "-restore"):
        lab.run(["ln", "-sf", f"/usr/sbin/iptables-{backend}{tail}", f"/etc/alternatives/iptables{tail}"], check=True)
    assert backend in lab.run(["iptables", "-V"], check=True).stdout.replace("nf_tables", "nft")
    up(lab, "web", *LAN)
    up(lab, "inner", "--internal")

    checked = lab.nsctl("check")

    assert checked.returncode == 0, checked.stdout
    lab.nsctl("down", "--all", check=True)
    assert "NSCTL" not in lab.run([f"iptables-{backend}-save"], check=True).stdout


def test_the_last_sandbox_down_removes_bridge_rules_and_sysctls_and_not_before(lab: Lab) -> None:
    before = snapshot(lab)
    up(lab, "web", *LAN)
    up(lab, "db", *LAN)
    lab.nsctl("down", "web", check=True)

    assert "nsbr0" in links(lab)
    assert ping(lab, "db", INTERNET_ADDRESS)

    lab.nsctl("down", "db", check=True)
    assert_back(lab, before)
