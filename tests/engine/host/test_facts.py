from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Interface, IPv4Network

import pytest

from nsctl.engine.host.facts import default_routes, gather
from nsctl.engine.host.process import start_of
from nsctl.engine.model.commands import Command
from nsctl.engine.model.effects import AddrOn, LinkIs
from nsctl.engine.model.facts import Facts, Link, Route, Sandbox
from nsctl.engine.model.plan import Step
from nsctl.engine.reach.model import MAIN, Hop, TableRoute
from nsctl.engine.testing.namespaces import NamespaceThread
from tests.lab import Lab

Ip = Callable[..., None]

ANY = IPv4Network("0.0.0.0/0")


def table(*routes: tuple[int, int, str, int]) -> list[TableRoute]:
    return [TableRoute(MAIN, to, length, hops=(Hop(link),), metric=metric) for to, length, link, metric in routes]


def links_of(*routes: tuple[int, int, str, int]) -> list[str]:
    return [route.link for route in default_routes(table(*routes))]


def test_ways_out_are_default_routes_best_metric_first() -> None:
    assert links_of((0, 0, "wlan0", 600), (0, 0, "eth0", 100), (10 << 24, 8, "eth1", 0)) == ["eth0", "wlan0"]


def test_the_first_of_equal_default_routes_comes_first() -> None:
    assert links_of((0, 0, "wan1", 0), (0, 0, "wan0", 0)) == ["wan1", "wan0"]


def test_both_halves_of_the_internet_make_a_way_out_that_wins_and_one_half_does_not() -> None:
    low, high = (0, 1, "tun0", 50), (1 << 31, 1, "tun0", 50)
    assert links_of((0, 0, "eth0", 0), low, high) == ["tun0", "tun0", "eth0"]
    assert links_of((0, 0, "eth0", 0), low) == ["eth0"]
    assert links_of() == []


def test_a_default_route_that_only_refuses_is_no_way_out() -> None:
    assert default_routes([TableRoute(MAIN, 0, 0, "unreachable"), TableRoute(MAIN, 0, 0, hops=(Hop(""),))]) == ()


@pytest.mark.system
@pytest.mark.parametrize(
    ("lines", "uplinks", "mtu"),
    [
        (["route replace default via 203.0.113.1 mtu 1400"], ("eth0",), 1400),
        (["route replace default via 203.0.113.1 mtu lock 1390"], ("eth0",), 1390),
        (["route add 198.51.100.0/24 via 203.0.113.1 mtu 1300"], ("eth0",), 1500),
        (["route add default dev vpn0 table 100", "rule add from 10.0.0.0/8 table 100"], ("vpn0", "eth0"), 1420),
        (["route add default dev vpn0 table 100 mtu 1380", "rule add table 100"], ("vpn0", "eth0"), 1380),
        (["route add default dev vpn0 table 100"], ("eth0",), 1500),
        (["route add default dev vpn0 table 100", "rule add iif lo table 100"], ("eth0",), 1500),
        (["route add 0.0.0.0/1 dev vpn0", "route add 128.0.0.0/1 dev vpn0 mtu 1390"], ("vpn0", "eth0"), 1390),
        (
            [
                "route add default dev vpn0 table 51820",
                "rule add not fwmark 51820 table 51820",
                "rule add table main suppress_prefixlength 0",
            ],
            ("eth0", "vpn0"),
            1420,
        ),
        (["route replace default nexthop via 203.0.113.1 nexthop dev vpn0"], ("eth0", "vpn0"), 1420),
        (["route del default"], (), 1500),
    ],
)
def test_the_smallest_mtu_of_links_and_routes_that_lead_out_counts(
    ip: Ip, inside: NamespaceThread, lines: list[str], uplinks: tuple[str, ...], mtu: int
) -> None:
    ip(
        "link add name vpn0 mtu 1420 type veth peer name vpn1",
        "link set dev vpn0 up",
        "link set dev vpn1 up",
        *lines,
    )
    facts = inside.call(gather, "/run/nsctl", {}, {})
    assert facts.uplinks == uplinks
    assert inside.call(lambda: facts.default_mtu) == mtu


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


def test_gathering_starts_no_process() -> None:
    # os.times counts the time of children that were waited for; /proc/self/task/*/children the others.
    before = os.listdir("/proc/self/fd"), os.times().children_user, os.times().children_system
    facts = gather("/run/nsctl", {}, {})
    assert isinstance(facts, Facts)
    assert isinstance(facts.links["lo"], Link)
    assert (os.listdir("/proc/self/fd"), os.times().children_user, os.times().children_system) == before
