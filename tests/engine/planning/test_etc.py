"""What a sandbox sees as /etc/hosts and /etc/resolv.conf."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import Any

import pytest
from msgspec.structs import replace

from nsctl import Facts, Invalid, Request
from nsctl.engine.model.effects import FileIs
from nsctl.engine.model.facts import Sandbox
from nsctl.engine.model.mode import Mode
from nsctl.engine.planning.etc import resolv_conf
from nsctl.engine.planning.planner import plan
from nsctl.modes import bridge, container, host, none

HOSTS = """\
127.0.0.1\tlocalhost api.local
127.0.1.1\tmachine.example machine web
::1\tlocalhost ip6-localhost
ff02::1 ip6-allnodes
192.0.2.7\tdb web  # the database
fe80::1%eth0 router
0.0.0.0 blocked.example
"""
LOOPBACK = [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
]
OWN = ("mount", "ipc", "pid", "uts", "net")


def hosts(mode: Mode, options: Any, facts: Facts, isolate: tuple[str, ...] = OWN, **settings: Any) -> list[str]:
    made = plan(mode, Request("web", options, isolate, (), settings), replace(facts, hosts=HOSTS))
    [content] = [s.effect.content for s in made.steps if isinstance(s.effect, FileIs) and s.key.endswith("/web/hosts")]
    return content.splitlines()


def test_names_of_the_hosts_loopback_are_not_those_of_the_sandboxs() -> None:
    assert hosts(none.MODE, none.Options(), Facts()) == [
        "127.0.1.1\tweb",
        *LOOPBACK,
        "192.0.2.7\tdb # the database",
        "fe80::1%eth0 router",
    ]


def test_its_own_name_has_its_own_address_and_no_other() -> None:
    found = hosts(bridge.MODE, bridge.Options(), Facts())
    assert [line for line in found if "web" in line.split()[1:]] == ["10.77.0.2\tweb"]


def test_with_the_hosts_network_the_hosts_names_hold() -> None:
    found = hosts(host.MODE, host.Options(), Facts(), OWN[:4])
    assert found[:3] == ["127.0.1.1\tweb", "127.0.0.1\tlocalhost api.local", "127.0.1.1\tmachine.example machine"]


def test_with_the_hosts_name_what_it_resolves_to_stays() -> None:
    assert "127.0.1.1\tmachine.example machine" in hosts(none.MODE, none.Options(), Facts(), ("mount", "net"))


def test_who_shares_a_network_knows_its_owner_by_name() -> None:
    owner = Sandbox("db", "bridge", addresses=("10.0.3.2/24",), network="nsbr0")
    facts = Facts(sandboxes={"db": owner}, networks={"nsbr0": IPv4Interface("10.0.3.1/24")})
    found = hosts(container.MODE, container.Options(target="db"), facts, add_host=["up:host-gateway"])
    assert found[:3] == ["10.0.3.2\tweb", "10.0.3.2\tdb", "10.0.3.1\tup"]
    assert [line for line in found if "db" in line.split()[1:]] == ["10.0.3.2\tdb"]


def test_names_that_are_added_stand_above_the_hosts() -> None:
    found = hosts(none.MODE, none.Options(), Facts(), add_host=["db:192.0.2.9", "six:2001:db8::1"])
    assert found[1:3] == ["192.0.2.9\tdb", "2001:db8::1\tsix"]
    assert [line for line in found if "db" in line.split()[1:]] == ["192.0.2.9\tdb"]


@pytest.mark.parametrize(
    ("mode", "options", "gateway"),
    [
        (bridge.MODE, bridge.Options(), "10.77.0.1"),
        (bridge.MODE, bridge.Options(internal=True), "10.77.0.1"),
        (host.MODE, host.Options(), "127.0.0.1"),
    ],
    ids=["bridge", "internal", "host"],
)
def test_the_host_is_where_it_can_be_reached(mode: Mode, options: Any, gateway: str) -> None:
    found = hosts(mode, options, Facts(), mode.isolate, add_host=["up:host-gateway"])
    assert f"{gateway}\tup" in found


def test_where_there_is_no_gateway_none_can_be_named() -> None:
    with pytest.raises(Invalid, match="'web' has no gateway"):
        hosts(none.MODE, none.Options(), Facts(), add_host=["up:host-gateway"])


def test_its_own_name_can_not_be_another_address() -> None:
    with pytest.raises(Invalid, match="'web' has its address already"):
        hosts(none.MODE, none.Options(), Facts(), add_host=["web:192.0.2.9"])


RESOLV = "# by hand\nsearch example.com\nnameserver 192.0.2.53\noptions ndots:2\nnameserver 192.0.2.54\n"


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ({}, RESOLV.splitlines()),
        (
            {"dns": ["198.51.100.1", "2001:db8::53"]},
            [
                "# by hand",
                "search example.com",
                "options ndots:2",
                "nameserver 198.51.100.1",
                "nameserver 2001:db8::53",
            ],
        ),
        (
            {"dns_search": ["a.example", "b.example"]},
            [
                "# by hand",
                "nameserver 192.0.2.53",
                "options ndots:2",
                "nameserver 192.0.2.54",
                "search a.example b.example",
            ],
        ),
        (
            {"dns_search": ["."]},
            ["# by hand", "nameserver 192.0.2.53", "options ndots:2", "nameserver 192.0.2.54"],
        ),
    ],
    ids=["as the host's", "servers", "search", "no search"],
)
def test_what_is_not_chosen_is_the_hosts(settings: dict[str, Any], lines: list[str]) -> None:
    assert (resolv_conf(RESOLV, settings) or "").splitlines() == lines
