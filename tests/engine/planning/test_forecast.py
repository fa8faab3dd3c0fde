from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Interface, IPv4Network

from nsctl.engine import kit
from nsctl.engine.model.commands import Command
from nsctl.engine.model.effects import AddrOn, Effect, LinkIs, NetnsIs, RouteVia, SysctlIs
from nsctl.engine.model.facts import Facts, Link, Route, Sandbox
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.planning.forecast import extend, gateway_of, networks_of, sandbox_of


def step(effect: Effect | None) -> Step:
    return Step(f"key/{effect}", "because", Command(("true",)), effect=effect, no_undo="a test")


BRIDGE = [
    step(LinkIs("nsbr0", "02:00:00:00:00:01", "bridge", mtu=1400)),
    step(AddrOn("nsbr0", "10.0.3.1/24")),
    step(SysctlIs("net/ipv4/conf/nsbr0/forwarding", "1", "0")),
]


def endpoint(name: str, address: str) -> list[Step]:
    return [
        kit.claim("address/nsbr0", address.partition("/")[0]),
        step(NetnsIs(name)),
        step(LinkIs(f"ns-{name}", "02:00:00:00:00:02", "veth", master="nsbr0", mtu=1400)),
        step(AddrOn("eth0", address, name)),
        step(RouteVia("default", "10.0.3.1", "eth0", 100, name)),
        step(None),
    ]


def plan(name: str, steps: Iterable[Step]) -> Plan:
    return Plan("bridge", name, {"subnet": "10.0.3.0/24"}, tuple(steps), ("net",))


WEB = plan("web", BRIDGE + endpoint("web", "10.0.3.2/24"))


def test_a_sandbox_is_what_its_steps_make() -> None:
    found = sandbox_of("web", "bridge", WEB.options, ("net",), WEB.steps, pid=42)
    assert found == Sandbox(
        name="web",
        mode="bridge",
        options=WEB.options,
        addresses=("10.0.3.2/24",),
        network="nsbr0",
        netns=True,
        pid=42,
        isolate=("net",),
    )


def test_a_sandbox_without_a_namespace_of_its_own_has_neither_addresses_nor_network() -> None:
    assert sandbox_of("h", "host", {}, ("pid",), [step(AddrOn("eth0", "10.0.3.9/24"))]) == Sandbox(
        "h", "host", netns=False, isolate=("pid",)
    )


def test_a_sandbox_that_shares_a_namespace_has_its_owners_addresses() -> None:
    others = {"web": Sandbox("web", "bridge", addresses=("10.0.3.2/24",), network="nsbr0")}
    shared = [step(NetnsIs("probe", source="web"))]
    found = sandbox_of("probe", "container", {}, (), shared, others=others)
    assert (found.addresses, found.network, found.netns) == (("10.0.3.2/24",), "nsbr0", True)
    alone = sandbox_of("probe", "container", {}, (), shared)
    assert (alone.addresses, alone.network, alone.netns) == ((), None, True)


def test_the_gateway_is_that_of_the_default_route_inside() -> None:
    assert gateway_of("web", WEB.steps) == "10.0.3.1"
    assert gateway_of("other", WEB.steps) is None
    assert gateway_of("web", BRIDGE) is None


def test_networks_are_bridges_of_nsctls_with_their_ipv4_address() -> None:
    more = [
        step(AddrOn("eth0", "192.0.2.1/24")),  # no bridge of nsctl's
        step(AddrOn("nsbr1", "2001:db8::1/64")),
        step(AddrOn("nsbr1", "10.0.4.1/24")),
        step(LinkIs("nsbr1", "02:00:00:00:00:03", "bridge")),
        step(LinkIs("nsbr2", "02:00:00:00:00:04", "bridge", netns="web")),
    ]
    assert networks_of([*WEB.steps, *more]) == {
        "nsbr0": IPv4Interface("10.0.3.1/24"),
        "nsbr1": IPv4Interface("10.0.4.1/24"),
    }


def test_facts_extended_by_a_plan_are_those_after_it() -> None:
    before = Facts(links={"eth0": Link("eth0", mtu=1400)}, uplinks=("eth0",))
    after = extend(before, WEB)
    assert after.links["nsbr0"] == Link("nsbr0", mac="02:00:00:00:00:01", mtu=1400, type="bridge")
    assert after.links["ns-web"].master == "nsbr0"
    assert set(after.links) == {"eth0", "nsbr0", "ns-web"}
    assert after.sysctls["net/ipv4/conf/nsbr0/forwarding"] == "1"
    assert after.netns == {"web"}
    assert after.sandboxes["web"].addresses == ("10.0.3.2/24",)
    assert set(after.steps) == {s.key for s in WEB.steps}
    assert after.networks == {"nsbr0": IPv4Interface("10.0.3.1/24")}
    assert after.routes == (Route(IPv4Network("10.0.3.0/24"), "nsbr0"),)
    assert after.claims == {"address/nsbr0": {"10.0.3.2": "web"}}
    assert after.default_mtu == 1400


def test_steps_that_are_shared_are_not_added_twice() -> None:
    facts = extend(extend(Facts(), WEB), plan("db", BRIDGE + endpoint("db", "10.0.3.3/24")))
    assert facts.claims == {"address/nsbr0": {"10.0.3.2": "web", "10.0.3.3": "db"}}
    assert facts.routes == (Route(IPv4Network("10.0.3.0/24"), "nsbr0"),)
    assert len(facts.links) == 3
    assert set(facts.sandboxes) == {"web", "db"}


def test_a_sandbox_that_joins_one_of_the_same_transaction_finds_it() -> None:
    facts = extend(Facts(), WEB)
    facts = extend(facts, Plan("container", "probe", {}, (step(NetnsIs("probe", source="web")),)))
    assert facts.sandboxes["probe"].addresses == ("10.0.3.2/24",)
    assert facts.claims == {"address/nsbr0": {"10.0.3.2": "web"}}


class Counting(Mapping[str, str]):
    """A mapping that counts how often it is gone through."""

    def __init__(self, size: int) -> None:
        self.data = {str(n): str(n) for n in range(size)}
        self.walks = 0

    def __getitem__(self, key: str) -> str:
        return self.data[key]

    def __iter__(self) -> Iterator[str]:
        self.walks += 1
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


def test_facts_that_grow_leave_those_they_grew_from_and_never_go_through_the_host() -> None:
    links = Counting(1000)
    first = Facts(claims={"address/nsbr0": {"10.0.3.9": "old"}}, sysctls=links)
    grown = first
    for n in range(2, 9):
        grown = extend(grown, plan(f"s{n}", BRIDGE + endpoint(f"s{n}", f"10.0.3.{n}/24")))
        assert grown.claims["address/nsbr0"][f"10.0.3.{n}"] == f"s{n}"
        assert grown.sysctls["net/ipv4/conf/nsbr0/forwarding"] == "1"
        assert grown.sysctls["999"] == "999"
    assert links.walks == 0
    assert len(grown.claims["address/nsbr0"]) == 8
    assert first.claims == {"address/nsbr0": {"10.0.3.9": "old"}}
