"""Confirmation that fails closed, sandboxes that have ended, and repair that touches nothing that lives."""

from __future__ import annotations

import json
import os

import pytest

from nsctl.engine.testing.snapshot import assert_same
from tests.lab import Lab, assert_back, needs, snapshot
from tests.system.support import data, down, eventually, init_of, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables"), pytest.mark.warm]

NET = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")


def sh(lab: Lab, script: str) -> None:
    lab.run(["sh", "-ec", script], check=True)


def names(lab: Lab) -> list[str]:
    return [row["name"] for row in data(lab, "ls", "--json")]


# Confirmation.


def test_the_watcher_tries_until_it_has_worked(lab: Lab) -> None:
    before = snapshot(lab)
    lab.nsctl("up", *NET, "--confirm", "1s", check=True)
    # As good as held by another nsctl for longer than any wants to wait.
    sh(lab, "mv /run/nsctl/lock /run/lock; mkdir /run/nsctl/lock")
    assert eventually(lambda: "recover" in lab.run(["pgrep", "-af", "nsctl recover"]).stdout)
    sh(lab, "sleep 2; rmdir /run/nsctl/lock; mv /run/lock /run/nsctl/lock")
    assert eventually(lambda: not lab.exists("/run/netns/web"), within=20)
    assert eventually(lambda: lab.run(["pgrep", "-f", "nsctl-confirm-web"]).returncode != 0)
    assert_back(lab, before)


def test_a_watcher_that_was_killed_is_missed_and_started_again(lab: Lab) -> None:
    lab.nsctl("up", *NET, "--confirm", "1h", check=True)
    assert lab.nsctl("check").returncode == 0
    lab.run(["pkill", "-KILL", "-f", "nsctl-confirm-web"], check=True)
    done = lab.nsctl("check")
    assert done.returncode == 4, done
    assert "confirm/web: nothing waits for the confirmation" in done.stdout
    done = lab.nsctl("up", "none", "--name", "box")
    assert done.returncode == 0
    assert "what waits for the confirmation of 'web' had ended, and was started again" in done.stderr
    assert lab.nsctl("check").returncode == 0
    assert lab.nsctl("confirm", "web").returncode == 0
    assert lab.run(["pgrep", "-f", "nsctl-confirm-web"]).returncode != 0
    assert lab.nsctl("check").returncode == 0


def test_a_process_with_the_pid_of_a_dead_watcher_is_none(lab: Lab) -> None:
    lab.nsctl("up", "none", "--name", "box", "--confirm", "1h", check=True)
    lab.run(["pkill", "-KILL", "-f", "nsctl-confirm-box"], check=True)
    other = lab.popen(["sleep", "1000081"])
    assert eventually(lambda: lab.run(["pgrep", "-xf", "sleep 1000081"]).stdout != "")
    pid = lab.run(["pgrep", "-xf", "sleep 1000081"]).stdout.strip()
    lab.write("/run/nsctl/confirm-box.pid", f"{pid}\n")
    assert lab.nsctl("check").returncode == 4
    lab.nsctl("down", "box", check=True)
    assert other.poll() is None


# What has ended.


@pytest.mark.parametrize("other", [(), ("--ip", "10.0.3.9")])
def test_up_over_a_sandbox_that_has_ended_makes_it_anew(lab: Lab, other: tuple[str, ...]) -> None:
    up(lab, *NET, "--", "sleep", "1000083")
    sh(lab, "pkill -KILL -xf 'sleep 1000083'")
    assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
    done = lab.nsctl("up", *NET, *other, "--", "sleep", "1000083")
    assert done.returncode == 0, done
    assert "note: 'web' had ended; it is made anew" in done.stderr
    assert "(already)" not in done.stdout
    assert lab.nsctl("check").returncode == 0
    assert "1000083" in lab.run(["pgrep", "-af", "sleep"]).stdout
    again = lab.nsctl("up", *NET, *other, "--", "sleep", "1000083")
    assert "(already)" in again.stdout
    down(lab, "web")


@pytest.mark.both_ways
def test_up_over_one_that_has_ended_and_is_shared_is_refused(lab: Lab) -> None:
    up(lab, *NET)
    up(lab, "container", "--name", "probe", "--target", "web")
    sh(lab, f"kill -KILL {init_of(lab, 'web')}")
    assert eventually(lambda: data(lab, "inspect", "web")["pid"] is None)
    done = lab.nsctl("up", *NET)
    assert done.returncode == 2, done
    assert "'web' has ended, and probe shares its network" in done.stderr
    assert "nsctl down web probe" in done.stderr


@pytest.mark.both_ways
def test_run_and_apply_over_one_that_has_ended(lab: Lab) -> None:
    lab.write("/run/plan.json", lab.nsctl("up", "none", "--name", "box", "--dry-run", "--format", "json").stdout)
    for argv in (("run", "none", "--name", "box", "--", "true"), ("apply", "/run/plan.json")):
        up(lab, "none", "--name", "box")
        sh(lab, f"kill -KILL {init_of(lab, 'box')}")
        assert eventually(lambda: data(lab, "inspect", "box")["pid"] is None)
        done = lab.nsctl(*argv)
        assert done.returncode == 0, done
        assert "'box' had ended; it is made anew" in done.stderr
        lab.nsctl("down", "--all", check=True)


def test_what_had_ended_is_not_started_again_by_a_replacement_that_fails(lab: Lab) -> None:
    up(lab, *NET, "--", "sh", "-c", "echo x >>/run/started; sleep 1000087")
    sh(lab, "pkill -KILL -xf 'sleep 1000087'")
    assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
    sh(lab, "mount --bind /bin/false /usr/bin/unshare")
    assert lab.nsctl("up", *NET).returncode == 1
    assert lab.read("/run/started") == "x\n"


# Repair.


@pytest.mark.parametrize("act", ["ip netns del web", "umount /run/netns/web"])
@pytest.mark.parametrize("options", [("--", "sleep", "1000089"), ("--isolate", "net")])
def test_a_lost_name_is_put_back_and_nothing_else_is_touched(lab: Lab, act: str, options: tuple[str, ...]) -> None:
    up(lab, *NET, *options)
    if "--isolate" in options:
        lab.nsctl_popen("exec", "web", "--", "sleep", "1000089")
    assert eventually(lambda: lab.run(["pgrep", "-xf", "sleep 1000089"]).stdout != "")
    pid = lab.run(["pgrep", "-xf", "sleep 1000089"]).stdout
    inode = lab.call(os.stat, "/run/netns/web").st_ino
    before = snapshot(lab)
    sh(lab, act)
    found = [drift["key"] for drift in json.loads(lab.nsctl("check", "--json").stdout)["drift"]]
    assert found == ["netns/web"]
    planned = lab.nsctl("repair", "--dry-run").stdout
    assert planned.count("give the network namespace of web its name back") == 1
    assert lab.nsctl("repair").returncode == 0
    assert lab.call(os.stat, "/run/netns/web").st_ino == inode
    assert lab.run(["pgrep", "-xf", "sleep 1000089"]).stdout == pid
    assert_same(before, snapshot(lab))
    assert lab.nsctl("check").returncode == 0
    down(lab, "web")


def test_a_lost_name_is_put_back_from_the_name_of_who_shares_it(lab: Lab) -> None:
    up(lab, "none", "--name", "box", "--isolate", "net")
    up(lab, "container", "--name", "probe", "--target", "box", "--isolate", "net")
    inode = lab.call(os.stat, "/run/netns/box").st_ino
    sh(lab, "ip netns del box")
    assert lab.nsctl("repair").returncode == 0
    assert lab.call(os.stat, "/run/netns/box").st_ino == inode
    assert lab.nsctl("check").returncode == 0


@pytest.mark.parametrize(
    "act",
    ["rm /run/nsctl/sandboxes/web/hosts", "rm -r /run/nsctl/sandboxes/web", "ip link del ns-web", "ip link del nsbr0"],
)
def test_repair_restarts_nothing_that_lives(lab: Lab, act: str) -> None:
    up(lab, *NET, "--", "sleep", "1000091")
    pid = lab.run(["pgrep", "-xf", "sleep 1000091"]).stdout
    init = init_of(lab, "web")
    sh(lab, act)
    assert "start" not in lab.nsctl("repair", "--dry-run").stdout
    assert lab.nsctl("repair").returncode == 0
    assert lab.run(["pgrep", "-xf", "sleep 1000091"]).stdout == pid
    assert init_of(lab, "web") == init
    assert lab.nsctl("check").returncode == 0
    down(lab, "web")


@pytest.mark.both_ways
def test_repair_says_beforehand_what_it_would_start_again(lab: Lab) -> None:
    up(lab, *NET, "--", "sleep", "1000093")
    sh(lab, "pkill -KILL -xf 'sleep 1000093'")
    assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
    assert "start 'sleep 1000093' in web" in lab.nsctl("repair", "--dry-run").stdout.replace(
        "sleep 1000093", "'sleep 1000093'", 1
    )
    assert lab.nsctl("repair").returncode == 0
    assert lab.run(["pgrep", "-xf", "sleep 1000093"]).stdout != ""


@needs("tool:conntrack")
def test_flows_that_began_without_rules_are_dropped_by_repair(lab: Lab) -> None:
    up(lab, *NET)
    sh(lab, "iptables -t nat -F")
    send = "import socket,time; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('',4000));"
    again = "[(s.sendto(b'x',('203.0.113.1',9)), time.sleep(0.05)) for _ in range(3)]"
    lab.nsctl("exec", "web", "--", "python3", "-c", send + again, check=True)
    assert "src=10.0.3.2" in lab.run(["conntrack", "-L", "-s", "10.0.3.2"]).stdout
    assert lab.nsctl("repair").returncode == 0
    assert lab.run(["conntrack", "-L", "-s", "10.0.3.2"]).stdout == ""
    lab.nsctl("exec", "web", "--", "python3", "-c", send + again, check=True)
    assert "dst=203.0.113.2" in lab.run(["conntrack", "-L", "-s", "10.0.3.2"]).stdout


def test_rules_of_others_in_own_chains_are_named_and_reported_when_they_go(lab: Lab) -> None:
    up(lab, *NET)
    assert lab.nsctl("check").returncode == 0
    sh(lab, "iptables -A NSCTL-FORWARD -s 192.0.2.7/32 -j DROP")
    done = lab.nsctl("check")
    assert done.returncode == 4, done
    assert "chain/4/filter/NSCTL-FORWARD: a rule that is not nsctl's: -s 192.0.2.7/32 -j DROP" in done.stdout
    assert lab.nsctl("repair").returncode == 4
    assert "192.0.2.7" in lab.run(["iptables-save"]).stdout
    done = lab.nsctl("down", "web")
    assert done.returncode == 0
    assert "with NSCTL-FORWARD goes a rule that is not nsctl's: -s 192.0.2.7/32 -j DROP" in done.stderr


def test_what_others_put_on_a_bridge_or_into_a_namespace_is_named_when_that_goes(lab: Lab) -> None:
    up(lab, *NET)
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.3.0/24")
    assert lab.nsctl("check").stderr == ""
    sh(lab, "ip link add p9 master nsbr0 type veth peer name p8")
    sh(lab, "ip address add 10.99.0.1/24 dev nsbr0")
    sh(lab, "ip link add w9 netns web type veth peer name w8")
    sh(lab, "ip link set ns-web name cable9; ip -n web link set eth0 address 02:00:00:00:00:77")  # nsctl's all the same
    port = "these ports are not nsctl's, and lose their bridge: p9 (nsbr0)"
    address = "these addresses are not nsctl's, and go with their bridge: 10.99.0.1/24 (nsbr0)"
    link = "these links are not nsctl's, and go with the namespace that they are in: w9 (web)"
    assert lab.nsctl("repair", "web").returncode == 0
    done = lab.nsctl("check")
    assert (done.returncode, done.stdout) == (0, "everything is as it was made\n"), done
    assert done.stderr.splitlines() == [f"note: with down, {line}" for line in (port, address, link)]
    done = lab.nsctl("down", "web")
    assert (done.returncode, done.stderr.splitlines()) == (0, [f"nsctl: warning: {link}"]), done
    done = lab.nsctl("down", "db")
    assert (done.returncode, done.stderr.splitlines()) == (0, [f"nsctl: warning: {line}" for line in (port, address)])
    assert lab.run(["ip", "link", "show", "dev", "p9"]).returncode == 0


def test_many_namespaces_are_not_looked_into_for_guests(lab: Lab) -> None:
    lines = '[sandbox.box{}]\nmode = "none"\nisolate = ["net"]\n'
    lab.write("/run/lab.toml", "".join(lines.format(number) for number in range(51)), 0o600)
    lab.nsctl("apply", "/run/lab.toml", check=True)
    sh(lab, "ip link add w9 netns box7 type veth peer name w8")
    assert lab.nsctl("check").stderr == ""
    assert "w9 (box7)" in lab.nsctl("check", "box7", "box8").stderr
    assert lab.nsctl("down", "--all").stderr == ""
