"""A mode of somebody else's: one file, packaged, installed by pip beside nsctl, and used."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import nsctl
from tests.lab import Lab, assert_back, assert_same, canaries_alive, plant_canaries, shim, snapshot
from tests.system.plugins import Environment

PAIR = """\
from dataclasses import dataclass
from ipaddress import IPv4Interface
from nsctl import Mode, hookimpl, kit, opt

@dataclass(frozen=True, kw_only=True)
class Options:
    address: IPv4Interface = opt(IPv4Interface("10.66.0.2/30"), "address inside")

def steps(request, facts):
    name, o = request.name, request.options
    yield kit.netns(name)
    yield kit.veth("pair0", peer="eth0", netns=name)
    yield kit.link_up("pair0")
    yield kit.address("eth0", o.address, netns=name)
    yield kit.link_up("eth0", netns=name)

@hookimpl
def nsctl_modes():
    return [Mode("pair", "a veth pair, nothing else", Options, steps)]
"""


@pytest.fixture(scope="module")
def pair(environment: Environment) -> Iterator[Environment]:
    """The environment with the plugin."""
    environment.install(environment.package("nsctl-pair", "nsctl_pair", PAIR, "pair"))
    yield environment
    environment.uninstall("nsctl-pair")


def said(pair: Environment, lab: Lab, *args: str) -> str:
    done = pair.nsctl(lab, *args)
    assert (done.returncode, done.stderr) == (0, ""), f"nsctl {' '.join(args)}: {done}"
    return done.stdout


def test_it_is_listed_with_its_package_beside_nsctls_own(pair: Environment, lab: Lab) -> None:
    rows = [line.split(None, 3) for line in said(pair, lab, "modes").splitlines()]
    assert ["pair", "nsctl-pair", "1.0", "a veth pair, nothing else"] in rows
    assert ["none", "nsctl", nsctl.__version__] in [row[:3] for row in rows]
    found = json.loads(said(pair, lab, "modes", "pair", "--json"))
    assert [(o["flag"], o["default"], o["help"]) for o in found["options"]] == [
        ("--address", "10.66.0.2/30", "address inside")
    ]


def test_its_help_shows_its_option_with_type_and_default(pair: Environment, lab: Lab) -> None:
    shown = said(pair, lab, "up", "pair", "--help")
    assert "A veth pair, nothing else." in shown
    (option,) = [line for line in shown.splitlines() if "--address" in line]
    assert option.split(None, 2)[1:] == ["ADDRESS/PREFIX", "address inside [default: 10.66.0.2/30]"]


def test_its_dry_run_changes_nothing_and_runs_as_a_script(pair: Environment, lab: Lab) -> None:
    before = snapshot(lab)
    text = said(pair, lab, "up", "pair", "--dry-run")
    assert "ip link add dev pair0 address " in text
    assert "ip -n pair addr add 10.66.0.2/30 brd + dev eth0" in text
    script = said(pair, lab, "up", "pair", "--dry-run", "--format", "sh")
    assert_same(before, snapshot(lab))
    lab.write("/var/log/plan.sh", script)
    lab.run(["sh", "/var/log/plan.sh"], check=True)
    assert "10.66.0.2/30" in lab.run(["ip", "-n", "pair", "address"]).stdout
    lab.run(["sh", "/var/log/plan.sh", "down"], check=True)
    assert_back(lab, before)


def test_it_is_built_used_and_taken_down_without_a_trace(pair: Environment, lab: Lab) -> None:
    canaries = plant_canaries(lab)
    before = snapshot(lab)
    assert said(pair, lab, "up", "pair", "--address", "10.66.1.2/24") == "pair is up: 10.66.1.2/24\n"
    assert said(pair, lab, "up", "pair", "--name", "pair", "--address", "10.66.1.2/24") == (
        "pair is up: 10.66.1.2/24 (already)\n"
    )
    lab.run(["ip", "-batch", "-"], input="addr add 10.66.1.1/24 dev pair0\n", check=True)
    assert "1 received" in lab.run(["ping", "-c", "1", "-W", "2", "10.66.1.2"]).stdout
    assert said(pair, lab, "exec", "pair", "--", "hostname") == "pair\n"
    said(pair, lab, "check")
    said(pair, lab, "down", "pair")
    assert_back(lab, before)
    canaries_alive(lab, canaries)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "one by one"])
def test_it_is_undone_whichever_of_its_steps_fails(pair: Environment, lab: Lab, *, fuse: bool) -> None:
    wanted = ("up", "pair", *(() if fuse else ("--no-batch",)))
    before = snapshot(lab)
    shims = shim(lab, ("ip", "unshare"))
    said(pair, lab, *wanted)
    calls = len(shims.calls)
    said(pair, lab, "down", "pair")
    assert calls >= (2 if fuse else 5)
    for number in range(1, calls + 1):
        # Not after acting: which of two that run at once is the init, which acts until it ends, may change.
        shims.plan({number: "fail-before"})
        done = pair.nsctl(lab, *wanted)
        assert (done.returncode, done.stdout) == (1, "")
        assert shims.injected
        assert_back(lab, before)


@pytest.mark.parametrize("isolate", ["net", "mount,net", "pid,uts,net"])
def test_its_sandbox_gets_the_namespaces_that_are_asked_for(pair: Environment, lab: Lab, isolate: str) -> None:
    before = snapshot(lab)
    said(pair, lab, "up", "pair", "--isolate", isolate)
    assert ("init/pair" in said(pair, lab, "inspect", "pair")) == (isolate != "net")
    assert "10.66.0.2/30" in said(pair, lab, "exec", "pair", "--", "ip", "address")
    assert said(pair, lab, "exec", "pair", "--", "hostname") == ("pair\n" if "uts" in isolate else "lab\n")
    said(pair, lab, "down", "pair")
    assert_back(lab, before)
    done = pair.nsctl(lab, "up", "pair", "--isolate", "pid")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "nsctl: mode 'pair' needs a network namespace")


def test_its_network_is_shared_as_any_other(pair: Environment, lab: Lab) -> None:
    before = snapshot(lab)
    said(pair, lab, "up", "pair")
    assert (
        said(pair, lab, "up", "container", "--target", "pair") == "container is up: 10.66.0.2/30, the network of pair\n"
    )
    assert pair.nsctl(lab, "down", "pair").returncode == 2
    said(pair, lab, "down", "pair", "--force")
    assert_back(lab, before)


def test_a_second_sandbox_that_needs_another_pair_of_that_name_is_refused(pair: Environment, lab: Lab) -> None:
    said(pair, lab, "up", "pair")
    before = snapshot(lab)
    done = pair.nsctl(lab, "up", "pair", "--name", "second")
    assert done.returncode == 2
    assert "link/pair0" in done.stderr
    assert_back(lab, before)


def test_the_audit_trail_names_its_package(pair: Environment, lab: Lab) -> None:
    said(pair, lab, "up", "pair")
    records = [json.loads(line) for line in said(pair, lab, "log", "--json", "pair").splitlines()]
    assert records[0]["plugin"] == "nsctl-pair 1.0"
    assert "netns/pair" in [record.get("step") for record in records if record["event"] == "step_done"]


def test_what_it_is_given_is_checked(pair: Environment, lab: Lab) -> None:
    for option, says in [("10.66.0.2/33", "10.66.0.2/33"), ("web", "'web'"), ("fd00::2/64", "fd00::2/64")]:
        done = pair.nsctl(lab, "up", "pair", "--address", option)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr.splitlines()[0]
        assert "hint: " in done.stderr


def test_its_sandboxes_are_taken_down_by_an_nsctl_that_does_not_have_it(pair: Environment, lab: Lab) -> None:
    before = snapshot(lab)
    said(pair, lab, "up", "pair")
    assert lab.nsctl("up", "pair").returncode == 2  # that of the tests has no such mode
    assert lab.nsctl("check").returncode == 0
    lab.nsctl("down", "pair", check=True)
    assert_back(lab, before)
