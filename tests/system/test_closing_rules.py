"""Hosts where one rule decides for all packets: RHEL's, those of several clouds' images, and worse."""

from __future__ import annotations

import json

import pytest

from tests.lab import INTERNET, INTERNET_ADDRESS, Lab, ask_tcp, assert_back, needs, shim, snapshot, tcp_server
from tests.system.support import down, said, up
from tests.system.test_identity import switch

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables"), pytest.mark.warm]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
RHEL = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -s 198.51.100.66/32 -j DROP
-A FORWARD -d 203.0.113.77/32 -j REJECT --reject-with icmp-admin-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""
"""/etc/sysconfig/iptables of RHEL's iptables-services, with two specific rules."""
PORT = 5010
BACK_ENDS = [pytest.param(kind, marks=needs("iptables-legacy")) for kind in ("nft", "legacy")]


def sh(lab: Lab, script: str) -> str:
    return lab.run(["sh", "-ec", script], check=True).stdout


def forward(lab: Lab) -> list[str]:
    """FORWARD, jumps to nsctl's chains by their names."""
    rules = sh(lab, "iptables -S FORWARD").splitlines()[1:]
    return [rule.rpartition("NSCTL-")[2] if "NSCTL-" in rule else rule.removeprefix("-A FORWARD ") for rule in rules]


def reaches(lab: Lab, name: str = "web") -> bool:
    with tcp_server(lab, INTERNET, port=PORT):
        return ask_tcp(lab, name, INTERNET_ADDRESS, PORT) is not None


def found(lab: Lab) -> list[tuple[str, str]]:
    drifts = json.loads(lab.nsctl("check", "--json").stdout)["drift"]
    return [(d["key"].rpartition("/")[0], d["found"]) for d in drifts]


@pytest.mark.parametrize("option", [[], ["--no-batch"]])
@pytest.mark.parametrize("kind", BACK_ENDS)
def test_on_rhels_default_rules_a_sandbox_reaches_the_outside_and_specific_rules_win(
    lab: Lab, kind: str, option: list[str]
) -> None:
    switch(lab, kind)
    lab.run(["iptables-restore"], input=RHEL, check=True)
    before = snapshot(lab)
    specific, closing = forward(lab)[:2], forward(lab)[2]
    shown = said(lab, "up", *WEB, "--dry-run")
    assert "iptables -w -t filter -I FORWARD 3 -m comment --comment nsctl:jump -j NSCTL-FORWARD" in shown
    assert f"before: {closing}" in shown
    up(lab, *WEB, *option)
    assert forward(lab) == [*specific, "FORWARD", "GUARD", closing]
    assert reaches(lab)
    lab.neighbour(["ip", "address", "add", "203.0.113.77/24", "dev", "eth0"], check=True)
    with tcp_server(lab, INTERNET, port=PORT):
        assert ask_tcp(lab, "web", "203.0.113.77", PORT) is None
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.4.0/24", *option)
    assert forward(lab) == [*specific, "FORWARD", "GUARD", closing]
    assert found(lab) == []
    down(lab, "web", *option)
    assert reaches(lab, "db")
    down(lab, "db", *option)
    assert_back(lab, before)


CLOSING = {
    "a DROP of all": "iptables -A FORWARD -j DROP",
    "a DROP ahead of all": "iptables -I FORWARD -j DROP",
    "a REJECT of what is new": "iptables -A FORWARD -m conntrack --ctstate NEW -j REJECT",
    "a chain that drops": "iptables -N LOCAL; iptables -A LOCAL -s 192.0.2.1 -j ACCEPT; iptables -A LOCAL -j DROP;"
    " iptables -A FORWARD -j LOCAL",
    "what the sources are looked at behind": "iptables -t raw -A PREROUTING -j ACCEPT",
    "what is not translated": "iptables -t nat -A POSTROUTING -j ACCEPT",
    "a policy": "iptables -P FORWARD DROP",
}


@pytest.mark.parametrize("script", CLOSING.values(), ids=CLOSING)
def test_it_reaches_the_outside_whatever_closes_and_whenever_it_comes(lab: Lab, script: str) -> None:
    sh(lab, script)
    before = snapshot(lab)
    up(lab, *WEB)
    assert reaches(lab)
    assert found(lab) == []
    down(lab, "web")
    assert_back(lab, before)


def test_what_an_unconditional_accept_lets_pass_does_not_get_into_a_network(lab: Lab) -> None:
    sh(lab, "iptables -A FORWARD -j ACCEPT; sysctl -qw net.ipv4.ip_forward=1")
    up(lab, *WEB)
    lab.neighbour(["ip", "route", "add", "10.0.3.0/24", "via", "203.0.113.2"], check=True)
    with tcp_server(lab, "web", port=PORT):
        assert ask_tcp(lab, INTERNET, "10.0.3.2", PORT) is None
        assert reaches(lab)
        sh(lab, "iptables -I FORWARD -j ACCEPT")
        assert len(found(lab)) == 2
        said(lab, "repair")
        assert ask_tcp(lab, INTERNET, "10.0.3.2", PORT) is None


@pytest.mark.parametrize("option", [[], ["--no-batch"]])
@pytest.mark.parametrize("kind", BACK_ENDS)
@pytest.mark.parametrize("mend", ["repair", "up"])
def test_a_closing_rule_that_comes_before_it_later_is_named_and_it_is_moved(
    lab: Lab, kind: str, mend: str, option: list[str]
) -> None:
    switch(lab, kind)
    before = snapshot(lab)
    up(lab, *WEB)
    sh(lab, "iptables -I FORWARD -s 198.51.100.66 -j DROP; iptables -I FORWARD 2 -j DROP")
    assert not reaches(lab)
    told = "a rule before it decides for all: -j DROP"
    assert found(lab) == [("rule/4/filter/FORWARD", told)] * 2
    assert "have FORWARD pass through NSCTL-GUARD before: -j DROP" in said(lab, "repair", "--dry-run")
    if mend == "repair":
        said(lab, "repair")
    else:
        up(lab, "bridge", "--name", "db", "--subnet", "10.0.4.0/24", *option)
    assert forward(lab) == ["-s 198.51.100.66/32 -j DROP", "FORWARD", "GUARD", "-j DROP"]
    assert found(lab) == []
    assert reaches(lab)
    if mend == "up":
        down(lab, "db", *option)
    down(lab, "web", *option)
    sh(lab, "iptables -D FORWARD -s 198.51.100.66 -j DROP; iptables -D FORWARD -j DROP")
    assert_back(lab, before)


def test_after_a_flush_each_is_put_back_where_it_belongs_by_then(lab: Lab) -> None:
    lab.run(["iptables-restore"], input=RHEL, check=True)
    up(lab, *WEB)
    sh(lab, "iptables -F FORWARD; iptables -A FORWARD -j DROP")
    said(lab, "repair")
    assert forward(lab) == ["FORWARD", "GUARD", "-j DROP"]
    sh(lab, "iptables -D FORWARD 1")
    said(lab, "repair")
    assert forward(lab) == ["FORWARD", "GUARD", "-j DROP"]
    sh(lab, "iptables -F FORWARD")
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.4.0/24")
    assert forward(lab) == ["FORWARD", "GUARD"]
    assert found(lab) == []
    down(lab, "web", "db")


RACES: dict[str, tuple[str, str]] = {
    "rules went": ("iptables -D FORWARD 1", "a rule before it decides for all"),
    "rules came": ("iptables -I FORWARD -s 192.0.2.5 -j DROP", "it stands before a rule that it belongs behind"),
    "all went": ("iptables -F FORWARD", "failed: "),
}


@pytest.mark.parametrize("race", RACES)
def test_rules_that_change_between_planning_and_doing_are_noticed_and_all_is_undone(lab: Lab, race: str) -> None:
    script, why = RACES[race]
    lab.run(["iptables-restore"], input=RHEL, check=True)
    sh(lab, script)
    changed = snapshot(lab)
    lab.run(["iptables-restore"], input=RHEL, check=True)
    calls = shim(lab)
    calls.stranger(script)
    calls.plan({"iptables-restore *": "stranger-before"})
    done = lab.nsctl("up", *WEB)
    assert calls.acted
    assert done.returncode == 1
    assert why in done.stderr
    assert "everything was undone" in done.stderr
    calls.plan({})
    assert_back(lab, changed)
    up(lab, *WEB)
    assert reaches(lab)


def test_a_saved_plan_is_refused_where_its_place_is_another_by_now(lab: Lab) -> None:
    lab.run(["iptables-restore"], input=RHEL, check=True)
    lab.write("/run/plan.json", said(lab, "up", *WEB, "--dry-run", "--format", "json"))
    sh(lab, "iptables -D FORWARD 1")
    before = snapshot(lab)
    done = lab.nsctl("apply", "/run/plan.json")
    assert done.returncode == 2
    assert "the host's own rules have changed" in done.stderr
    assert_back(lab, before)
    lab.run(["iptables-restore"], input=RHEL, check=True)
    said(lab, "apply", "/run/plan.json")
    assert reaches(lab)
    down(lab, "web")


def test_a_sandbox_that_is_replaced_has_its_jumps_counted_once(lab: Lab) -> None:
    lab.run(["iptables-restore"], input=RHEL, check=True)
    up(lab, *WEB, "--", "true")
    done = lab.nsctl("up", *WEB, "--", "sleep", "1000009")
    assert done.returncode == 0, done
    assert forward(lab)[2:4] == ["FORWARD", "GUARD"]
    down(lab, "web")


def test_one_that_is_brought_back_has_its_jumps_where_they_belong_by_then(lab: Lab) -> None:
    lab.run(["iptables-restore"], input=RHEL, check=True)
    text = '[sandbox.web]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\nip = "10.0.3.{}"\n'
    lab.write("/run/lab.toml", text.format(8))
    said(lab, "apply", "/run/lab.toml")
    lab.write("/run/lab.toml", text.format(9))
    calls = shim(lab)
    calls.stranger("iptables -D FORWARD -s 198.51.100.66 -j DROP")
    calls.plan({"iptables-restore *": "stranger-before"})
    done = lab.nsctl("apply", "/run/lab.toml")
    assert calls.acted
    assert done.returncode == 1, done
    calls.plan({})
    assert forward(lab)[1:3] == ["FORWARD", "GUARD"]
    assert "10.0.3.8" in said(lab, "ls")
    assert found(lab) == []
    assert reaches(lab)


@pytest.mark.parametrize("order", [("internal", "open"), ("open", "internal")])
def test_several_at_once_have_their_jumps_in_order(lab: Lab, order: tuple[str, str]) -> None:
    lab.run(["iptables-restore"], input=RHEL, check=True)
    nets = {
        "open": '[sandbox.a]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\n',
        "internal": '[sandbox.b]\nmode = "bridge"\nsubnet = "10.0.4.0/24"\ninternal = true\n',
    }
    lab.write("/run/lab.toml", "".join(nets[kind] for kind in order))
    before = snapshot(lab)
    said(lab, "apply", "/run/lab.toml")
    assert forward(lab)[2:4] == ["FORWARD", "GUARD"]
    assert reaches(lab, "a")
    assert found(lab) == []
    said(lab, "down", "--file", "/run/lab.toml")
    assert_back(lab, before)
