"""Names that nobody gave: the first that is free, and the one that the dry run shows."""

from __future__ import annotations

import json

import pytest

from tests.lab import Lab, assert_back, needs, nsctl_argv, snapshot
from tests.system.support import data, down, eventually, said, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]


def names(lab: Lab) -> list[str]:
    return [row["name"] for row in data(lab, "ls", "--json")]


def shown(lab: Lab, *args: str) -> str:
    """The name that a dry run has."""
    command, *rest = args
    return str(json.loads(said(lab, command, "--dry-run", "--format", "json", *rest))["name"])


def test_up_without_a_name_twice_makes_two_that_talk_to_each_other_and_leave_nothing(lab: Lab) -> None:
    before = snapshot(lab)
    net = ("bridge", "--subnet", "10.0.3.0/24")
    for name, address in (("bridge", "10.0.3.2"), ("bridge-2", "10.0.3.3"), ("bridge-3", "10.0.3.4")):
        assert shown(lab, "up", *net) == name
        assert up(lab, *net).startswith(f"{name} is up: {address}/24")
    assert names(lab) == ["bridge", "bridge-2", "bridge-3"]
    assert "1 received" in said(lab, "exec", "bridge-3", "--", "ping", "-c1", "-W2", "10.0.3.2")
    assert said(lab, "exec", "bridge-2", "--", "hostname") == "bridge-2\n"
    down(lab, "bridge-2")
    assert up(lab, *net).startswith("bridge-2 is up: ")  # a name is free again when it is down
    down(lab, "--all")
    assert_back(lab, before)


def test_a_name_that_others_have_under_run_netns_is_not_free(lab: Lab) -> None:
    lab.run(["ip", "netns", "add", "none"], check=True)
    lab.run(["ip", "netns", "add", "none-2"], check=True)
    assert shown(lab, "up", "none") == "none-3"
    assert up(lab, "none").startswith("none-3 is up")
    down(lab, "none-3")
    assert lab.run(["ip", "netns", "list"]).stdout.split() == ["none-2", "none"]


def test_a_name_that_a_sandbox_of_another_store_has_is_not_free(lab: Lab) -> None:
    other = {"NSCTL_STATE_DIR": "/run/other"}
    # host has no name under /run/netns: only the other store knows of it.
    assert lab.nsctl("up", "host", env=other).stdout.startswith("host is up")
    assert shown(lab, "up", "host") == "host-2"
    assert up(lab, "host").startswith("host-2 is up")
    assert lab.nsctl("up", "host", env=other).stdout.startswith("host-3 is up")


def test_a_sandbox_that_has_ended_keeps_its_name_and_its_output(lab: Lab) -> None:
    up(lab, "none", "--", "sleep", "1000091")
    lab.run(["pkill", "-KILL", "-xf", "sleep 1000091"], check=True)
    assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
    assert shown(lab, "up", "none") == "none-2"
    assert up(lab, "none").startswith("none-2 is up")
    assert names(lab) == ["none", "none-2"]


def test_runs_without_a_name_stand_side_by_side(lab: Lab) -> None:
    first = lab.popen(nsctl_argv("run", "none", "--", "sleep", "1000092"))
    assert eventually(lambda: lab.run(["pgrep", "-xf", "sleep 1000092"]).stdout != "")
    assert shown(lab, "run", "none", "--", "true") == "none-2"
    assert said(lab, "run", "none", "--", "hostname") == "none-2\n"
    assert names(lab) == ["none"]
    lab.run(["pkill", "-TERM", "-xf", "sleep 1000092"], check=True)
    assert first.wait(timeout=30) == 128 + 15
    assert eventually(lambda: data(lab, "ls", "--json") == [])


def test_a_name_that_was_given_is_taken_or_refused_as_before(lab: Lab) -> None:
    first = up(lab, "none", "--name", "none")
    assert up(lab, "none", "--name", "none") == first.rstrip("\n") + " (already)\n"
    done = lab.nsctl("run", "none", "--name", "none", "--", "true")
    assert (done.returncode, done.stderr) == (
        125,
        "nsctl: 'none' is up already\nhint: use another --name, or leave it out\n",
    )
