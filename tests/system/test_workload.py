"""`up … -- CMD`: a command in place of the idle init."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nsctl.engine.model.commands import EXECUTE, NOT_EXECUTED
from tests.lab import Lab, ask_tcp, assert_back, snapshot
from tests.system.support import data, down, eventually, init_of, inside, inspect, said, unchanged, up

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")


def log_of(lab: Lab, name: str) -> str:
    return lab.read(inspect(lab, name)["log"])


def test_a_server_as_workload_is_reached_and_goes_with_down(lab: Lab) -> None:
    with unchanged(lab):
        server = [
            "/usr/bin/python3",
            "-c",
            "import socket; s = socket.create_server(('', 80)); s.accept()[0].send(b'hi'); s.accept()",
        ]
        up(lab, *WEB, "--", *server)
        assert eventually(lambda: ask_tcp(lab, None, "10.0.3.2", 80, timeout=0.2) == b"hi")
        down(lab, "web")


def test_its_output_goes_to_the_log_that_inspect_names(lab: Lab) -> None:
    up(lab, "none", "--", "sh", "-c", "echo out; echo err >&2; pwd; umask; exec sleep 1000")
    assert eventually(lambda: log_of(lab, "none") == "out\nerr\n/\n0022\n")


def test_its_words_are_passed_on_as_they_are(lab: Lab) -> None:
    words = ["a b", "$HOME", "'", "", "--dry-run", "--", "*"]
    up(lab, "none", "--", "sh", "-c", 'printf "<%s>" "$@"; exec sleep 1000', "sh", *words)
    assert eventually(lambda: log_of(lab, "none") == "".join(f"<{word}>" for word in words))
    assert inspect(lab, "none")["command"][-len(words) :] == words


def test_its_environment_is_clean_but_for_what_was_given(lab: Lab) -> None:
    awkward = 'it\'s "$HOME" `x` \\ ünï'
    done = lab.nsctl(
        *("up", "none", "--env", f"GIVEN={awkward}", "--env", "TAKEN", "--", "sh", "-c", "env; exec sleep 1000"),
        env={"TAKEN": "from here", "SECRET": "1", "LD_PRELOAD": ""},
    )
    assert done.returncode == 0, done
    assert eventually(lambda: "GIVEN=" in log_of(lab, "none"))
    found = dict(line.split("=", 1) for line in log_of(lab, "none").splitlines())
    assert found["GIVEN"] == awkward
    assert found["TAKEN"] == "from here"
    assert found.keys() <= {"PATH", "HOME", "LANG", "TERM", "PWD", "SHLVL", "_", "GIVEN", "TAKEN"}


def test_it_runs_beside_its_init_which_reaps(lab: Lab) -> None:
    up(lab, "none", "--", "sh", "-c", "(sleep 0.01 &); exec sleep 1000")
    assert inside(lab, "none", "ps", "-o", "pid=", "-p", "1").split() == ["1"]
    assert eventually(lambda: "<defunct>" not in inside(lab, "none", "ps", "-e", "-o", "args="))
    assert "sleep 1000" in inside(lab, "none", "ps", "-e", "-o", "args=")


@pytest.mark.parametrize("isolate", ["mount,ipc,pid,uts,net", "mount,net", "net"])
def test_when_it_ends_the_sandbox_is_dead_and_can_be_taken_down(lab: Lab, isolate: str) -> None:
    with unchanged(lab):
        up(lab, *WEB, "--isolate", isolate, "--", "sh", "-c", "echo over; sleep 0.5")
        assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
        assert log_of(lab, "web") == "over\n"
        down(lab, "web")


def test_recover_takes_down_a_sandbox_whose_workload_has_ended(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, *WEB, "--", "sleep", "0.5")
        assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
        assert "web" in said(lab, "recover")
        assert data(lab, "ls", "--json") == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_it_does_not_ignore_any_signal(lab: Lab, signum: signal.Signals) -> None:
    up(lab, "none", "--isolate", "pid,net", "--", "sleep", "1000")
    (pid,) = lab.run(["pgrep", "-x", "sleep"], check=True).stdout.split()
    lab.run(["kill", f"-{int(signum)}", pid], check=True)
    assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")


BROKEN = {
    "nosuchprogram": (127, "'nosuchprogram' was not found"),
    "/run/nosuch": (127, "'/run/nosuch' was not found"),
    "/run/bad": (127, "'/run/bad' can't be executed: its interpreter was not found"),
    "/run/plain": (126, "'/run/plain' can't be executed: "),
    "/run": (126, "'/run' can't be executed: "),
    "/run/foreign": (126, "'/run/foreign' can't be executed: "),
}
"""What can't be executed, with the exit status and the words for it."""


def broken(lab: Lab) -> None:
    lab.write("/run/bad", "#!/no/such/interpreter\n", 0o755)
    lab.write("/run/plain", "#!/bin/sh\n", 0o644)
    other = bytearray(Path("/bin/true").read_bytes())
    other[18:20] = (0x2A).to_bytes(2, sys.byteorder)  # EM_SH, which no nsctl has ever run on
    lab.write("/run/foreign", bytes(other), 0o755)


@pytest.mark.parametrize("isolate", ["mount,ipc,pid,uts,net", "mount,net", "net"])
@pytest.mark.parametrize("program", BROKEN)
def test_a_command_that_cannot_be_executed_is_a_failure_and_all_is_undone(lab: Lab, program: str, isolate: str) -> None:
    broken(lab)
    status, says = BROKEN[program]
    before = snapshot(lab)
    done = lab.nsctl("up", "none", "--name", "web", "--isolate", isolate, "--", program, "x")
    assert (done.returncode, done.stdout) == (status, "")
    assert f"(start {program} x in web) failed: {says}" in done.stderr
    assert "everything was undone" in done.stderr
    assert_back(lab, before)


def test_it_is_with_single_commands_too_and_for_a_saved_plan(lab: Lab) -> None:
    before = snapshot(lab)
    words, command = ("up", "none", "--name", "web"), ("--", "nosuchprogram")
    plan = said(lab, *words, "--dry-run", "--format", "json", *command)
    for done in (lab.nsctl(*words, "--no-batch", *command), lab.nsctl("apply", "-", input=plan)):
        assert (done.returncode, done.stdout) == (127, "")
        assert "'nosuchprogram' was not found; everything was undone" in done.stderr
        assert_back(lab, before)


def test_in_a_lab_file_it_is_a_step_that_fails_and_names_the_sandbox(lab: Lab) -> None:
    before = snapshot(lab)
    text = '[sandbox.a]\nmode = "none"\n[sandbox.b]\nmode = "none"\ncommand = ["nosuchprogram"]\n'
    done = lab.nsctl("apply", "-", input=text)
    assert (done.returncode, done.stdout) == (1, "")
    assert "(start nosuchprogram in b) failed: 'nosuchprogram' was not found" in done.stderr
    assert_back(lab, before)


@pytest.mark.parametrize("isolate", ["mount,ipc,pid,uts,net", "mount,net", "net"])
@pytest.mark.parametrize("command", ["exit 127", "exit 126", "exit 0", "nosuchprogram", "kill -KILL $$"])
def test_a_command_that_ran_and_has_ended_is_no_failure_and_not_called_up(lab: Lab, command: str, isolate: str) -> None:
    done = lab.nsctl("up", "none", "--name", "web", "--isolate", isolate, "--", "sh", "-c", command)
    assert (done.returncode, done.stderr) == (0, "")
    if "is up" not in done.stdout:  # it had ended when nsctl looked
        assert done.stdout == "web was made; its command has ended already, see: nsctl logs web\n"
    assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
    down(lab, "web")


def test_that_it_has_ended_is_said(lab: Lab) -> None:
    # A step that comes after it and takes its time: by then `true` is over.
    plan = said(lab, "up", "none", "--dry-run", "--format", "json", "--", "true")
    late = json.loads(plan) | {"mode": "their-own"}
    late["steps"].append(
        {"key": "z", "why": "wait", "do": {"kind": "run", "argv": ["sleep", "0.3"]}, "no_undo": "it only waits"}
    )
    done = lab.nsctl("apply", "-", input=json.dumps(late))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "none was made; its command has ended already, see: nsctl logs none\n"


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_any_shell_tells_what_it_could_not_execute(shell: str, tmp_path: Path) -> None:
    argv = (shell, *(("sh",) if shell == "busybox" else ()), "-c", EXECUTE, "init")
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")

    def run(*command: str) -> tuple[int, str]:
        done = subprocess.run([*argv, *command], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    (tmp_path / "plain").write_text("")
    for program, status in (("nosuchprogram", 127), (str(tmp_path / "none"), 127), (str(tmp_path / "plain"), 126)):
        found, stderr = run(program)
        assert (found, stderr.splitlines()[-1]) == (status, f"{NOT_EXECUTED}{status}")
    assert run("sh", "-c", "exit 127") == (127, "")


def test_it_may_only_do_what_a_sandbox_may(lab: Lab) -> None:
    up(lab, "none", "--", "sh", "-c", "grep -E 'CapBnd|NoNewPrivs' /proc/self/status; exec sleep 1000")
    assert eventually(lambda: "NoNewPrivs:\t1" in log_of(lab, "none"))
    (bounding,) = [int(line.split()[1], 16) for line in log_of(lab, "none").splitlines() if "CapBnd" in line]
    sys_admin, net_admin = 21, 12
    assert not bounding >> sys_admin & 1
    assert bounding >> net_admin & 1


def test_it_does_not_hold_the_lock_or_any_file_of_nsctls(lab: Lab) -> None:
    up(lab, "none", "--", "sleep", "1000")
    pid = init_of(lab, "none")
    assert lab.run(["ls", f"/proc/{pid}/fd"]).stdout.split() == ["0", "1", "2"]
    (child,) = lab.run(["pgrep", "-x", "sleep"], check=True).stdout.split()
    assert lab.run(["ls", f"/proc/{child}/fd"]).stdout.split() == ["0", "1", "2"]
    assert lab.run(["readlink", f"/proc/{child}/fd/0"]).stdout == "/dev/null\n"
