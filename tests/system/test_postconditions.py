""" "Is up", "is down" and "everything was undone" are said after a look at the kernel, whatever exit statuses say."""

from __future__ import annotations

import json
import shutil

import pytest

from nsctl.engine.kit import rule
from tests.engine.executor import plans
from tests.engine.executor.conftest import Executor
from tests.lab import Lab, assert_back, needs, shim, snapshot
from tests.system.support import down, eventually, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

KEYS = [step.key for step in plans.plan().steps]
NET = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")


@pytest.fixture
def executor(lab: Lab) -> Executor:
    lab.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], check=True)
    return Executor(lab)


def test_a_step_whose_command_does_nothing_is_no_success(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    alone = ("addr/br7", "up/ns-web", "sysctl/", "rule/", "route/", "file/")
    for key in [k for k in KEYS if k.startswith(alone)]:
        idle = plans.changed(plans.plan(), key, lambda s: plans.replace(s, do=plans.command("true")))
        answer = executor.up(idle)
        assert (answer.error, answer.exit) == ("StepFailed", 1), (key, answer)
        assert "was done, and is not in place at the end" in answer.message, (key, answer)
        assert "everything was undone" in answer.message, (key, answer)
        assert_back(lab, before)
        assert executor.ask("steps").good().value == {}


ACTS = (
    "iptables -F NSCTL-T",
    "iptables -A NSCTL-T -j ACCEPT; iptables -D NSCTL-T 1",
    "ip link set ns-web nomaster",
    "ip link set ns-web down",
    "ip link set br7 address 02:00:00:00:00:99",
    "ip link set br7 down; ip link set br7 name elsewhere; ip link set elsewhere up",
    "ip link del br7; ip link add br7 type bridge",
    "ip addr flush dev br7",
    "ip link del ns-web",
    "ip -n web link set eth0 down",
    "ip -n web link set eth0 address 02:00:00:00:00:99",
    "ip -n web route del default",
    "ip -n web addr flush dev eth0",
    "nsenter --net=/run/netns/web sysctl -qw net.ipv6.conf.default.disable_ipv6=0",
    "echo 0 >/proc/sys/net/ipv4/conf/br7/forwarding",
    "echo 0 >/proc/sys/net/ipv4/conf/lo/forwarding",
    "ip netns del web",
    "umount /run/netns/web",
    "rm /run/nsctl/sandboxes/web/hosts",
    "pkill -KILL -F /run/nsctl/sandboxes/web/init.pid",
)


@pytest.mark.parametrize("act", ACTS)
def test_what_others_change_before_the_end_is_noticed_and_all_of_it_undone(
    executor: Executor, lab: Lab, act: str
) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    wanted = plans.plan()
    last = plans.Step("act", "others are at work", plans.command("sh", "-c", act), no_undo="it is theirs")
    answer = executor.up(plans.replace(wanted, steps=(*wanted.steps, last)))
    assert (answer.error, answer.exit) == ("StepFailed", 1), answer
    assert "is not in place at the end" in answer.message, answer
    for theirs in ("elsewhere", "br7"):
        lab.run(["ip", "link", "del", "dev", theirs])
    assert_back(lab, before)
    assert executor.ask("steps").good().value == {}


def test_a_rule_that_others_move_behind_what_it_has_to_precede_is_noticed(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    wanted = plans.plan()
    head = rule("filter", plans.CHAIN, "-i", "br7", "-j", "DROP", owner="t", why="let nothing out", head=True)
    head = plans.replace(head, after=("chain/4/filter/T",), removed_with="chain/4/filter/T")
    words = "NSCTL-T -i br7 -m comment --comment nsctl:t -j DROP"
    act = plans.command("sh", "-c", f"iptables -D {words}; iptables -A {words}")
    last = plans.Step("act", "others are at work", act, no_undo="it is theirs")
    answer = executor.up(plans.replace(wanted, steps=(*wanted.steps, head, last)))
    assert (answer.error, answer.exit) == ("StepFailed", 1), answer
    assert "is not in place at the end: a rule stands behind what it has to precede: -i br7" in answer.message, answer
    assert_back(lab, before)


def test_where_the_store_is_spoilt_half_way_what_was_made_is_known_from_memory(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    # With somebody in it, a namespace that nobody knows to be nsctl's would be left alone.
    act = "nsenter --net=/run/netns/web sleep 1000061 9>&- & sleep 0.1; head -c 99999 /dev/urandom >/run/nsctl/state.db"
    wanted = plans.plan()
    last = plans.Step("act", "others are at work", plans.command("sh", "-c", act), no_undo="it is theirs")
    answer = executor.up(plans.replace(wanted, steps=(*wanted.steps, last)))
    # All but the store, which is named.
    assert (answer.error, answer.exit) == ("RollbackFailed", 3), answer
    assert answer.message.count("left over: the store: ") == 1, answer
    lab.run(["sh", "-c", "rm -f /run/nsctl/state.db*"], check=True)
    executor.ask("list").good()
    assert_back(lab, before)


def test_a_store_that_vanishes_half_way_leaves_nothing(lab: Lab) -> None:
    calls = shim(lab)
    up(lab, *NET)
    count = len(calls.calls)
    down(lab, "web")
    for number in range(1, count + 1):
        lab.call(shutil.rmtree, "/run/nsctl", ignore_errors=True)
        before = snapshot(lab)
        calls.plan({number: "hang"})
        child = lab.nsctl_popen("up", *NET, "--step-timeout", "1s")
        assert eventually(lambda n=number: len(calls.calls) >= n)  # type: ignore[misc]  # bound at once
        lab.call(shutil.rmtree, "/run/nsctl", ignore_errors=True)
        output, errors = child.communicate(timeout=60)
        calls.plan({})
        assert child.returncode in {1, 3}, (number, output, errors)
        lab.call(shutil.rmtree, "/run/nsctl", ignore_errors=True)
        if child.returncode == 1:
            assert_back(lab, before)


@pytest.mark.parametrize("isolate", ["net", "net,mount", "net,pid"])
def test_nothing_that_goes_on_forking_outlives_down(lab: Lab, isolate: str) -> None:
    before = snapshot(lab)
    bomb = 'while :; do (setsid sh -c "sleep 0.01; exec sh -c \\"sleep 1000047\\"" &); sleep 0.02; done'
    up(lab, *NET, "--isolate", isolate, "--", "sh", "-c", bomb)
    down(lab, "web")
    assert lab.run(["pgrep", "-f", "sleep 1000047"]).stdout == ""
    assert_back(lab, before)
    assert json.loads(lab.nsctl("ls", "--json").stdout) == []
