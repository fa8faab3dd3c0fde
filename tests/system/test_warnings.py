"""What `up` and dry runs warn of, in the words of `check`."""

from __future__ import annotations

import json

import pytest

from tests.lab import Lab
from tests.system.support import as_nobody, down, up

pytestmark = [pytest.mark.system, pytest.mark.needs("bridge", "veth", "iptables")]

WEB = ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24")
DROP = "rule 1 of FORWARD drops what comes from nsbr0: -s 10.0.0.0/8 -j DROP (filter table,"
LATE = "the host has no default route"


def sh(lab: Lab, script: str) -> None:
    lab.run(["sh", "-ec", script], check=True)


def reaches(lab: Lab) -> bool:
    return lab.nsctl("exec", "web", "--", "ping", "-c1", "-W2", "203.0.113.1").returncode == 0


def resolv_conf(lab: Lab, text: str) -> None:
    lab.write("/run/resolv.conf", text)
    lab.run(["mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf"], check=True)


def test_what_stops_the_way_out_is_said_beforehand_at_up_and_by_check_in_the_same_words(lab: Lab) -> None:
    sh(lab, "iptables -A FORWARD -s 10.0.0.0/8 -j DROP")
    planned = lab.nsctl(*WEB, "--dry-run")
    assert planned.returncode == 0
    assert f"nsctl: warning: web would have no way out: {DROP}" in planned.stderr
    made = lab.nsctl(*WEB)
    assert made.returncode == 0
    assert made.stdout == "web is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1\n"
    warning, hint = made.stderr.splitlines()
    assert warning.startswith(f"nsctl: warning: web has no way out: {DROP}")
    assert hint.startswith("hint: ")
    assert not reaches(lab)
    checked = lab.nsctl("check")
    assert (checked.returncode, checked.stdout) == (4, warning.removeprefix("nsctl: warning: ") + "\n")
    assert hint in checked.stderr
    found = json.loads(lab.nsctl("check", "--json").stdout)
    assert found["drift"] == []
    web = found["way_out"]["web"]
    assert (web["reached"], [cause["kind"] for cause in web["causes"]]) == (False, ["rule"])
    assert web["causes"][0]["name"] == "-A FORWARD -s 10.0.0.0/8 -j DROP"
    assert web["causes"][0]["whose"] == "the host"
    sh(lab, "iptables -D FORWARD 1")
    assert lab.nsctl("check").stdout == "everything is as it was made\n"
    assert reaches(lab)
    down(lab, "web")


@pytest.mark.needs("nft")
def test_a_chain_of_nftables_that_drops_is_found_beforehand_and_afterwards(lab: Lab) -> None:
    sh(lab, "nft add table inet other")
    sh(lab, "nft add chain inet other forward '{ type filter hook forward priority 10; policy drop; }'")
    says = "no way out: the policy of the nftables chain 'inet other forward' drops what comes from nsbr0"
    for words in ((*WEB, "--dry-run"), WEB):
        done = lab.nsctl(*words)
        assert (done.returncode, says in done.stderr, done.stderr.count("warning")) == (0, True, 1), done
    checked = lab.nsctl("check")
    assert (checked.returncode, says in checked.stdout) == (4, True)
    assert "hint: let it pass: nft insert rule inet other forward iifname nsbr0 accept" in checked.stderr
    assert not reaches(lab)
    sh(lab, "nft delete table inet other")
    assert lab.nsctl("check").returncode == 0


def test_run_lab_files_and_saved_plans_warn_too(lab: Lab) -> None:
    plan = lab.nsctl(*WEB, "--dry-run", "--format", "json").stdout
    sh(lab, "iptables -A FORWARD -s 10.0.0.0/8 -j DROP")
    lab.write("/run/plan.json", plan)
    done = lab.nsctl("apply", "/run/plan.json")
    assert (done.returncode, f"web has no way out: {DROP}" in done.stderr) == (0, True), done
    down(lab, "web")
    done = lab.nsctl("run", *WEB[1:], "--", "true")
    assert (done.returncode, f"web has no way out: {DROP}" in done.stderr) == (0, True), done
    lab.write("/run/lab.toml", '[sandbox.web]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\ncount = 4\n')
    for words, verb in ((["--dry-run"], "would have"), ([], "have")):
        done = lab.nsctl("apply", "/run/lab.toml", *words)
        assert done.returncode == 0, done
        assert f"nsctl: warning: web-1, web-2, web-3 and 1 more {verb} no way out: {DROP}" in done.stderr, done
        assert done.stderr.count("warning") == 1


def test_a_host_without_a_default_route_is_a_note_until_it_has_one(lab: Lab) -> None:
    sh(lab, "ip route del default")
    made = lab.nsctl(*WEB)
    assert made.returncode == 0
    assert made.stderr == f"note: {LATE}: sandboxes get no further than the host itself\n"
    checked = lab.nsctl("check")
    assert (checked.returncode, checked.stdout) == (0, "everything is as it was made\n")
    assert f"note: {LATE}" in checked.stderr
    found = json.loads(lab.nsctl("check", "--json").stdout)
    assert found["way_out"]["web"]["reached"] is False
    assert [cause["kind"] for cause in found["way_out"]["web"]["causes"]] == ["host"]
    sh(lab, "ip route add default via 203.0.113.1")
    assert reaches(lab)
    checked = lab.nsctl("check")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_what_repair_puts_back_gets_one_hint_and_no_command_for_a_link_of_the_hosts(lab: Lab) -> None:
    up(lab, *WEB[1:])
    sh(lab, "ip -n web link set eth0 down")
    checked = lab.nsctl("check")
    assert checked.returncode == 4
    assert "web has no way out: inside, the link eth0 is down\n" in checked.stdout
    assert checked.stderr == "hint: nsctl repair puts back what is missing\n"
    lab.nsctl("repair", check=True)
    assert reaches(lab)


def test_an_internal_network_promises_no_way_out(lab: Lab) -> None:
    sh(lab, "iptables -A FORWARD -j DROP; ip route del default")
    up(lab, *WEB[1:], "--internal")
    checked = lab.nsctl("check", "--json")
    assert (checked.returncode, json.loads(checked.stdout)["way_out"]) == (0, {})


def test_who_shares_a_network_shares_its_way_out(lab: Lab) -> None:
    up(lab, *WEB[1:])
    up(lab, "container", "--target", "web", "--name", "db")
    sh(lab, "iptables -I FORWARD -i nsbr0 -j DROP")
    assert lab.nsctl("check", "db").stdout.startswith("db has no way out: rule 1 of FORWARD")
    assert lab.nsctl("check").stdout.startswith("db, web have no way out: rule 1 of FORWARD")


def test_a_rule_for_one_address_is_blamed_for_that_one_only(lab: Lab) -> None:
    up(lab, *WEB[1:])
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.3.0/24", "--ip", "10.0.3.9")
    sh(lab, "iptables -I FORWARD -s 10.0.3.9 -j DROP")
    assert lab.nsctl("check").stdout.startswith("db has no way out: rule 1 of FORWARD drops")
    assert reaches(lab)


@pytest.mark.cold
def test_without_root_a_dry_run_says_what_it_can_see(lab: Lab) -> None:
    sh(lab, "iptables -A FORWARD -s 10.0.0.0/8 -j DROP")
    assert as_nobody(lab, *WEB, "--dry-run").stderr == ""
    sh(lab, "ip rule add from 10.0.3.0/24 prohibit priority 90")
    said = as_nobody(lab, *WEB, "--dry-run").stderr
    assert "web would have no way out: a routing rule refuses what goes from 10.0.3.2" in said


def test_what_cannot_be_told_is_said_with_v_only(lab: Lab) -> None:
    sh(lab, "iptables -A FORWARD -m limit --limit 1/hour -j DROP")
    up(lab, *WEB[1:])
    checked = lab.nsctl("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "note: the way out of web can't be told: whether a rule in FORWARD" in lab.nsctl("-v", "check").stderr


def test_name_servers_on_the_hosts_loopback_are_warned_of(lab: Lab) -> None:
    resolv_conf(lab, "nameserver 127.0.0.53\noptions edns0\n")
    says = "nsctl: warning: names don't resolve in web: 127.0.0.53 is the host's only name server, on the loopback"
    assert says in lab.nsctl(*WEB, "--dry-run").stderr
    made = lab.nsctl(*WEB)
    assert (made.returncode, len(made.stderr.splitlines())) == (0, 2)
    assert says in made.stderr
    checked = lab.nsctl("check")
    assert (checked.returncode, "names don't resolve in web: 127.0.0.53" in checked.stderr) == (0, True)
    down(lab, "web")
    # Nobody else's loopback is in the way, or no server would be reached anyway.
    up(lab, "host", "--name", "web")
    down(lab, "web")
    up(lab, "none", "--name", "web")
    down(lab, "web")
    lab.write("/etc/netns/web/resolv.conf", "nameserver 192.0.2.53\n")
    up(lab, *WEB[1:])
    down(lab, "web")
    lab.write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\n")
    lab.run(["rm", "/etc/netns/web/resolv.conf"], check=True)
    up(lab, *WEB[1:])


def test_repair_names_what_it_leaves_in_the_way(lab: Lab) -> None:
    up(lab, *WEB[1:])
    sh(lab, "iptables -I FORWARD -s 10.0.0.0/8 -j DROP")
    done = lab.nsctl("repair")
    assert (done.returncode, done.stdout) == (4, "")
    assert f"left alone: web has no way out: {DROP}" in done.stderr
    assert done.stderr.count("hint: ") == 1
    sh(lab, "iptables -D FORWARD 1")
    assert lab.nsctl("repair", check=True).stdout == "nothing is missing\n"
