"""The vocabulary: every step complete, every name and address checked before it reaches an argument vector."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsctl import Facts, Invalid, Step, kit
from nsctl.engine.kit.link import InnerEnd, inner_end, peer_key
from nsctl.engine.model.errors import Conflict
from nsctl.engine.model.facts import Process, Route

EVERY_STEP: list[Step] = [
    kit.netns("web"),
    kit.join_sandbox("side", "web"),
    kit.join_process("side", Process(7, 1, 4026532000)),
    kit.bridge("br0"),
    kit.veth("pair0", peer="eth0", netns="web"),
    kit.link_up("br0"),
    kit.link_up("lo", netns="web"),
    kit.link_set("br0", "mtu", "1400", before="1500"),
    kit.address("br0", "10.0.3.1/24"),
    kit.route("10.0.4.0/24", link="br0", via="10.0.3.9"),
    kit.default_route("10.0.3.1", netns="web"),
    kit.chain("filter", "NSCTL-TEST"),
    kit.rule("filter", "FORWARD", "-i", "br0", "-j", "ACCEPT", owner="br0", why="test"),
    *kit.filter_network("br0"),
    *kit.filter_network("br0", internal=True),
    *kit.masquerade(IPv4Network("10.0.3.0/24"), unless_to="br0"),
    *kit.own_addresses("pair0", "02:00:00:00:00:01", IPv4Address("10.0.3.2")),
    kit.directory("/run/x"),
    kit.file("/run/x/y", "content"),
    kit.spawn(Facts(), "web", "proxy-80", ("sleep", "1"), why="test"),
]


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step.key)
def test_a_step_has_a_reason_an_undo_and_an_effect(step: Step) -> None:
    assert step.why
    assert step.undo
    assert step.effect is not None


def test_only_what_the_host_has_not_already_is_set() -> None:
    facts = Facts(sysctls={"net/ipv4/conf/eth0/forwarding": "1"})

    assert kit.sysctl(facts, "net/ipv4/conf/eth0/forwarding", "1") is None


def test_the_undo_of_a_sysctl_puts_back_what_was_found() -> None:
    step = kit.sysctl(Facts(sysctls={"net/core/somaxconn": "4096"}), "net/core/somaxconn", "128")

    assert step is not None
    assert step.undo[0].argv == ("sysctl", "-qw", "net/core/somaxconn=4096")


def test_a_sysctl_that_another_sandbox_set_is_shared_as_it_was_applied() -> None:
    key = "net/ipv4/conf/eth0/forwarding"
    first = kit.sysctl(Facts(sysctls={key: "0"}), key, "1")
    assert first is not None

    assert kit.sysctl(Facts(sysctls={key: "1"}, steps={first.key: first}), key, "1") is first


def test_a_sysctl_of_a_link_that_is_not_there_yet_begins_with_the_default() -> None:
    step = kit.sysctl(Facts(sysctls={"net/ipv6/conf/default/accept_ra": "2"}), "net/ipv6/conf/br0/accept_ra", "0")

    assert step is not None
    assert step.undo[0].argv[-1] == "net/ipv6/conf/br0/accept_ra=2"
    assert step.removed_with == "link/br0"


@pytest.mark.parametrize(
    "key", ["", "net", "net.ipv4.ip_forward", "../x", "net/../kernel/x", "net/ipv4/x=1", "net/a b"]
)
def test_a_malformed_sysctl_is_refused(key: str) -> None:
    with pytest.raises(Invalid):
        kit.sysctl(Facts(), key, "1")


@pytest.mark.parametrize(
    "address",
    [
        "10.0.3.0/24",
        "10.0.3.255/24",
        "224.0.0.1/24",
        "0.0.0.0/0",
        "255.255.255.255/32",
        "010.0.0.1/24",
        "10.0.3.1/33",
        "x",
    ],
)
def test_an_address_that_no_link_can_have_is_refused(address: str) -> None:
    with pytest.raises(Invalid):
        kit.address("br0", address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.0.3.1/24", ("brd", "+")),
        ("10.0.3.0/31", ()),
        ("10.0.3.7/32", ()),
        ("fd00::1/64", ()),
    ],
)
def test_an_address_gets_a_broadcast_address_where_there_is_one(address: str, words: tuple[str, ...]) -> None:
    assert kit.address("br0", address).argv == ("ip", "addr", "add", address, *words, "dev", "br0")


def test_addresses_are_written_in_one_way_only() -> None:
    assert kit.address("br0", "FD00:0::01/64").key == "addr/br0/fd00::1/64"


def test_the_undo_of_a_rule_deletes_exactly_this_rule() -> None:
    step = kit.rule("nat", "POSTROUTING", "-s", "10.0.3.0/24", "-j", "MASQUERADE", owner="br0", why="test", head=True)

    added, deleted = step.argv, step.undo[0].argv
    assert added[:6] == ("iptables", "-w", "-t", "nat", "-I", "POSTROUTING")
    assert deleted[:6] == ("iptables", "-w", "-t", "nat", "-D", "POSTROUTING")
    assert added[6:] == deleted[6:]
    assert "nsctl:br0" in added


@pytest.mark.parametrize(
    "make",
    [
        lambda: kit.netns("1234"),
        lambda: kit.netns("../web"),
        lambda: kit.join_sandbox("side", "-x"),
        lambda: kit.bridge("a" * 16),
        lambda: kit.bridge("all"),
        lambda: kit.bridge("br0", mac="01:00:00:00:00:00"),
        lambda: kit.bridge("br0", mtu=10),
        lambda: kit.veth("pair0", peer="lo", netns="web"),
        lambda: kit.veth("pair0", peer="eth0", netns="/etc"),
        lambda: kit.link_up("lo"),
        lambda: kit.link_set("br0", "txqueuelen", "1"),
        lambda: kit.link_set("br0", "mtu", "1400"),
        lambda: kit.route("10.0.3.1/24", link="br0"),
        lambda: kit.route("10.0.3.0/24", link="br0", via="here"),
        lambda: kit.chain("filter", "FORWARD"),
        lambda: kit.rule("filter", "FORWARD", "-i", "br0", owner="br0", why="no target"),
        lambda: kit.file("etc/passwd", ""),
        lambda: kit.file("/run/../etc/passwd", ""),
        lambda: kit.directory("/"),
        lambda: kit.spawn(Facts(), "web", "../x", ("true",), why="test"),
    ],
)
def test_what_ip_would_accept_but_nobody_means_is_refused(make: Callable[[], Step]) -> None:
    with pytest.raises(Invalid):
        make()


@given(st.text(max_size=20))
def test_no_text_gets_into_an_argument_vector_unchecked(text: str) -> None:
    for make in (kit.netns, kit.bridge, kit.link_up, lambda t: kit.veth(t, peer=t, netns=t)):
        try:
            step = make(text)
        except Invalid:
            continue
        for command in step.commands:
            assert all((word.isascii() and " " not in word) or "exec pkill" in word for word in command.argv)
            assert not text.startswith("-")


def test_a_veth_pair_makes_the_link_inside_too() -> None:
    assert peer_key(kit.veth("pair0", peer="eth0", netns="web")) == "link/web:eth0"
    assert peer_key(kit.bridge("br0")) is None
    cable = kit.veth("pair0", peer="mtu", netns="web", peer_mac="02:00:00:00:00:07", mtu=1400)
    assert inner_end(cable) == InnerEnd("mtu", "web", "02:00:00:00:00:07", 1400)


@pytest.mark.parametrize("prefix", range(30, 20, -1))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_addresses_are_given_out_once_until_none_is_left(prefix: int, share: float) -> None:
    net = IPv4Network(f"10.9.0.0/{prefix}")
    hosts = [str(a) for a in net.hosts()][1:]
    facts = Facts(claims={"address/br0": dict.fromkeys(hosts[: int(len(hosts) * share)], "someone")})

    if share == 1.0:
        with pytest.raises(Conflict, match="every address"):
            kit.free_address("br0", net, net[1], facts)
        return
    free = kit.free_address("br0", net, net[1], facts)
    assert str(free) == hosts[int(len(hosts) * share)], "the lowest, where those below are taken without a gap"


@given(st.sets(st.integers(1, 254)), st.integers(1, 254))
def test_an_address_that_is_given_out_is_free_whatever_the_gaps(taken: set[int], gateway: int) -> None:
    net = IPv4Network("10.9.0.0/24")
    facts = Facts(claims={"address/br0": {str(net[n]): "someone" for n in taken}})
    if len(taken | {gateway}) == 254:
        return

    free = kit.free_address("br0", net, net[gateway], facts)

    assert str(free) not in facts.claims["address/br0"]
    assert free != net[gateway]
    assert free in net
    assert free not in {net[0], net[-1]}


@given(st.sets(st.tuples(st.integers(0, 2**16 - 1), st.integers(16, 32)), max_size=30))
def test_the_first_24_of_the_pool_that_overlaps_no_route_is_found(routes: set[tuple[int, int]]) -> None:
    blocks = [IPv4Network((int(IPv4Address("10.77.0.0")) + low, prefix), strict=False) for low, prefix in routes]
    facts = Facts(routes=tuple(Route(block, "eth0") for block in blocks))
    every = [subnet for pool in kit.POOLS for subnet in pool.subnets(new_prefix=24)]

    expected = next(subnet for subnet in every if not any(subnet.overlaps(b) for b in blocks))

    assert kit.free_subnet(facts) == expected
    assert kit.overlap(expected, facts) is None


def test_no_pool_overlaps_what_peers_use_by_default() -> None:
    theirs = [f"172.{n}.0.0/16" for n in range(17, 32)]  # Docker
    theirs += ["192.168.0.0/16", "10.88.0.0/13", "10.96.0.0/11", "10.128.0.0/9"]  # Docker, libvirt; podman; Kubernetes
    theirs += ["10.0.3.0/24", "10.22.0.0/16", "10.85.0.0/16", "10.42.0.0/15", "10.8.0.0/24", "100.64.0.0/10"]

    assert not [(pool, their) for pool in kit.POOLS for their in theirs if pool.overlaps(IPv4Network(their))]
