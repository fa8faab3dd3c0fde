"""A command runs once, whoever dies, stops or lies when; and if not by the resident process, then without it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import Lab, diff, full, snapshot
from tests.resident.support import COLD, server_of, why_not
from tests.system.support import eventually, said, unchanged

pytestmark = pytest.mark.system

ONCE = ("up", "none", "--name", "once", "--isolate", "net")
FAKE = Path(__file__).with_name("fake.py")


def _is_up(lab: Lab) -> bool:
    return lab.nsctl("ls", "--quiet", env=COLD, check=True).stdout == "once\n"


@pytest.mark.parametrize(
    ("what", "status", "ran_here"),
    [
        ("never accepts", 0, True),
        ("closes", 0, True),
        ("is silent", 0, True),
        ("greets and is silent", 0, True),
        ("refuses", 0, True),
        ("babbles", 0, True),
        ("says that it has ended, without having begun", 0, True),
        ("wants it too late", 0, True),
        ("begins", 7, False),
        ("begins and is gone", -signal.SIGKILL, False),
        ("begins and babbles", -signal.SIGKILL, False),
        ("begins and says so late", 7, False),
        ("begins, and is killed by TERM", -signal.SIGTERM, False),
        ("begins, says so, and is gone", -signal.SIGKILL, False),
    ],
)
def test_whatever_the_server_does_it_runs_once(lab: Lab, what: str, status: int, ran_here: bool) -> None:  # noqa: FBT001
    lab.nsctl("recover", check=True)  # there is a directory of nsctl's
    fake = lab.popen([sys.executable, "-I", str(FAKE), what])
    assert fake.stdout is not None
    assert fake.stdout.readline() == "listens\n"
    done = lab.nsctl(*ONCE)
    assert (done.returncode, done.stderr) == (status, ""), done
    assert _is_up(lab) == ran_here
    if what == "wants it too late":
        assert fake.stdout.readline() == "had it not\n"
    fake.kill()


KILLED_AT = [
    "setsid:1 fcntl:1 recvmsg:1 getsockopt:1 pidfd_open:1 prlimit64:5 fchdir:1 dup2:2 rt_sigprocmask:1".split(),
    "fcntl:3 fcntl:9 poll:2 sendmsg:1 sendto:1 exit_group:1 mkdir:1 unlink:1 pwrite64:3 fsync:1".split(),
]


@pytest.mark.parametrize("moments", KILLED_AT, ids=["before", "after"])
def test_killed_at_any_moment_it_runs_once_or_is_undone(host: Lab, moments: list[str]) -> None:
    before = snapshot(host)
    ends = set()
    for moment in moments:
        call, when = moment.split(":")
        words = ["-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}"]
        tracer = host.popen(["strace", *words, "-p", str(server_of(host))])
        assert eventually(lambda: "TracerPid:\t0\n" not in host.read(f"/proc/{server_of(host)}/status"))
        done = host.nsctl(*ONCE)
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=20)
        told = f"killed at {moment}: {done}"
        if done.returncode == 1:  # a tool was killed, which is traced, too
            assert done.stderr.endswith("; everything was undone\n"), told
        else:
            assert done.returncode in {0, -signal.SIGKILL}, told
        ends.add(done.returncode)
        if done.returncode == 0:
            assert done.stderr == "", told
            assert _is_up(host), told
            host.nsctl("down", "once", env=COLD, check=True)
        else:
            host.nsctl("recover", env=COLD, check=True)
        assert [line for line in diff(before, snapshot(host)) if "cli.resident" not in line] == [], told
        if host.nsctl("resident", "status").returncode != 0:  # a call that the server makes, too
            host.nsctl("resident", "start", check=True)
    assert ends


def test_a_server_that_is_stopped_is_waited_for_a_moment_and_begins_nothing_later(host: Lab) -> None:
    server = str(server_of(host))
    host.run(["kill", "-STOP", server], check=True)
    assert host.nsctl(*ONCE, check=True).stderr == ""
    said(host, "down", "once")
    host.run(["kill", "-CONT", server], check=True)
    assert why_not(host) == ""
    assert not _is_up(host)


def test_a_killed_server_is_no_obstacle_and_another_one_can_be_started(host: Lab) -> None:
    host.run(["kill", "-KILL", str(server_of(host))], check=True)
    assert host.nsctl(*ONCE, check=True).stderr == ""
    assert host.nsctl("resident", "status").returncode == 4
    host.nsctl("resident", "start", check=True)
    assert why_not(host, "down", "once") == ""


def test_there_is_one_at_a_time(host: Lab) -> None:
    done = host.nsctl("resident", "start")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        f"nsctl: a resident process (PID {server_of(host)}) runs already",
    )


def test_many_at_once_all_come_to_be_and_go(host: Lab) -> None:
    with unchanged(host):
        for verb in (("up", "none", "--isolate", "net", "--name"), ("down",)):
            children = [host.nsctl_popen(*verb, f"s{n}") for n in range(50)]
            for child in children:
                assert _end(child) == 0
        assert why_not(host) == ""


def _end(child: subprocess.Popen[str]) -> int:
    _, errors = child.communicate(timeout=300)
    assert errors == ""
    return child.returncode


def test_where_no_byte_is_free_it_runs_what_is_asked(host: Lab) -> None:
    assert host.nsctl(*ONCE, check=True).stderr == ""
    with full(host):
        assert why_not(host) == ""
        assert host.nsctl("down", "once", check=True).stderr == ""
        host.nsctl("resident", "stop", check=True)
        host.nsctl("resident", "start")
        assert host.nsctl("ls", check=True).returncode == 0


def test_who_has_too_many_open_files_runs_his_command_himself(host: Lab) -> None:
    opens = " ".join(f"{n}<&0" for n in range(10, 80))
    script = f'exec {opens}; exec "$@"'
    assert why_not(host, prefix=["bash", "-c", script, "bash"]) == "too many files are open"
