from __future__ import annotations

import json
import signal

import pytest

from tests.lab import Lab, assert_back, nsctl_argv, shim, snapshot
from tests.system.support import SOON, data, eventually, refused, said, terminal, unchanged, up

RUN = ("run", "bridge", "--name", "web", "--subnet", "10.0.3.0/24")


def test_the_output_is_the_commands_and_nothing_else(lab: Lab) -> None:
    with unchanged(lab):
        done = lab.nsctl("run", "none", "--", "sh", "-c", "echo out; echo err >&2")
        assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")


def test_the_sandbox_is_as_with_up(lab: Lab) -> None:
    with unchanged(lab):
        seen = said(
            lab, *RUN, "--", "sh", "-c", "hostname; ip -o -4 address show dev eth0; ping -c 1 -W 1 10.0.3.1; ps -e"
        )
    assert seen.startswith("web\n")
    assert " 10.0.3.2/24 " in seen
    assert "1 received" in seen
    assert seen.split("CMD\n")[1].split()[0] == "1"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        (["/etc/hosts"], 126),
        (["no-such-command"], 127),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_exit_status_is_the_commands(lab: Lab, command: list[str], status: int) -> None:
    with unchanged(lab):
        assert lab.nsctl("run", "none", "--", *command).returncode == status


def test_125_says_that_nsctl_itself_failed(lab: Lab) -> None:
    shims = shim(lab, "unshare", {"*": "fail-before"})
    before = snapshot(lab)
    done = lab.nsctl(*RUN, "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("nsctl: step ")
    assert shims.injected
    assert_back(lab, before)


@pytest.mark.parametrize("args", [("none",), ("none", "--name", "Web", "--", "true"), ("nope", "--", "true")])
def test_125_says_too_that_nsctl_refused(lab: Lab, args: tuple[str, ...]) -> None:
    with unchanged(lab):
        done = lab.nsctl("run", *args)
        assert done.returncode == 125
        assert done.stderr.startswith("nsctl: ")
        assert done.stdout == ""


def test_a_name_that_is_up_already_is_refused_and_left_alone(lab: Lab) -> None:
    up(lab, "none")
    with unchanged(lab):
        done = lab.nsctl("run", "none", "--name", "none", "--", "true")
        assert (done.returncode, done.stderr.splitlines()[0]) == (125, "nsctl: 'none' is up already")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_is_the_commands(lab: Lab, signum: signal.Signals) -> None:
    with unchanged(lab):
        child = lab.nsctl_popen("run", "none", "--", "sh", "-c", "echo ready; exec sleep 1000")
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signum)
        assert child.wait(SOON) == 128 + signum


def test_a_command_may_handle_a_signal_and_go_on(lab: Lab) -> None:
    with unchanged(lab):
        script = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
        child = lab.nsctl_popen("run", "none", "--", "sh", "-c", script)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        assert child.stdout.read() == "caught\n"
        assert child.wait(SOON) == 3


def test_stdin_is_a_pipe_to_the_command(lab: Lab) -> None:
    with unchanged(lab):
        many = "".join(f"line {number}\n" for number in range(20_000))
        done = lab.nsctl("run", "none", "--", "cat", input=many)
        assert (done.returncode, done.stdout) == (0, many)


def test_what_the_command_leaves_running_ends_with_it(lab: Lab) -> None:
    with unchanged(lab):
        said(lab, "run", "none", "--", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")


def test_the_command_has_the_terminal_and_its_size(lab: Lab) -> None:
    with (
        unchanged(lab),
        terminal(lab, *nsctl_argv("run", "none", "--", "sh", "-c", "tty; stty size; echo $TERM")) as screen,
    ):
        assert screen.end() == 0
        name, size, term = screen.screen.split("\r\n")[:3]
        assert name.startswith("/dev/pts/")
        assert size == "0 0"
        assert term == "dumb"


def test_interrupting_it_at_the_terminal_ends_the_command_and_cleans_up(lab: Lab) -> None:
    with unchanged(lab), terminal(lab, *nsctl_argv(*RUN, "--", "sh", "-c", "echo ready; exec sleep 1000")) as screen:
        assert screen.shows("ready")
        screen.type("\x03")
        assert screen.end() == 128 + signal.SIGINT


def test_a_command_that_handles_the_interrupt_ends_as_it_likes(lab: Lab) -> None:
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done"
    with unchanged(lab), terminal(lab, *nsctl_argv("run", "none", "--", "sh", "-c", script)) as screen:
        assert screen.shows("ready")
        screen.type("\x03")
        assert screen.end() == 5
        assert screen.screen.count("caught") == 1


def test_a_sandbox_that_runs_is_listed_and_can_be_entered(lab: Lab) -> None:
    with unchanged(lab):
        child = lab.nsctl_popen(*RUN, "--", "sh", "-c", "echo ready; read line; echo $line", stdin=-1)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        (found,) = data(lab, "ls", "--json")
        assert (found["name"], found["state"]) == ("web", "up")
        assert said(lab, "exec", "web", "--", "hostname") == "web\n"
        assert child.communicate("over\n", SOON)[0] == "over\n"


def test_when_nsctl_is_killed_the_next_command_takes_the_sandbox_down(lab: Lab) -> None:
    with unchanged(lab):
        child = lab.nsctl_popen(*RUN, "--", "sh", "-c", "echo ready; exec sleep 1000")
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.kill()
        child.wait(SOON)
        lab.nsctl("recover", check=True)
        assert data(lab, "ls", "--json") == []
        assert eventually(lambda: lab.run(["pgrep", "-x", "sleep"]).stdout == "")


def test_a_dry_run_shows_the_plan_and_does_nothing(lab: Lab) -> None:
    with unchanged(lab):
        assert json.loads(said(lab, *RUN, "--dry-run", "--format", "json", "--", "true"))["name"] == "web"
    refused(lab, "up", "none", "--format", "json", says="--format says how a dry run is shown", hint="--dry-run")
