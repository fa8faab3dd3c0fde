from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Interface, IPv4Network

import pytest

from nsctl.engine.effect import AddrOn, LinkIs
from nsctl.engine.facts import Facts, Link, Route, Sandbox
from nsctl.engine.plan import Command, Step
from nsctl.engine.probe.facts import gather, uplinks_of
from nsctl.engine.probe.process import start_of
from tests.lab import Lab
from tests.lab.namespaces import NamespaceThread

Ip = Callable[..., None]

ANY, LOW, HIGH = IPv4Network("0.0.0.0/0"), IPv4Network("0.0.0.0/1"), IPv4Network("128.0.0.0/1")


def test_uplinks_are_the_links_of_default_routes_best_metric_first() -> None:
    routes = (
        Route(ANY, "wlan0", "192.168.1.1", 600),
        Route(ANY, "eth0", "10.0.0.1", 100),
        Route(ANY, "eth0", "10.0.0.2", 700),
        Route(IPv4Network("10.0.0.0/8"), "eth1"),
    )
    assert uplinks_of(routes) == ("eth0", "wlan0")


def test_the_first_of_equal_default_routes_comes_first() -> None:
    assert uplinks_of((Route(ANY, "wan1"), Route(ANY, "wan0"))) == ("wan1", "wan0")


def test_both_halves_of_the_internet_make_an_uplink_that_wins_and_one_half_does_not() -> None:
    vpn = (Route(LOW, "tun0", None, 50), Route(HIGH, "tun0", None, 50))
    assert uplinks_of((Route(ANY, "eth0"), *vpn)) == ("tun0", "eth0")
    assert uplinks_of((Route(ANY, "eth0"), vpn[0])) == ("eth0",)
    assert uplinks_of(()) == ()


@pytest.mark.system
def test_the_host_is_gathered_as_it_is(lab: Lab, ip: Ip, inside: NamespaceThread) -> None:
    ip(
        "link add name br0 address 02:00:00:00:00:01 mtu 1450 type bridge",
        "address add 10.0.3.1/24 dev br0",
        "link set dev br0 up",
        "link set dev eth0 mtu 1400",
        "netns add web",
        "route add blackhole 10.66.0.0/16",
    )
    facts = inside.call(gather, "/run/nsctl", {}, {})

    def look() -> None:
        assert facts.links["br0"].mac == "02:00:00:00:00:01"
        assert "nope" not in facts.links
        assert "a name that no link can have" not in facts.links
        assert facts.links.get("nope") is None
        assert sorted(facts.links) == ["br0", "eth0", "lo"]
        assert len(facts.links) == 3
        assert facts.sysctls["net/ipv4/conf/br0/forwarding"] == "0"
        assert "net/ipv4/conf/nope/forwarding" not in facts.sysctls
        assert "net/ipv4/conf/br0/forwarding" in set(facts.sysctls)

    inside.call(look)
    assert Route(ANY, "eth0", "203.0.113.1") in facts.routes
    assert Route(IPv4Network("203.0.113.0/24"), "eth0") in facts.routes
    assert not [route for route in facts.routes if route.destination == IPv4Network("10.66.0.0/16")]
    assert facts.uplinks == ("eth0",)
    assert facts.default_mtu == 1400
    assert facts.netns == {"web"}
    assert facts.state_dir == "/run/nsctl"
    assert facts.firewall.backend in ("nft", "legacy")
    assert facts.hosts == lab.read("/etc/hosts")


@pytest.mark.system
def test_facts_stay_as_they_were_first_read(ip: Ip, inside: NamespaceThread) -> None:
    ip("link add name br0 type bridge", "link add name br1 type bridge")
    facts = inside.call(gather, "/run/nsctl", {}, {})
    first = inside.call(facts.links.get, "br0")
    assert first is not None
    assert inside.call(facts.links.get, "br2") is None
    ip("link del dev br0", "link add name br2 type bridge")
    assert inside.call(facts.links.get, "br0") == first
    assert inside.call(facts.links.get, "br2") is None


@pytest.mark.system
def test_name_servers_on_loopback_are_replaced_by_those_behind_the_stub(lab: Lab, inside: NamespaceThread) -> None:
    def resolv_conf() -> str | None:
        return inside.call(gather, "/run/nsctl", {}, {}).resolv_conf

    stub = "# a stub\nnameserver 127.0.0.53\nnameserver ::1\noptions edns0\n"
    lab.write("/run/resolv.conf", stub)
    lab.run(["mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf"], check=True)
    assert resolv_conf() == stub
    lab.write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\n")
    assert resolv_conf() == "nameserver 192.0.2.53\n"
    for real in ("nameserver 127.0.0.53\nnameserver 192.0.2.1\n", "search example.org\n", ""):
        lab.write("/run/resolv.conf", real)
        assert resolv_conf() == real


def test_a_process_is_known_by_start_time_and_network_namespace() -> None:
    facts = gather("/run/nsctl", {}, {})
    me = facts.processes[os.getpid()]
    assert (me.pid, me.start, me.netns) == (os.getpid(), start_of(os.getpid()), os.stat("/proc/self/ns/net").st_ino)
    assert 2**22 + 1 not in facts.processes
    assert os.getpid() in set(facts.processes)


def descriptors_of(inode: int) -> int:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.stat(f"/proc/self/fd/{fd}").st_ino)
    return found.count(inode)


def test_the_network_namespace_of_a_process_is_held_so_that_its_number_is_not_given_to_another() -> None:
    child = subprocess.Popen(["sleep", "60"])
    netns = gather("/run/nsctl", {}, {}).processes[child.pid].netns
    child.kill()
    child.wait()
    held = descriptors_of(netns)
    assert held > 0
    assert gather("/run/nsctl", {}, {}).processes[os.getpid()].netns == netns
    assert descriptors_of(netns) == held


def test_what_the_store_knows_is_taken_over() -> None:
    sandboxes = {"web": Sandbox("web", "bridge")}
    steps = {
        step.key: step
        for step in (
            Step("link/nsbr0", "", Command(("true",)), effect=LinkIs("nsbr0", "02:00:00:00:00:01", "bridge")),
            Step("addr/nsbr0", "", Command(("true",)), effect=AddrOn("nsbr0", "10.0.3.1/24")),
            Step("addr/web:eth0", "", Command(("true",)), effect=AddrOn("eth0", "10.0.3.2/24", "web")),
        )
    }
    facts = gather("/run/nsctl", sandboxes, steps)
    assert facts.sandboxes is sandboxes
    assert facts.steps is steps
    assert facts.networks == {"nsbr0": IPv4Interface("10.0.3.1/24")}
    assert facts.taken == {"10.0.3.2": "web"}


def test_gathering_starts_no_process() -> None:
    # os.times counts the time of children that were waited for; /proc/self/task/*/children the others.
    before = os.listdir("/proc/self/fd"), os.times().children_user, os.times().children_system
    facts = gather("/run/nsctl", {}, {})
    assert isinstance(facts, Facts)
    assert isinstance(facts.links["lo"], Link)
    assert (os.listdir("/proc/self/fd"), os.times().children_user, os.times().children_system) == before
