"""
`up … -- CMD`: a command in place of the idle init.
"""

from __future__ import annotations

import signal

import pytest

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


def test_a_command_that_is_not_there_leaves_a_dead_sandbox_and_a_line_in_its_log(lab: Lab) -> None:
    before = snapshot(lab)
    done = lab.nsctl("up", "none", "--", "no-such-command")
    if done.returncode == 0:
        assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
        assert "not found" in log_of(lab, "none")
        down(lab, "none")
    assert done.returncode in {0, 1}
    assert_back(lab, before)


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
