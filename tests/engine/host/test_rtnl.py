from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from nsctl.engine.host.netlink import Netlink, socket_in
from nsctl.engine.host.rtnl import (
    AddressRow,
    LinkRow,
    RouteRow,
    addresses,
    link_attribute,
    link_by_index,
    link_by_name,
    links,
    routes,
)
from nsctl.engine.testing.namespaces import NamespaceThread
from tests.lab import Lab

pytestmark = pytest.mark.system

MAC = "02:00:00:00:0a:01"


Ip = Callable[..., None]


def by_name(lab: Lab, name: str) -> LinkRow | None:
    def get() -> LinkRow | None:
        with Netlink(socket_in()) as netlink:
            return link_by_name(netlink, name)

    return lab.call(get)


def known(lab: Lab, name: str) -> LinkRow:
    row = by_name(lab, name)
    assert row is not None
    return row


def all_links(lab: Lab) -> list[LinkRow]:
    def get() -> list[LinkRow]:
        with Netlink(socket_in()) as netlink:
            return links(netlink)

    return lab.call(get)


def all_routes(lab: Lab, family: int = 4) -> list[RouteRow]:
    def get() -> list[RouteRow]:
        with Netlink(socket_in()) as netlink:
            return routes(netlink, family)

    return lab.call(get)


def test_a_link_is_read_with_all_that_ip_shows_of_it(lab: Lab, ip: Ip) -> None:
    ip(
        "link add name br0 type bridge",
        f"link add name v0 address {MAC} mtu 1400 group 70000 master br0 type veth peer name p0",
        "link set dev v0 up",
    )
    row, bridge = known(lab, "v0"), known(lab, "br0")
    expected = LinkRow(0, "v0", MAC, 1400, "veth", bridge.ifindex, True, 70000, (), 0, {})  # noqa: FBT003 - as the fields come
    assert row._replace(flags=0, parts={}, ifindex=0) == expected
    assert bridge.type == "bridge"
    assert not bridge.up


def test_lo_has_no_type_and_no_address_of_its_own(lab: Lab) -> None:
    row = known(lab, "lo")
    assert (row.ifindex, row.type, row.mac, row.master) == (1, "", "00:00:00:00:00:00", 0)


def test_a_link_without_hardware_address_has_none(lab: Lab, ip: Ip) -> None:
    ip("tuntap add dev t0 mode tun")
    assert known(lab, "t0").mac == ""


@pytest.mark.parametrize("name", ["nope", "", "a-name-that-is-much-too-long", "nul\0byte", "ns-0123456789abc"])
def test_a_name_that_no_link_has_finds_none(lab: Lab, name: str) -> None:
    assert by_name(lab, name) is None


def test_an_index_finds_its_link_and_an_unused_one_none(lab: Lab) -> None:
    def get(index: int) -> LinkRow | None:
        with Netlink(socket_in()) as netlink:
            return link_by_index(netlink, index)

    found = lab.call(get, known(lab, "eth0").ifindex)
    assert found is not None
    assert found.name == "eth0"
    assert [lab.call(get, index) for index in (0, -1, 987654)] == [None, None, None]


def test_an_alternative_name_finds_the_link_and_is_listed(lab: Lab, ip: Ip) -> None:
    ip(
        "link property add dev eth0 altname uplink",
        "link property add dev eth0 altname a-name-of-more-than-fifteen",
    )
    assert known(lab, "uplink").name == "eth0"
    assert set(known(lab, "eth0").altnames) == {"uplink", "a-name-of-more-than-fifteen"}


def test_a_name_of_undecodable_bytes_is_read_and_found_again(lab: Lab) -> None:
    # As nsctl gets it from `ip`, or from sys.argv: surrogates stand for the bytes.
    name = b"v\xff\xfe".decode("utf-8", "surrogateescape")
    lab.run(["ip", "link", "add", "name", name, "type", "veth", "peer", "name", "p0"], check=True)
    assert name in [row.name for row in all_links(lab)]
    assert known(lab, name).name == name


def test_the_dump_and_the_single_gets_agree(lab: Lab, ip: Ip) -> None:
    ip("link add name br0 type bridge", "link add name v0 master br0 type veth peer name p0")
    for row in all_links(lab):
        single = known(lab, row.name)
        assert single == row


def test_the_rarer_properties_of_a_bridge_port(lab: Lab, ip: Ip) -> None:
    ip("link add name br0 type bridge", "link add name v0 master br0 type veth peer name p0")

    def properties(name: str) -> dict[str, str | None]:
        row = known(lab, name)
        return {a: link_attribute(row, a) for a in ("addrgenmode", "alias", "hairpin", "isolated", "promisc", "other")}

    assert properties("v0") == {
        "addrgenmode": "eui64",
        "alias": "",
        "hairpin": "off",
        "isolated": "off",
        "promisc": "off",
        "other": None,
    }
    ip(
        "link set dev v0 addrgenmode none",
        "link set dev v0 alias nsctl:web",
        "link set dev v0 promisc on",
        "link set dev v0 type bridge_slave hairpin on isolated on",
    )
    assert properties("v0") == {
        "addrgenmode": "none",
        "alias": "nsctl:web",
        "hairpin": "on",
        "isolated": "on",
        "promisc": "on",
        "other": None,
    }
    assert properties("br0")["hairpin"] is None


def test_each_way_of_making_link_local_addresses_has_its_name(lab: Lab, ip: Ip) -> None:
    lab.write("/proc/sys/net/ipv6/conf/eth0/stable_secret", "2001:db8::1")
    for mode in ("none", "eui64", "stable_secret", "random"):
        ip(f"link set dev eth0 addrgenmode {mode}")
        assert link_attribute(known(lab, "eth0"), "addrgenmode") == mode


def test_addresses_are_those_of_the_link_itself_and_not_of_its_peer(lab: Lab, ip: Ip) -> None:
    ip(
        "address add 10.0.3.1/24 dev eth0",
        "address add 10.0.3.9/24 dev eth0",
        "address add 10.8.0.1 peer 10.8.0.2/32 dev eth0",
        "address add 2001:db8::1/64 dev eth0 nodad",
    )

    def get(index: int) -> list[AddressRow]:
        with Netlink(socket_in()) as netlink:
            return addresses(netlink, index)

    index = known(lab, "eth0").ifindex
    expected = {"203.0.113.2/24", "10.0.3.1/24", "10.0.3.9/24", "10.8.0.1/32", "2001:db8::1/64"}
    assert {row.address for row in lab.call(get, index)} == expected
    assert lab.call(get, 987654) == []
    everything = lab.call(get, 0)
    assert {row.address for row in everything if row.ifindex == index} == expected
    assert AddressRow(1, "127.0.0.1/8") in everything


def test_routes_of_the_main_table_are_read_with_gateway_link_and_metric(lab: Lab, ip: Ip) -> None:
    ip(
        "route add default via 203.0.113.9 dev eth0 metric 4000000000",
        "route add 198.51.100.0/25 dev eth0",
        "route add 192.0.2.1 via 203.0.113.1 dev eth0",
        "route add 10.9.0.0/16 nexthop via 203.0.113.7 nexthop via 203.0.113.8",
        "route add 10.10.0.0/16 via inet6 2001:db8::5 dev eth0 onlink",
        # None of these is a unicast route of the main table.
        "route add 10.66.0.0/16 dev eth0 table 100",
        "route add 10.67.0.0/16 dev eth0 table 70000",
        "route add blackhole 10.68.0.0/16",
        "route add unreachable 10.69.0.0/16",
    )
    index = known(lab, "eth0").ifindex
    assert set(all_routes(lab)) == {
        RouteRow("default", "203.0.113.1", index, 0),
        RouteRow("default", "203.0.113.9", index, 4000000000),
        RouteRow("203.0.113.0/24", None, index, 0),
        RouteRow("198.51.100.0/25", None, index, 0),
        RouteRow("192.0.2.1/32", "203.0.113.1", index, 0),
        RouteRow("10.9.0.0/16", "203.0.113.7", index, 0),
        RouteRow("10.9.0.0/16", "203.0.113.8", index, 0),
        RouteRow("10.10.0.0/16", "2001:db8::5", index, 0),
    }


def test_ipv6_routes_are_read_too(lab: Lab, ip: Ip) -> None:
    ip("address add 2001:db8::1/64 dev eth0 nodad", "route add default via 2001:db8::9 dev eth0")
    index = known(lab, "eth0").ifindex
    assert {RouteRow("2001:db8::/64", None, index, 256), RouteRow("default", "2001:db8::9", index, 1024)} <= set(
        all_routes(lab, 6)
    )


def test_a_namespace_in_which_nothing_was_ever_routed_has_no_routes(lab: Lab, ip: Ip, inside: NamespaceThread) -> None:
    # The kernel makes the main table with the first route, and answers ENOENT until then.
    ip("netns add web")

    def get() -> list[RouteRow]:
        with Netlink(socket_in("web")) as netlink:
            return [*routes(netlink, 4), *routes(netlink, 6)]

    assert inside.call(get) == []
    assert lab.run(["ip", "-n", "web", "route"], check=True).stdout == ""


def test_a_truncated_message_is_an_error_and_never_a_wrong_link() -> None:
    class Short:
        def get(self, kind: int, body: bytes) -> bytes:
            del kind, body
            return b"\0\0"

    with pytest.raises(struct.error):
        link_by_index(Short(), 1)  # type: ignore[arg-type]  # what it answers is all that matters
