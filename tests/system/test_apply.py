"""A saved plan, carried out step for step or refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.lab import Lab, Shims, assert_back, shim, snapshot
from tests.system.support import data, down, refused, said, up

pytestmark = pytest.mark.warm

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
FILE = "/var/log/plan.json"


def saved(lab: Lab, *args: str) -> Any:
    """A plan, which is also in the file."""
    text = said(lab, "up", *args, "--dry-run", "--format", "json")
    lab.write(FILE, text)
    return json.loads(text)


@pytest.mark.both_ways
def test_a_plan_is_carried_out_on_a_host_that_fits(lab: Lab) -> None:
    before = snapshot(lab)
    saved(lab, *WEB)
    assert said(lab, "apply", FILE) == "web is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1\n"
    assert said(lab, "up", *WEB).endswith("(already)\n")
    down(lab, "web")
    assert_back(lab, before)


def test_a_plan_may_come_from_a_pipe(lab: Lab) -> None:
    text = said(lab, "up", "none", "--dry-run", "--format", "json")
    done = lab.nsctl("apply", "-", input=text)
    assert (done.returncode, done.stdout) == (0, "none is up: a network of its own, without an address\n")


def test_its_dry_run_shows_it_and_does_nothing(lab: Lab) -> None:
    saved(lab, *WEB)
    before = snapshot(lab)
    assert said(lab, "apply", FILE, "--dry-run") == said(lab, "up", *WEB, "--dry-run")
    assert_back(lab, before)


@pytest.mark.parametrize(
    ("in_the_way", "says"),
    [
        (["ip", "link", "add", "nsbr0", "type", "bridge"], "link/nsbr0"),
        (["ip", "link", "add", "ns-web", "type", "bridge"], "link/ns-web"),
        (["ip", "netns", "add", "web"], "netns/web"),
        (["mkdir", "-p", "/run/nsctl/sandboxes/web"], "dir//run/nsctl/sandboxes"),
        (["iptables", "-t", "nat", "-N", "NSCTL-POSTROUTING"], "chain/4/nat/NSCTL-POSTROUTING"),
        (["ip", "link", "add", "nsbr0", "address", "{mac}", "mtu", "1500", "type", "bridge"], "link/nsbr0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_refused_where_something_is_in_the_way(lab: Lab, in_the_way: list[str], says: str) -> None:
    plan = saved(lab, *WEB)
    [mac] = [step["do"]["mac"] for step in plan["steps"] if step["key"] == "link/nsbr0"]
    lab.run([word.format(mac=mac) for word in in_the_way], check=True)
    refused(lab, "apply", FILE, says=says)


def test_it_is_refused_where_the_sandbox_is_up_already(lab: Lab) -> None:
    saved(lab, *WEB)
    up(lab, *WEB)
    refused(lab, "apply", FILE, says="'web' is up already", hint="nsctl down web")


def test_it_is_refused_where_its_address_was_taken_meanwhile(lab: Lab) -> None:
    saved(lab, *WEB)
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.3.0/24")
    refused(lab, "apply", FILE, says="10.0.3.2 on nsbr0 is db's", hint="make the plan again")


def test_it_is_refused_where_its_subnet_was_taken_meanwhile(lab: Lab) -> None:
    saved(lab, *WEB, "--ip", "10.0.3.9", "--bridge", "lan0")
    lab.run(["ip", "route", "add", "10.0.3.0/25", "via", "203.0.113.1"], check=True)
    refused(lab, "apply", FILE, says="10.0.3.0/24 overlaps the host's route 10.0.3.0/25", hint="make the plan again")
    lab.run(["ip", "route", "del", "10.0.3.0/25"], check=True)
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.3.0/24")
    refused(lab, "apply", FILE, says="10.0.3.0/24 overlaps 10.0.3.0/24 of nsctl's bridge nsbr0")
    down(lab, "db")
    up(lab, "bridge", "--name", "db", "--bridge", "lan0", "--subnet", "10.0.4.0/24")
    refused(lab, "apply", FILE, says="lan0 has the subnet 10.0.4.0/24, not 10.0.3.0/24")


def test_it_is_refused_where_what_it_shares_is_gone_meanwhile(lab: Lab) -> None:
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.3.0/24")
    saved(lab, *WEB)
    down(lab, "db")
    before = snapshot(lab)
    done = lab.nsctl("apply", FILE)
    if done.returncode == 0:  # it made what was gone again
        assert "10.0.3.3/24" in done.stdout
        down(lab, "web")
    assert done.returncode in {0, 2}
    assert_back(lab, before)


@pytest.mark.both_ways
def test_a_step_that_fails_is_named_with_its_command_and_everything_is_undone(lab: Lab) -> None:
    saved(lab, *WEB)
    before = snapshot(lab)
    shims: Shims = shim(lab, "unshare", {"*": "fail-before"})
    done = lab.nsctl("apply", FILE)
    assert (done.returncode, done.stdout) == (1, "")
    what = r"nsctl: step (\d+) of \1 \(start the init that holds the namespaces of web\) failed: "
    assert re.match(what, done.stderr), done.stderr
    assert shims.injected
    assert_back(lab, before)
    assert data(lab, "ls", "--json") == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "this is not JSON"),
        ("{", "line 1: this is not JSON"),
        ("[]", "this is not a plan"),
        ('{"steps": []}', "this is not a plan"),
        ('{"nsctl_plan": 999}', "plan version 999 is not supported"),
        ('{"nsctl_plan": 2}', "the plan is damaged"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_what_is_no_plan_is_refused(lab: Lab, content: str | bytes, says: str) -> None:
    lab.write(FILE, content)
    refused(lab, "apply", FILE, says=says)


def test_a_file_that_is_not_there_is_refused(lab: Lab) -> None:
    refused(lab, "apply", "/no/such/file", says="/no/such/file can't be read: No such file")
    refused(lab, "apply", "/run", says="/run can't be read: Is a directory")
    refused(lab, "apply", says="FILE", hint="nsctl apply --help")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda plan: plan.update(name="../../etc"), "name"),
        (lambda plan: plan["steps"].append(plan["steps"][3]), "its key is there twice"),
        (lambda plan: plan["steps"][3].update(do={"kind": "run", "argv": []}), "damaged"),
        (
            lambda plan: plan["steps"][3].update(do={"kind": "run", "argv": ["/run/evil"]}),
            "not the plain name of a tool",
        ),
        (lambda plan: plan["steps"][3].pop("undo"), "it has no undo"),
        (lambda plan: plan["steps"][3].update(effect={"kind": "magic"}), "damaged|effect"),
        (lambda plan: plan["steps"][3].update(do="ip netns add web"), "damaged|Command"),
        (lambda plan: plan.update(isolate=["user"]), "not a kind of namespace"),
        (lambda plan: plan["steps"][4].update(after=["link/nope"]), "nothing makes 'link/nope'"),
        (lambda plan: plan.update(steps="none"), "damaged|step"),
    ],
)
def test_a_plan_that_was_tampered_with_is_checked_as_data(lab: Lab, change: Any, says: str) -> None:
    plan = saved(lab, *WEB)
    change(plan)
    lab.write(FILE, json.dumps(plan))
    refused(lab, "apply", FILE, says=says)
