"""Whom the resident process works for: nobody gets by it what he could not do himself, nor anything else than that."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.lab import ENVIRONMENT, Lab, nsctl_argv
from tests.resident.support import requests, server_of, why_not
from tests.system.support import as_nobody, eventually

pytestmark = pytest.mark.system

LIAR = Path(__file__).with_name("liar.py")


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("unshare --user --map-root-user", "Permission denied"),
        ("unshare --mount", "another namespace (mnt)"),
        ("unshare --net", "another namespace (net)"),
        ("unshare --uts", "another namespace (uts)"),
        ("unshare --ipc", "another namespace (ipc)"),
        ("unshare --cgroup", "another namespace (cgroup)"),
        ("unshare --time", "another namespace (time"),
        ("unshare --pid --fork", ""),
        ("unshare --pid --fork --mount-proc", ""),
        ("setpriv --bounding-set=-net_admin --inh-caps=-net_admin --", "Cap"),
        ("setpriv --bounding-set=-net_admin,-sys_ptrace --", "Permission denied"),
        ("setpriv --bounding-set=-chown --", "Cap"),
        ("setpriv --inh-caps=+chown --ambient-caps=+chown --", "CapInh"),
        ("setpriv --no-new-privs --", "NoNewPrivs"),
        ("setpriv --regid=7 --clear-groups --", "not root"),
        ("setarch -R", "personality"),
        (f"{sys.executable} -I {LIAR.with_name('filtered.py')}", "NoNewPrivs|Seccomp"),
        ("chroot /run/root", "has not shown"),
    ],
)
def test_who_is_elsewhere_or_may_less_is_refused(host: Lab, prefix: str, reason: str) -> None:
    host.run(["sh", "-c", "mkdir /run/root && mount --rbind / /run/root"], check=True)
    why = why_not(host, prefix=prefix.split())
    assert why
    assert any(part in why for part in reason.split("|")), why


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("its own memory", "has not shown"),
        ("another's memory", "has not shown"),
        ("memory that it can't write", "has not shown"),
        ("no memory", "has not shown"),
        ("fewer rights since", "not root"),
        ("a connection of somebody else's", "not who connected"),
        ("a number that was used again", "gone"),
    ],
)
def test_who_lies_is_refused(host: Lab, lie: str, reason: str) -> None:
    before = requests(host)
    done = host.run([sys.executable, "-I", str(LIAR), lie])
    assert eventually(lambda: requests(host) > before + 1)
    assert done.returncode == 0, done
    assert done.stderr == ""
    assert any(part in done.stdout for part in reason.split("|")), done
    assert host.nsctl("ls", "--quiet", check=True).stdout == ""


def test_where_the_kernel_gives_no_descriptor_of_the_peer_its_number_is_pinned(host: Lab) -> None:
    host.nsctl("resident", "stop", check=True)
    script = (
        "import sys; sys.argv[1:] = ['4', '3', '-1']; from nsctl.engine.resident import caller; "
        "caller._SO_PEERPIDFD = 9999; from nsctl.engine.cli.resident import _bound, _only_one; "
        "lock = _only_one(by_systemd=False); from nsctl.engine.cli.resident.__main__ import main; "
        "main(_bound().detach(), lock, -1)"
    )
    host.popen([sys.executable, "-I", "-c", script])
    assert eventually(lambda: host.nsctl("resident", "status").returncode == 0)
    assert why_not(host) == ""
    done = host.run([sys.executable, "-I", str(LIAR), "a connection of somebody else's"])
    assert "not who connected" in done.stdout


def test_nobody_but_root_reaches_it(host: Lab) -> None:
    before = requests(host)
    assert as_nobody(host, "-v", "ls").stderr.startswith("nsctl: ") or True
    script = (
        "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('/run/nsctl/resident.sock')"
    )
    assert "PermissionError" in as_nobody(host, argv=[sys.executable, "-I", "-c", script]).stderr
    assert requests(host) == before + 1


@pytest.mark.parametrize("what", ["directory", "socket"])
def test_a_socket_that_others_could_have_made_is_not_asked(host: Lab, what: str) -> None:
    if what == "directory":
        host.run(["chmod", "0777", "/run/nsctl"], check=True)
    else:
        host.run(["chown", "7", "/run/nsctl/resident.sock"], check=True)
    host.run(["kill", "-STOP", str(server_of(host))], check=True)
    assert "resident" not in host.nsctl("-v", "ls").stderr
    host.run(["kill", "-CONT", str(server_of(host))], check=True)


@pytest.mark.parametrize(
    ("env", "asked"),
    [
        ({"NSCTL_RESIDENT": "no"}, False),
        ({"LD_PRELOAD": ""}, False),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=3"}, False),
        ({"_NSCTL_COMPLETE": "complete_bash"}, False),
        ({"PYTHONHASHSEED": "1"}, True),
        ({"LC_ALL": "C.UTF-8"}, True),
    ],
    ids=str,
)
def test_what_a_process_that_runs_cannot_obey_is_not_asked_of_it(host: Lab, env: dict[str, str], asked: bool) -> None:  # noqa: FBT001
    before = requests(host)
    host.run(nsctl_argv("ls"), env=ENVIRONMENT | env)
    assert requests(host) - before - 1 == asked


@pytest.mark.parametrize("flags", [["-O"], ["-X", "dev"], ["-W", "error"], ["-b"]], ids=str)
def test_another_kind_of_interpreter_is_refused(host: Lab, flags: list[str]) -> None:
    done = host.run([sys.executable, "-I", *flags, "-X", "nsctl=nsctl", "-m", "nsctl", "-v", "ls"], check=True)
    assert "other code, or runs it in another way" in done.stderr


def test_the_word_it_was_called_by_is_the_callers(host: Lab) -> None:
    words = [sys.executable, "-I", "-X", "nsctl=/opt/bin/nsctl", "-m", "nsctl", "ls"]
    by_it, cold = host.run(words), host.run(words, env=ENVIRONMENT | {"NSCTL_RESIDENT": "no"})
    assert (by_it.stdout, by_it.stderr) == (cold.stdout, cold.stderr)
    assert "/opt/bin/nsctl up bridge" in by_it.stdout + by_it.stderr


def test_signals_that_end_it_are_the_servers_own(host: Lab) -> None:
    host.run(["kill", f"-{signal.SIGTERM}", str(server_of(host))], check=True)
    assert eventually(lambda: not host.exists("/run/nsctl/resident.sock"))
    assert host.nsctl("resident", "status").returncode == 4
