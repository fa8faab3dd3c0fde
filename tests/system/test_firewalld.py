"""The real firewalld, which rejects in a table of its own what iptables accepts, and flushes everybody's rules."""

from __future__ import annotations

import json

import pytest

from tests.lab import (
    INTERNET,
    INTERNET_ADDRESS,
    FakeFirewalld,
    Lab,
    ask_tcp,
    assert_back,
    needs,
    shim,
    snapshot,
    start_firewalld,
    tcp_server,
)
from tests.lab.firewalld import until_running
from tests.system.support import down, said, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables", "nft", "tool:firewalld", "tool:dbus-daemon")]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
DB = ("bridge", "--name", "db", "--subnet", "10.0.4.0/24", "--bridge", "nsbr1")
PORT = 5011
JOINS = "firewall-cmd --zone=trusted --add-interface=nsbr0"


def sh(lab: Lab, script: str) -> str:
    return lab.run(["sh", "-ec", script], check=True).stdout


def zones(lab: Lab) -> dict[str, str]:
    """The zone of each link that is in one, in firewalld's own words."""
    found: dict[str, str] = {}
    zone = ""
    for line in sh(lab, "firewall-cmd --get-active-zones").splitlines():
        if not line.startswith(" "):
            zone = line.strip()
        elif line.strip().startswith("interfaces:"):
            found |= dict.fromkeys(line.split(":")[1].split(), zone)
    return found


def configuration(lab: Lab) -> str:
    """All that firewalld has of its zones, at run time and for good."""
    shown = "firewall-cmd --list-all-zones; firewall-cmd --permanent --list-all-zones; firewall-cmd --list-all-policies"
    return sh(lab, f"{shown}; find /etc/firewalld -type f | sort | xargs sha256sum")


def start(lab: Lab, backend: str = "nftables") -> None:
    """
    firewalld as it is once a link was in the zone: what it makes for a zone's first link, it keeps until a reload.
    """
    start_firewalld(lab, backend)
    sh(lab, "firewall-cmd --zone=trusted --add-interface=x0; firewall-cmd --zone=trusted --remove-interface=x0")


def reaches(lab: Lab, name: str = "web", port: int = PORT) -> bool:
    with tcp_server(lab, INTERNET, port=port):
        return ask_tcp(lab, name, INTERNET_ADDRESS, port) is not None


def gets_in(lab: Lab, place: str, address: str, at: str) -> bool:
    """Whether somebody's first packet comes to a sandbox."""
    with tcp_server(lab, at, port=PORT):
        return ask_tcp(lab, place, address, PORT) is not None


def found(lab: Lab) -> dict[str, str]:
    return {d["key"]: d["found"] for d in json.loads(lab.nsctl("check", "--json").stdout)["drift"]}


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_the_bridge_joins_a_zone_and_all_is_as_before_in_the_end(lab: Lab, backend: str) -> None:
    start(lab, backend)
    before, settings = snapshot(lab), configuration(lab)
    assert JOINS in said(lab, "up", *WEB, "--dry-run")
    assert_back(lab, before)
    up(lab, *WEB)
    assert zones(lab) == {"nsbr0": "trusted"}
    assert reaches(lab)
    assert found(lab) == {}
    # Nothing new comes in from outside, nor from another network, and each reaches the outside.
    up(lab, *DB)
    assert zones(lab) == {"nsbr0": "trusted", "nsbr1": "trusted"}
    lab.neighbour(["ip", "route", "add", "10.0.0.0/8", "via", "203.0.113.2"], check=True)
    assert not gets_in(lab, INTERNET, "10.0.3.2", "web")
    assert not gets_in(lab, "db", "10.0.3.2", "web")
    assert not gets_in(lab, "web", "10.0.4.2", "db")
    assert reaches(lab, "db")
    down(lab, "web")
    assert zones(lab) == {"nsbr1": "trusted"}
    assert reaches(lab, "db")
    down(lab, "db")
    assert configuration(lab) == settings
    assert_back(lab, before)


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_what_a_reload_forgets_is_named_and_put_back(lab: Lab, backend: str) -> None:
    start_firewalld(lab, backend)
    up(lab, *WEB)
    up(lab, *DB)
    lab.neighbour(["ip", "route", "add", "10.0.0.0/8", "via", "203.0.113.2"], check=True)
    for act in (
        "firewall-cmd --reload",
        "firewall-cmd --complete-reload",
        "pkill -x firewalld; sleep 1; firewalld --nopid",
    ):
        sh(lab, act)
        until_running(lab)
        # Until then, too, nothing comes in.
        assert not gets_in(lab, INTERNET, "10.0.3.2", "web"), act
        assert not gets_in(lab, "db", "10.0.3.2", "web"), act
        missed = found(lab)
        assert missed["zone/nsbr0"] == missed["zone/nsbr1"] == "in no zone of firewalld's", act
        said(lab, "repair")
        assert found(lab) == {}, act
        assert zones(lab) == {"nsbr0": "trusted", "nsbr1": "trusted"}, act
        assert reaches(lab), act
        assert not gets_in(lab, INTERNET, "10.0.3.2", "web"), act
        assert not gets_in(lab, "db", "10.0.3.2", "web"), act
    down(lab, "web", "db")
    assert zones(lab) == {}


def test_where_it_was_stopped_nobody_misses_the_zone_and_down_leaves_nothing(lab: Lab) -> None:
    start_firewalld(lab)
    up(lab, *WEB)
    sh(lab, "pkill -x firewalld; while pgrep -x firewalld; do sleep 0.1; done >/dev/null")
    assert not any(key.startswith("zone/") for key in found(lab))
    said(lab, "repair")
    assert reaches(lab)
    up(lab, *DB)
    down(lab, "web", "db")
    sh(lab, "firewalld --nopid")
    until_running(lab)
    assert zones(lab) == {}


def test_where_it_is_started_later_that_is_named_and_the_bridges_join(lab: Lab) -> None:
    up(lab, *WEB)
    up(lab, "bridge", "--name", "web2", "--subnet", "10.0.3.0/24")
    start_firewalld(lab)
    assert found(lab)["zone/nsbr0"] == "firewalld runs by now, and has it in no zone"
    assert JOINS in said(lab, "repair", "--dry-run")
    assert zones(lab) == {}
    said(lab, "repair")
    assert found(lab) == {}
    assert reaches(lab)
    down(lab, "web")
    assert zones(lab) == {"nsbr0": "trusted"}
    assert reaches(lab, "web2")
    down(lab, "web2")
    assert zones(lab) == {}


def test_a_zone_that_somebody_chose_for_a_bridge_counts(lab: Lab) -> None:
    start_firewalld(lab)
    sh(lab, "firewall-cmd --zone=dmz --add-interface=nsbr0")
    settings = configuration(lab)
    says = "no way out: the rule 'reject' of the nftables chain 'inet firewalld filter_FORWARD' drops what comes from"
    planned = lab.nsctl("up", *WEB, "--dry-run")
    assert ("firewall-cmd" in planned.stdout, says in planned.stderr) == (False, True), planned
    made = lab.nsctl("up", *WEB)
    assert (made.returncode, says in made.stderr, reaches(lab)) == (0, True, False), made
    assert zones(lab) == {"nsbr0": "dmz"}
    assert found(lab) == {}
    down(lab, "web")
    assert configuration(lab) == settings


def test_a_zone_that_somebody_chose_since_is_named_and_left_alone(lab: Lab) -> None:
    start_firewalld(lab)
    up(lab, *WEB)
    sh(lab, "firewall-cmd --zone=dmz --change-interface=nsbr0")
    assert found(lab) == {"zone/nsbr0": "in firewalld's zone dmz"}
    assert lab.nsctl("repair").returncode == 4
    done = lab.nsctl("down", "web")
    assert done.returncode == 0
    assert "zone/nsbr0 is not nsctl's any more" in done.stderr
    assert zones(lab) == {"nsbr0": "dmz"}


@pytest.mark.parametrize("option", [[], ["--no-batch"]])
def test_when_a_later_step_fails_the_bridge_is_in_no_zone(lab: Lab, option: list[str]) -> None:
    start(lab)
    before, settings = snapshot(lab), configuration(lab)
    done = lab.nsctl("up", *WEB, *option, "--", "/nowhere")
    assert done.returncode == 127
    assert "everything was undone" in done.stderr
    assert configuration(lab) == settings
    assert_back(lab, before)
    calls = shim(lab, ["firewall-cmd"], {"firewall-cmd --zone=*": "fail-after"})
    done = lab.nsctl("up", *WEB, *option)
    assert done.returncode == 1
    assert [call.argv[2] for call in calls.calls] == ["--add-interface=nsbr0", "--remove-interface=nsbr0"]
    calls.plan({})
    assert configuration(lab) == settings
    assert_back(lab, before)


def test_one_that_does_not_answer_stops_what_needs_it_and_nothing_else(lab: Lab) -> None:
    start_firewalld(lab)
    sh(lab, "pkill -STOP -x firewalld")
    up(lab, "none", "--name", "calm")
    before = snapshot(lab)
    done = lab.nsctl("up", *WEB)
    assert done.returncode == 2
    assert done.stderr.startswith("nsctl: firewalld runs, and can't be asked for its zones: ")
    assert_back(lab, before)
    sh(lab, "pkill -CONT -x firewalld")
    up(lab, *WEB)
    assert zones(lab) == {"nsbr0": "trusted"}


def test_down_takes_all_else_away_while_it_does_not_answer_and_recover_the_rest(lab: Lab) -> None:
    service = FakeFirewalld(lab)
    before = snapshot(lab)
    up(lab, *WEB)
    service.silent = True
    done = lab.nsctl("down", "web", timeout=120)
    assert done.returncode == 3
    assert "zone/nsbr0: still there: the system bus can't be asked whether firewalld runs" in done.stderr
    assert lab.run(["ip", "link", "show", "dev", "nsbr0"]).returncode == 1
    assert "NSCTL" not in sh(lab, "iptables-save")
    service.silent = False
    said(lab, "recover")
    assert_back(lab, before)


def test_one_of_another_network_namespace_is_no_concern_of_this_one(lab: Lab) -> None:
    sh(lab, "ip netns add elsewhere; mkdir -p /run/dbus; dbus-daemon --system --fork --nopidfile")
    sh(lab, "ip netns exec elsewhere firewalld --nopid")
    until_running(lab)
    before = snapshot(lab)
    up(lab, *WEB)
    assert zones(lab) == {}
    assert reaches(lab)
    down(lab, "web")
    assert_back(lab, before)
