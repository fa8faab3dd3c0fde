"""Plugins that review and observe, and those that are broken."""

from __future__ import annotations

import json

import pytest

from tests.lab import Lab, assert_back, assert_same, snapshot
from tests.system.plugins import Environment

VETO = """\
from nsctl import hookimpl

@hookimpl
def nsctl_review(plan):
    if plan.options.get("internal") is False:
        return f"{plan.name}: only internal networks here"
"""
WATCH = """\
from nsctl import hookimpl

@hookimpl
def nsctl_event(event):
    with open("/run/events", "a") as file:
        print(type(event).__name__, event.sandbox, getattr(getattr(event, "step", None), "key", ""), file=file)
"""
SHARED = """\
from dataclasses import dataclass
from nsctl import Mode, hookimpl, kit

@dataclass(frozen=True)
class Options:
    pass

def steps(request, facts):
    yield kit.bridge("shared0")
    yield kit.address("shared0", "10.66.7.1/24")
    yield kit.command("rule/x", "mark", ("iptables", "-w", "-A", "FORWARD", "-i", "shared0", "-j", "DROP"),
                      undo=(("iptables", "-w", "-D", "FORWARD", "-i", "shared0", "-j", "DROP"),))
    yield kit.netns(request.name)

@hookimpl
def nsctl_modes():
    return [Mode("shared", "a bridge of all", Options, steps)]
"""
MODE = """\
from dataclasses import dataclass
from nsctl import Command, Mode, Step, hookimpl, kit

@dataclass(frozen=True)
class Options:
    pass

def steps(request, facts):
    yield kit.netns(request.name)
    {body}

@hookimpl
def nsctl_modes():
    {first}
    return [Mode("{name}", "broken", Options, steps)]
"""


def mode(body: str = "pass", *, first: str = "pass", name: str = "broken") -> str:
    return MODE.format(body=body, first=first, name=name)


def test_a_review_may_refuse_a_plan_with_a_reason(environment: Environment, lab: Lab) -> None:
    before = snapshot(lab)
    with environment.plugin("policy", VETO):
        for args in (("up", "bridge", "--name", "web"), ("up", "bridge", "--name", "web", "--dry-run")):
            done = environment.nsctl(lab, *args)
            assert (done.returncode, done.stdout) == (2, "")
            line = "nsctl: the plugin policy:policy refuses the plan for 'web': web: only internal networks here"
            assert done.stderr.splitlines()[0] == line
        assert_same(before, snapshot(lab))
        assert environment.nsctl(lab, "up", "bridge", "--internal").returncode == 0
        plan = environment.nsctl(lab, "up", "none", "--dry-run", "--format", "json").stdout
        lab.write("/run/plan.json", plan.replace('"options": {}', '"options": {"internal": false}'))
        assert environment.nsctl(lab, "apply", "/run/plan.json").returncode == 2


def test_an_observer_hears_every_event(environment: Environment, lab: Lab) -> None:
    with environment.plugin("watch", WATCH):
        environment.nsctl(lab, "up", "none", "--name", "web")
        heard = [line.split() for line in lab.read("/run/events").splitlines()]
        assert heard[0] == ["PlanStarted", "web"]
        assert heard[-1] == ["PlanFinished", "web"]
        assert ["StepStarted", "web", "netns/web"] in heard
        assert ["StepDone", "web", "init/web"] in heard
        environment.nsctl(lab, "down", "web")
        assert ["StepUndone", "web", "netns/web"] in [line.split() for line in lab.read("/run/events").splitlines()]


def test_an_observer_that_fails_stops_nothing_but_itself(environment: Environment, lab: Lab) -> None:
    source = WATCH + '    if type(event).__name__ == "StepDone":\n        raise SystemExit(9)\n'
    with environment.plugin("watch", source):
        done = environment.nsctl(lab, "up", "none")
        assert (done.returncode, done.stdout) == (0, "none is up: a network of its own, without an address\n")
        assert "warning: the plugin watch:watch failed while watching" in done.stderr
        assert lab.read("/run/events").count("StepDone") == 1


def test_an_observer_that_fails_at_the_start_stops_the_change(environment: Environment, lab: Lab) -> None:
    with environment.plugin("watch", WATCH + '    raise OSError("no space for events")\n'):
        before = snapshot(lab)
        done = environment.nsctl(lab, "up", "none")
        assert done.returncode == 2
        assert "the plugin watch:watch stopped the change: OSError: no space for events" in done.stderr
        lab.run(["rm", "/run/events"])
        assert_same(before, snapshot(lab))


def test_steps_of_a_plugin_are_shared_by_their_keys(environment: Environment, lab: Lab) -> None:
    before = snapshot(lab)
    with environment.plugin("shared", SHARED):
        for name in ("a", "b"):
            assert environment.nsctl(lab, "up", "shared", "--name", name).returncode == 0
        assert lab.run(["iptables", "-S", "FORWARD"]).stdout.count("shared0") == 1
        environment.nsctl(lab, "down", "a")
        assert "10.66.7.1/24" in lab.run(["ip", "address", "show", "dev", "shared0"]).stdout
    # The last one goes without the plugin.
    assert environment.nsctl(lab, "down", "b").returncode == 0
    assert_back(lab, before)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no good')", "RuntimeError: no good"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("def nsctl_modes(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "it called exit(3)"),
        (mode(first="raise KeyError('x')"), "KeyError"),
        (mode(name="none"), "mode 'none' is there already, from nsctl"),
        (mode(name="Bad Name"), "'Bad Name' is not allowed"),
        (mode().replace("Options, steps", "dict, steps"), "broken|dataclass"),
        (mode(first="return 7"), "TypeError"),
    ],
)
def test_a_broken_plugin_is_a_warning_and_a_row(environment: Environment, lab: Lab, source: str, reason: str) -> None:
    with environment.plugin("broken", source):
        done = environment.nsctl(lab, "up", "none")
        assert (done.returncode, done.stdout) == (0, "none is up: a network of its own, without an address\n")
        (warning,) = done.stderr.splitlines()
        assert warning.startswith("nsctl: warning: the plugin 'broken' of broken is left out: ")
        assert any(word in warning for word in reason.split("|"))
        listed = environment.nsctl(lab, "modes")
        assert listed.returncode == 0
        (row,) = [line for line in listed.stdout.splitlines() if "broken 1.0" in line]
        assert "broken: " in row
        assert environment.nsctl(lab, "down", "none").returncode == 0


def test_what_a_plugin_prints_is_not_among_the_data(environment: Environment, lab: Lab) -> None:
    source = "print('loading')\n" + mode(body="print('planning')", first="print('asked')", name="chatty")
    with environment.plugin("chatty", source):
        plan = environment.nsctl(lab, "up", "chatty", "--dry-run", "--format", "json")
        assert json.loads(plan.stdout)["mode"] == "chatty"
        assert plan.stderr.split() == ["loading", "asked", "planning"]
        json.loads(environment.nsctl(lab, "modes", "--json").stdout)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("yield kit.netns(request.name); yield kit.netns('other'); yield 7", "int|7"),
        ("raise ValueError('no idea')", "mode 'broken' failed while planning: ValueError: no idea"),
        ("import sys; sys.exit(0)", "mode 'broken' failed while planning: SystemExit"),
        (
            "yield Step('netns/' + request.name, 'again', Command(('ip', 'x')), no_undo='so')",
            "two different steps of one key",
        ),
        ("yield Step('x', 'why', Command(()), no_undo='so')", "a command"),
        ("yield Step('x', 'why', Command(('ip', 7)), no_undo='so')", "a word of a command is not text"),
        ("yield Step('x', 'why', Command('ip link'), no_undo='so')", "not a tuple of words"),
        ("yield Step('x', 'why', Command(('/bin/sh', '-c', 'evil')), no_undo='so')", "not the plain name of a tool"),
        ("yield Step('x', 'why', Command(('ip', 'link')))", "it has no undo"),
        ("yield Step('x', 'why', Command(('ip', 'a\\0b')), no_undo='so')", "a word of a command is not text"),
        ("yield kit.netns('Not A Name')", "'Not A Name' is not allowed"),
    ],
)
def test_a_mode_that_plans_nonsense_is_refused_before_anything_is_changed(
    environment: Environment, lab: Lab, body: str, says: str
) -> None:
    before = snapshot(lab)
    with environment.plugin("broken", mode(body)):
        done = environment.nsctl(lab, "up", "broken")
        assert (done.returncode, done.stdout) == (2, ""), done
        assert any(word in done.stderr.splitlines()[0] for word in says.split("|")), done
        assert "Traceback" not in done.stderr
        assert_same(before, snapshot(lab))


def test_a_plugin_that_others_could_have_written_is_not_run_by_root(environment: Environment, lab: Lab) -> None:
    lab.write("/run/plugins/evil_plugin.py", "open('/run/evil', 'w')\n", 0o666)
    lab.write("/run/plugins/evil-1.0.dist-info/entry_points.txt", "[nsctl]\nevil = evil_plugin\n")
    (environment.packages / "evil.pth").write_text("/run/plugins\n", encoding="utf-8")
    try:
        done = environment.nsctl(lab, "up", "none")
    finally:
        (environment.packages / "evil.pth").unlink()
    assert done.returncode == 0
    assert "/run/plugins/evil_plugin.py is writable to others than root" in done.stderr
    assert not lab.exists("/run/evil")
