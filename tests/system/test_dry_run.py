"""What the dry run shows is what runs: as text, as a script that really runs, as JSON that `apply` takes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import convert

from nsctl.engine.model.commands import AnyCommand, Spawn
from tests.lab import Lab, Snapshot, assert_back, assert_same, shim, snapshot
from tests.system.support import data, down, namespaces, said, unchanged, up

pytestmark = pytest.mark.warm

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
MODES = {
    "none": ("none", "--name", "web"),
    "host": ("host", "--name", "web"),
    "bridge": WEB,
    "container": ("container", "--name", "web", "--target", "target"),
    "net only": ("none", "--name", "web", "--isolate", "net"),
    "workload": ("none", "--name", "web", "--env", "A=it's", "--", "sh", "-c", "echo $A; sleep 1000"),
}


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def wanted(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def show(lab: Lab, wanted: tuple[str, ...], form: str) -> str:
    if "--" in wanted:
        cut = wanted.index("--")
        return said(lab, "up", *wanted[:cut], "--dry-run", "--format", form, *wanted[cut:])
    return said(lab, "up", *wanted, "--dry-run", "--format", form)


def prepare(lab: Lab, wanted: tuple[str, ...]) -> None:
    """What a mode needs to be there, and what the first sandbox of all makes."""
    if "--target" in wanted:
        up(lab, "none", "--name", "target")


def built(lab: Lab) -> Snapshot:
    """The host, without the numbers that no two hosts have in common."""
    sections: dict[str, Any] = dict(snapshot(lab, ifindex=False).sections)
    sections["processes"] = sorted(words.split(" ", 1)[1] for words in sections["processes"])
    sections["processes"] = dict.fromkeys(sections["processes"], "runs")
    sections["namespaces"] = dict.fromkeys(sections["namespaces"], "there")
    own = re.compile(rf"{lab.token}|(?<=net:)\[\d+\]")
    sections["mounts"] = {place: [own.sub("", line) for line in lines] for place, lines in sections["mounts"].items()}
    numbers = ("/init.pid", "/init.mounts", "/plan.sh")
    sections["files"] = {path: what for path, what in sections["files"].items() if not path.endswith(numbers)}
    return Snapshot(sections)


def test_the_script_builds_what_up_builds_and_takes_it_down_again(
    lab_factory: Callable[..., Lab], wanted: tuple[str, ...]
) -> None:
    by_nsctl, by_script = lab_factory(), lab_factory()
    for lab in (by_nsctl, by_script):
        prepare(lab, wanted)
    before = built(by_script)
    script = show(by_script, wanted, "sh")
    assert_same(before, built(by_script))
    up(by_nsctl, *wanted)
    by_script.write("/run/plan.sh", script)
    done = by_script.run(["sh", "/run/plan.sh"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("web is up\n")
    assert_same(built(by_nsctl), built(by_script))
    down = by_script.run(["sh", "/run/plan.sh", "down"])
    assert (down.returncode, down.stderr) == (0, "")
    assert_same(before, built(by_script))


def test_the_script_needs_nothing_of_nsctl_and_only_a_plain_sh(lab: Lab) -> None:
    script = show(lab, WEB, "sh")
    assert script.startswith("#!/bin/sh\n")
    assert not re.search(r"^\s*nsctl |python", script, re.MULTILINE)
    assert lab.run(["bash", "--posix", "-n"], input=script).stderr == ""
    assert lab.run(["dash", "-n"], input=script).stderr == ""


@pytest.mark.parametrize("position", [1, 5, 14, 20, 31, 32])
def test_a_script_whose_step_fails_undoes_what_it_did(lab: Lab, position: int) -> None:
    plan = json.loads(show(lab, WEB, "json"))
    lab.write("/run/plan.sh", show(lab, WEB, "sh"))
    before = snapshot(lab)
    step = convert(changes(plan)[position - 1]["do"], AnyCommand)
    tool = step.tool
    shims = shim(lab, tool)
    lab.run(["sh", "/run/plan.sh"], check=True)
    calls = [index for index, call in enumerate(shims.calls, 1) if _is(call.argv, step, tool)]
    lab.run(["sh", "/run/plan.sh", "down"], check=True)
    assert_back(lab, before)
    shims.plan({calls[0]: "fail-before"})
    done = lab.run(["sh", "/run/plan.sh"])
    assert done.returncode == 1
    assert "undoing what was done" in done.stderr
    assert shims.injected
    assert_back(lab, before)


def changes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps that have a command; claims have none."""
    return [step for step in plan["steps"] if "do" in step]


def _is(argv: tuple[str, ...], step: AnyCommand, tool: str) -> bool:
    return tool == "unshare" or tuple(argv[-len(step.argv) + 1 :]) == step.argv[1:]


def test_the_text_numbers_the_steps_with_reason_command_and_undo(lab: Lab) -> None:
    text, plan = show(lab, WEB, "text"), json.loads(show(lab, WEB, "json"))
    claims = [step["why"] for step in plan["steps"] if step["key"].startswith("claim/")]
    assert text.splitlines()[: len(claims)] == [f"claims {thing}" for thing in claims]
    assert claims[0] == "10.0.3.2 on nsbr0"
    assert f"\n# claims {', '.join(claims)}\n" in show(lab, WEB, "sh")
    steps = changes(plan)
    numbered = [line.strip() for line in text.splitlines() if line[:2].strip().isdigit() and line[2] == "."]
    assert numbered == [f"{number}. {step['why']}" for number, step in enumerate(steps, 1)]
    assert text.count("undo:") == len(steps)
    for step in steps:
        command = convert(step["do"], AnyCommand)
        if command.netns is None and command.stdin is None and not isinstance(command, Spawn):
            assert f"\n      {shlex.join(command.argv)}\n" in text


def test_what_is_shown_is_to_the_letter_what_the_trail_says_was_run(lab: Lab, wanted: tuple[str, ...]) -> None:
    prepare(lab, wanted)
    plan = json.loads(show(lab, wanted, "json"))
    up(lab, *wanted)
    records = [json.loads(line) for line in said(lab, "log", "--json", "web").splitlines()]
    ran = {record["step"]: record for record in records if record["event"] == "step_done"}
    there = {step["key"] for step in changes(plan)} - ran.keys()
    assert there <= {"dir//run/nsctl/sandboxes"}  # shared
    for step in changes(plan):
        if step["key"] not in there:
            command = convert(step["do"], AnyCommand)
            assert tuple(ran[step["key"]]["argv"]) == command.argv, step["key"]
            assert ran[step["key"]].get("netns") == command.netns


def test_the_json_is_what_apply_takes(lab_factory: Callable[..., Lab], wanted: tuple[str, ...]) -> None:
    by_up, by_apply = lab_factory(), lab_factory()
    for lab in (by_up, by_apply):
        prepare(lab, wanted)
    with unchanged(by_apply):
        by_apply.write("/var/log/plan.json", show(by_apply, wanted, "json"))
        assert said(by_apply, "apply", "/var/log/plan.json") == up(by_up, *wanted)
        assert_same(built(by_up), built(by_apply))
        assert said(by_apply, "up", *wanted).endswith(" (already)\n")
        down(by_apply, "web")


def test_a_step_that_is_in_place_already_is_shown_as_shared_and_left_alone(lab: Lab) -> None:
    up(lab, *WEB)
    before = built(lab)
    second = ("bridge", "--name", "db", "--subnet", "10.0.3.0/24")
    shared = [line for line in show(lab, second, "text").splitlines() if line.endswith("(in place already, shared)")]
    assert any("make the bridge nsbr0" in line for line in shared)
    lab.write("/run/plan.sh", show(lab, second, "sh"))
    lab.run(["sh", "/run/plan.sh"], check=True)
    assert "1 received" in lab.run(["ping", "-c", "1", "-W", "2", "10.0.3.3"]).stdout
    lab.run(["sh", "/run/plan.sh", "down"], check=True)
    assert_same(before, built(lab))


def test_a_dry_run_changes_nothing_whatever_the_form(lab: Lab) -> None:
    with unchanged(lab):
        for form in ("text", "sh", "json"):
            show(lab, WEB, form)
    assert not lab.exists("/run/nsctl")
    assert not lab.exists("/var/log/nsctl")


def test_a_sandbox_from_a_script_is_entered_by_other_tools(lab: Lab) -> None:
    lab.run(["sh"], input=show(lab, WEB, "sh"), check=True)
    pid = lab.read("/run/nsctl/sandboxes/web/init.pid").strip()
    seen = lab.run(["ip", "netns", "exec", "web", "ip", "-br", "address"]).stdout
    assert "10.0.3.2/24" in seen
    assert namespaces(lab, pid)["mnt"] != namespaces(lab)["mnt"]
    assert data(lab, "ls", "--json") == []  # nsctl knows nothing of it
