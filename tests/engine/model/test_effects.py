from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from nsctl.engine.model.effects import (
    EFFECTS,
    AddrOn,
    ChainIs,
    Effect,
    FileIs,
    LinkIs,
    LinkSet,
    LinkUp,
    NetnsIs,
    NftTable,
    PortFilter,
    ProcessIs,
    RouteVia,
    RuleTagged,
    State,
    SysctlIs,
    effect_from_json,
    wrong_field,
)
from nsctl.engine.model.facts import Link
from nsctl.engine.model.host import Host, Needs, Watch
from nsctl.engine.model.observation import Known

MAC = "02:00:00:00:00:01"
ANY: Any = (False, True)  # what a plugin may give in place of what is declared
FORWARDING = "net/ipv4/conf/{}/forwarding"


@dataclass
class Links:
    """A host that has links and their sysctls, and nothing else."""

    there: list[Link] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)

    def link(self, name: str, _: str | None = None) -> Link | None:
        return next((link for link in self.there if link.name == name), None)

    def link_by_index(self, index: int, _: str | None = None) -> Link | None:
        return next((link for link in self.there if link.index == index), None)

    def sysctl(self, key: str, _: str | None = None) -> str | None:
        return self.sysctls.get(key)


def host(*links: Link, **sysctls: str) -> Host:
    return cast("Host", Links(list(links), {FORWARDING.format(name): value for name, value in sysctls.items()}))


def link(name: str, index: int = 7) -> Link:
    return Link(name, index, MAC, 1500, "bridge")


def test_effects_are_compared_with_whatever_answers_their_questions() -> None:
    effect = LinkIs("br0", MAC, "bridge")
    assert effect.observe(host()).state is State.ABSENT
    assert effect.observe(host(link("br0"))).found == "in place"
    assert effect.identity(host(link("br0"))) == {"index": 7}


def test_a_setting_follows_its_link_to_another_name() -> None:
    setting, known = SysctlIs(FORWARDING.format("eth0"), "1", "0"), Known({"index": 7})
    assert setting.link_identity(host(link("eth0"))) == {"index": 7}
    seen = setting.observe(host(link("wan0"), wan0="1"), known)
    assert (seen.state, seen.link) == (State.OURS, "wan0")
    assert setting.on_link("wan0").key == FORWARDING.format("wan0")


def test_of_a_link_that_is_gone_no_setting_is_missed() -> None:
    setting, known = LinkUp("eth0"), Known({"index": 7})
    assert setting.observe(host(), known).gone
    assert setting.observe(host(link("eth0", 8)), known).state is State.FOREIGN


@pytest.mark.parametrize(
    ("effect", "name"),
    [
        (LinkUp("a"), "a"),
        (LinkSet("a", "mtu", "1400"), "a"),
        (AddrOn("a", "10.0.0.1/24"), "a"),
        (RouteVia("default", None, "a"), "a"),
        (SysctlIs(FORWARDING.format("a"), "1", "0"), "a"),
        (SysctlIs(FORWARDING.format("all"), "1", "0"), None),
        (SysctlIs("net/ipv4/ip_forward", "1", "0"), None),
        (LinkUp("a", "web"), None),
        (LinkIs("a", MAC), None),
    ],
)
def test_the_link_of_the_host_that_a_setting_is_of(effect: Effect, name: str | None) -> None:
    assert effect.host_link == name


def test_what_is_to_be_read_is_gathered_for_many() -> None:
    needs = Needs()
    for effect in (
        LinkIs("br0", MAC),
        LinkUp("br0"),
        NetnsIs("web"),
        LinkUp("eth0", "web"),
        SysctlIs("net/ipv4/ip_forward", "1", "0", "web"),
        AddrOn("eth0", "fd00::2/64", "six"),
        FileIs("/etc/x", ""),
    ):
        effect.needs(needs)
    assert (needs.links, list(needs.namespaces)) == ({"br0"}, ["web"])
    assert needs.inside == {"web": ["net/ipv4/ip_forward"], "six": []}
    assert needs.six == {"six"}


def test_what_a_watcher_looks_out_for_is_on_the_host() -> None:
    watch = Watch()
    for effect in (
        LinkIs("br0", MAC),
        LinkIs("eth0", MAC, netns="web"),
        LinkUp("eth0", "web"),
        AddrOn("br1", "10.0.0.1/24"),
        SysctlIs(FORWARDING.format("eth1"), "1", "0"),
        SysctlIs(FORWARDING.format("default"), "1", "0"),
        NetnsIs("web"),
        ChainIs("filter", "NSCTL-FORWARD"),
        RuleTagged("filter", "FORWARD", (), netns="web"),
        NftTable("bridge", "nsctl"),
    ):
        effect.watch(watch)
    assert (watch.links, watch.settings, watch.later_links, watch.zoned) == ({"br0", "br1"}, {"eth1"}, True, True)
    assert (watch.namespaces, watch.chains) == ({"web"}, {(4, "filter", "NSCTL-FORWARD")})
    assert watch.tables == {("bridge", "nsctl")}


def test_packet_filters_are_made_again_first_and_processes_go_on_without_their_namespace() -> None:
    filters = [RuleTagged("filter", "FORWARD", ()), NftTable("bridge", "nsctl"), PortFilter("p", MAC, ())]
    others = [RuleTagged("nat", "POSTROUTING", ()), ChainIs("filter", "NSCTL-FORWARD"), LinkUp("a"), NetnsIs("web")]
    assert [effect.is_packet_filter for effect in (*filters, *others)] == [True] * 3 + [False] * 4
    assert {kind for kind, cls in EFFECTS.items() if cls.survives_removal} == {"process"}
    assert {kind for kind, cls in EFFECTS.items() if cls.can_end} == {"process", "netns"}
    assert [NetnsIs("a").is_joined, NetnsIs("a", 4).is_joined, NetnsIs("a", source="b").is_joined] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"kind": "up"}, "missing required field `name`"),
        ({"kind": "up", "name": 7}, "`$.name`"),
        ({"kind": "up", "name": "a", "colour": "red"}, "`colour`"),
        ({"kind": "nope", "name": "a"}, "'nope'"),
        ({"name": "a"}, "missing required field `kind`"),
        ({"kind": "link", "name": "a", "mac": MAC, "mtu": True}, "`$.mtu`"),
        ({"kind": "link", "name": "a", "mac": MAC, "mtu": "1400"}, "`$.mtu`"),
        ({"kind": "rule", "table": "t", "chain": "c", "spec": ["-j", 7]}, "`$.spec[1]`"),
        ({"kind": "rule", "table": "t", "chain": "c", "spec": "-j"}, "`$.spec`"),
        ("up", "object"),
    ],
)
def test_what_is_no_effect_is_refused_with_the_place(data: Any, told: str) -> None:
    with pytest.raises(TypeError) as refused:
        effect_from_json(data)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("effect", "name"),
    [
        (LinkUp("a"), ""),
        (LinkUp("a\nb"), "name"),
        (LinkUp(cast("str", 7)), "name"),
        (LinkUp("a", ANY[0]), "netns"),
        (FileIs("/x", "one\ntwo\n"), ""),
        (FileIs("/x", "\0"), "content"),
        (FileIs("/x", "\udcff"), "content"),
        (LinkIs("a", MAC, mtu=ANY[1]), "mtu"),
        (RuleTagged("t", "c", ("-j", "a\nb")), "spec"),
        (RuleTagged("t", "c", cast("tuple[str, ...]", ["-j"])), "spec"),
        (ProcessIs("/run/\x1b[2J"), "pidfile"),
    ],
)
def test_a_field_that_can_not_be_shown_or_passed_on_is_named(effect: Effect, name: str) -> None:
    assert wrong_field(effect) == name
