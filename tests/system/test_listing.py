"""What is shown: `ls`, `inspect`, `log`, `modes`, `--version`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import nsctl
from tests.lab import Lab, nsctl_argv
from tests.system.support import data, down, init_of, inside, refused, said, terminal, up

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")


def test_ls_is_a_table_of_name_mode_address_network_init_state_and_age(lab: Lab) -> None:
    up(lab, *WEB)
    up(lab, "none", "--isolate", "net")
    header, none, web = said(lab, "ls").splitlines()
    assert header.split() == ["NAME", "MODE", "ADDRESS", "NETWORK", "PID", "STATE", "AGE"]
    assert re.fullmatch(r"none\s+none\s+-\s+-\s+-\s+up\s+\d+s", none)
    assert re.fullmatch(rf"web\s+bridge\s+10\.0\.3\.2/24\s+nsbr0\s+{init_of(lab, 'web')}\s+up\s+\d+s", web)
    assert header.index("STATE") == web.index(" up ") + 1


def test_without_sandboxes_ls_prints_no_data(lab: Lab) -> None:
    done = lab.nsctl("ls", check=True)
    assert done.stdout == ""
    assert "nsctl up" in done.stderr
    assert data(lab, "ls", "--json") == []


def test_ls_as_json_says_the_same(lab: Lab) -> None:
    up(lab, *WEB)
    (found,) = data(lab, "ls", "--json")
    assert found.pop("age_seconds") < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.pop("created"))
    assert found == {
        "name": "web",
        "mode": "bridge",
        "addresses": ["10.0.3.2/24"],
        "network": "nsbr0",
        "bridge": "nsbr0",
        "pid": init_of(lab, "web"),
        "state": "up",
    }


def test_inspect_tells_everything_that_is_known(lab: Lab) -> None:
    up(lab, *WEB, "--mtu", "1400", "--env", "SECRET=value", "--", "sleep", "1000")
    found = data(lab, "inspect", "-v", "web")
    assert (found["name"], found["mode"], found["gateway"], found["network"]) == ("web", "bridge", "10.0.3.1", "nsbr0")
    assert found["options"]["mtu"] == 1400
    assert found["command"] == ["sleep", "1000"]
    assert found["isolate"] == ["mount", "ipc", "pid", "uts", "net"]
    assert found["settings"]["env"] == ["SECRET"]
    assert found["log"] == "/run/nsctl/sandboxes/web/init.log"
    (eth0,) = found["attachments"]
    assert eth0 == {
        "name": "web/eth0",
        "interface": "eth0",
        "mode": "bridge",
        "options": found["options"],
        "addresses": ["10.0.3.2/24"],
        "gateway": "10.0.3.1",
        "network": "nsbr0",
        "bridge": "nsbr0",
        "mac": json.loads(inside(lab, "web", "ip", "-j", "link", "show", "dev", "eth0"))[0]["address"],
    }
    up(lab, "container", "--name", "probe", "--target", "web")
    assert data(lab, "inspect", "probe")["attachments"] == [eth0]
    up(lab, "none", "--name", "alone")
    assert data(lab, "inspect", "alone")["attachments"] == []
    assert {step["state"] for step in found["steps"]} == {"done"}
    steps = [step for step in found["steps"] if not step["key"].startswith("claim/")]
    assert all(step.get("undo") or step.get("removed_with") or step.get("no_undo") for step in steps)
    assert "value" not in json.dumps(found["settings"])
    refused(lab, "inspect", "wep", says="there is no sandbox 'wep'", hint="did you mean 'web'")


def records(lab: Lab, *args: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said(lab, "log", "--json", *args).splitlines()]


def test_the_log_tells_who_did_what_with_which_commands_and_what_came_of_it(lab: Lab) -> None:
    up(lab, "none", "--name", "web")
    down(lab, "web")
    lines = said(lab, "log").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z  web  ", line) for line in lines)
    told = [line.split("  ", 2)[2] for line in lines]
    assert re.fullmatch(r"plan started  up none, \d steps, by uid 0", told[0])
    assert any(line.startswith("step done  ip netns add web  (") for line in told)
    assert "plan finished  up: done" in told
    assert any(line.startswith("step undone  netns/web: ") for line in told)
    assert told[-1] == "plan finished  down: done"


def test_the_log_as_json_is_the_records_as_they_are(lab: Lab) -> None:
    up(lab, "none")
    assert said(lab, "log", "--json") == lab.read("/var/log/nsctl/audit.jsonl")
    first, *_, last = records(lab)
    assert (first["event"], first["sandbox"], first["operation"], first["uid"]) == ("plan_started", "none", "up", 0)
    assert (last["event"], last["outcome"]) == ("plan_finished", "done")
    assert [record["seq"] for record in records(lab)] == list(range(1, len(records(lab)) + 1))
    assert {record["transaction"] for record in records(lab)} == {first["transaction"]}


def test_a_failing_step_is_in_the_log_with_what_the_tool_said(lab: Lab) -> None:
    lab.run(["ip", "netns", "add", "other"], check=True)
    plan = json.loads(said(lab, "up", "none", "--name", "web", "--dry-run", "--format", "json"))
    plan["steps"][0]["do"]["words"] = ["other"]
    lab.write("/run/plan.json", json.dumps(plan))
    assert lab.nsctl("apply", "/run/plan.json").returncode == 1
    (failed,) = [record for record in records(lab) if record["event"] == "step_failed"]
    assert failed["argv"] == ["ip", "netns", "add", "other"]
    assert failed["rc"] == 1
    assert "File exists" in failed["stderr"]
    assert records(lab)[-1]["outcome"] == "undone"


def test_the_log_of_one_sandbox_is_only_of_that_one(lab: Lab) -> None:
    up(lab, "none", "--name", "web")
    up(lab, "none", "--name", "db")
    assert {record["sandbox"] for record in records(lab, "web")} == {"web"}
    assert {record["sandbox"] for record in records(lab)} == {"web", "db"}
    down(lab, "--all")
    assert records(lab, "db")[-1]["event"] == "plan_finished"


def test_the_log_can_be_followed(lab: Lab) -> None:
    child = lab.nsctl_popen("log", "--follow", "web")  # before there is one
    up(lab, "none", "--name", "db")
    up(lab, "none", "--name", "web")
    down(lab, "web")
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(3)]
    assert all("  web  " in line for line in told)
    assert "plan started" in told[0]
    while "down: done" not in (line := child.stdout.readline()):
        assert "  web  " in line
    child.terminate()
    child.wait(10)


def test_a_reader_of_the_log_that_goes_away_is_no_error(lab: Lab) -> None:
    up(lab, *WEB)
    pipe = ["bash", "-c", '"$@" | head -n 1; echo ${PIPESTATUS[0]}', "bash"]
    done = lab.run([*pipe, *nsctl_argv("log", "--json")])
    assert done.stdout.splitlines()[-1] in {"0", "141"}
    assert done.stderr == ""


def test_the_trail_is_verified_and_a_change_in_it_is_found(lab: Lab) -> None:
    up(lab, "none")
    assert re.fullmatch(r"the trail is whole: \d+ records\n", said(lab, "log", "--verify"))
    trail = lab.read("/var/log/nsctl/audit.jsonl")
    lab.write("/var/log/nsctl/audit.jsonl", trail.replace('"none"', '"nine"', 1))
    assert lab.nsctl("log", "--verify").returncode == 4


def test_a_change_whose_record_can_not_be_written_does_not_start(lab: Lab) -> None:
    lab.write("/var/log/nsctl", "a file in the way")
    refused(lab, "up", "none", says="audit", hint="")
    lab.run(["rm", "/var/log/nsctl"])
    up(lab, "none")
    lab.run(["mv", "/var/log/nsctl", "/var/log/away"])
    lab.write("/var/log/nsctl", "a file in the way")
    done = lab.nsctl("down", "none")  # what undoes is never stopped
    assert (done.returncode, done.stdout) == (0, "none is down\n")
    assert "warning" in done.stderr


def test_state_and_trail_are_where_the_environment_says(lab: Lab) -> None:
    env = {"NSCTL_STATE_DIR": "/run/elsewhere/state", "NSCTL_AUDIT_LOG": "/run/elsewhere/trail.jsonl"}
    lab.nsctl("up", "none", env=env, check=True)
    assert lab.nsctl("ls", env=env).stdout.count("\n") == 2
    assert lab.nsctl("exec", "none", "--", "hostname", env=env).stdout == "none\n"
    assert lab.exists("/run/elsewhere/trail.jsonl")
    assert not lab.exists("/run/nsctl/state.db")
    assert not lab.exists("/var/log/nsctl")
    lab.nsctl("down", "none", env=env, check=True)
    refused(lab, "ls", env={"NSCTL_STATE_DIR": "relative"}, says="NSCTL_STATE_DIR is 'relative'", hint="/run/nsctl")


def test_modes_lists_all_with_the_package_each_came_from(lab: Lab) -> None:
    header, *rows = said(lab, "modes").splitlines()
    assert header.split()[:2] == ["MODE", "PACKAGE"]
    assert [row.split()[:3] for row in rows if " nsctl " in row] == [
        [name, "nsctl", nsctl.__version__] for name in sorted(("bridge", "container", "host", "none"))
    ]
    listed = {found["name"]: found for found in data(lab, "modes", "--json")}
    assert listed["bridge"]["package"] == "nsctl"


@pytest.mark.parametrize("mode", ["none", "host", "bridge", "container"])
def test_a_mode_is_shown_with_its_options_and_an_example(lab: Lab, mode: str) -> None:
    page, found = said(lab, "modes", mode), data(lab, "modes", mode, "--json")
    assert page.startswith(f"{mode} - {found['summary']}\n")
    assert f"\nexample: nsctl {found['example'].removeprefix('nsctl ')}" in page
    shown = said(lab, "up", mode, "--help")
    for option in found["options"]:
        assert option["flag"] in page
        assert option["flag"] in shown
        assert option["help"].split()[0] in page


def test_the_version_is_told(lab: Lab) -> None:
    assert said(lab, "--version") == f"nsctl {nsctl.__version__}\n"


def test_colour_and_progress_are_for_terminals_only(lab: Lab) -> None:
    done = lab.nsctl("up", *WEB)
    assert "\x1b" not in done.stdout + done.stderr
    with terminal(lab, "env", "NO_COLOR=1", *nsctl_argv("up", "none", "--name", "plain"), term="xterm") as screen:
        assert screen.end() == 0
        assert "\x1b[3" not in screen.screen
        assert "plain is up: " in screen.screen
    with terminal(lab, *nsctl_argv("up", "none", "--name", "other"), term="xterm") as screen:
        assert screen.end() == 0
        assert "other is up: " in screen.screen
