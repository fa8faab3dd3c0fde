from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import (
    HOST_ADDRESS,
    INTERNET_ADDRESS,
    Lab,
    assert_same,
    kill_group,
    leftovers,
    snapshot,
)

ROOT = Path(__file__).parents[3]


def _machine() -> tuple[list[tuple[int, str]], list[str], list[str], str]:
    """What the machine shows of its network, its mounts, /run and its name."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return socket.if_nameindex(), mounts, sorted(os.listdir("/run")), socket.gethostname()


def test_a_lab_changes_nothing_on_the_machine(lab_factory: Callable[..., Lab]) -> None:
    before = _machine()
    with lab_factory() as lab:
        lab.run(["ip", "link", "add", "name", "dummy7", "type", "bridge"], check=True)
        lab.run(["ip", "netns", "add", "web"], check=True)
        lab.run(["hostname", "somewhere"], check=True)
        lab.write("/run/file", "content")
        lab.write("/proc/sys/net/ipv4/ip_forward", "1")
        lab.run(["mount", "-t", "tmpfs", "none", "/mnt"], check=True)
        assert _machine() == before
    assert _machine() == before


def test_a_lab_has_its_own_network_names_processes_and_run(lab: Lab) -> None:
    links = lab.run(["ip", "-br", "link"]).stdout
    assert [line.split()[0] for line in links.splitlines()] == ["lo", "eth0@if2"]
    assert lab.run(["hostname"]).stdout == "lab\n"
    assert lab.call(os.listdir, "/run") == lab.call(os.listdir, "/var/log") == []
    assert sorted(lab.call(os.listdir, "/sys/class/net")) == ["eth0", "lo"]
    assert lab.read("/proc/sys/net/ipv4/ip_forward") == "0\n"
    processes = [number for number in lab.call(os.listdir, "/proc") if number.isdigit()]
    assert processes == ["1"]


def test_a_lab_reaches_its_internet_and_is_reached(lab: Lab) -> None:
    assert lab.run(["ip", "route", "get", "1.1.1.1"]).stdout.startswith(f"1.1.1.1 via {INTERNET_ADDRESS} dev eth0")
    lab.run(["ping", "-c", "1", "-W", "1", INTERNET_ADDRESS], check=True)
    assert lab.neighbour(["ping", "-c", "1", "-W", "1", HOST_ADDRESS], check=True).returncode == 0


def test_the_internet_is_not_to_be_seen_from_the_lab(lab: Lab) -> None:
    neighbour = lab.popen(["sleep", "1000"], at=lab.internet)
    assert lab.run(["ip", "netns", "list"]).stdout == ""
    assert snapshot(lab).sections["processes"] == {}
    assert neighbour.poll() is None


def test_a_lab_without_an_uplink_has_only_lo(lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(uplink=False)
    assert lab.run(["ip", "-br", "link"]).stdout.split()[0] == "lo"
    assert lab.run(["ip", "route"]).stdout == ""


def test_two_labs_know_nothing_of_each_other(lab_factory: Callable[..., Lab]) -> None:
    one, other = lab_factory(), lab_factory()
    before = snapshot(other)
    one.run(["ip", "netns", "add", "web"], check=True)
    one.run(["ip", "link", "add", "name", "br0", "type", "bridge"], check=True)
    one.popen(["sleep", "1000"])
    assert_same(before, snapshot(other))


def test_a_command_gets_its_input_and_gives_output_errors_and_status(lab: Lab) -> None:
    done = lab.run(["sh", "-c", "cat; echo oops >&2; exit 3"], input="hello")
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello", "oops\n")


def test_check_raises_with_what_the_command_said(lab: Lab) -> None:
    with pytest.raises(AssertionError, match=r"exit status 3\noops"):
        lab.run(["sh", "-c", "echo oops; exit 3"], check=True)


def test_nothing_of_the_environment_of_the_tests_gets_in(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "sings")
    names = {line.partition("=")[0] for line in lab.run(["env"]).stdout.splitlines()}
    assert names == {"PATH", "LC_ALL", "HOME"}


def test_a_command_that_takes_too_long_is_killed_with_its_children(lab: Lab) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        lab.run(["sh", "-c", "sleep 1000 & sleep 1001"], timeout=0.1)
    deadline = time.monotonic() + 5
    while (left := snapshot(lab).sections["processes"]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == {}


def test_a_signal_reaches_the_command_itself(lab: Lab) -> None:
    child = lab.popen(["sleep", "1000"])
    child.terminate()
    assert child.wait(5) == -15


def test_orphans_are_reaped(lab: Lab) -> None:
    lab.run(["sh", "-c", "sleep 0.01 >/dev/null 2>&1 &"], check=True)
    time.sleep(0.1)
    assert snapshot(lab).sections["processes"] == {}


def test_paths_are_resolved_in_the_lab_even_through_absolute_links(lab: Lab) -> None:
    lab.call(os.symlink, "/run/real", "/run/link")
    lab.write("/run/link", "content", 0o600)
    assert lab.read("/run/real") == "content"
    assert lab.exists("/run/real")
    assert not os.path.lexists("/run/real")
    assert lab.call(os.stat, "/run/real").st_mode & 0o777 == 0o600


def test_what_a_lab_started_dies_with_it_even_in_namespaces_and_sessions_of_its_own(
    lab_factory: Callable[..., Lab],
) -> None:
    lab = lab_factory()
    lab.run(["ip", "netns", "add", "web"], check=True)
    lab.run(["sh", "-c", "setsid unshare --pid --fork --mount sleep 1003 >/dev/null 2>&1 &"], check=True)
    lab.popen(["nsenter", "--net=/run/netns/web", "sleep", "1004"])
    lab.popen(["sleep", "1005"], at=lab.internet)
    lab.close()
    assert leftovers(lab.token) == []


def test_leftovers_finds_a_lab_that_was_forgotten(lab: Lab) -> None:
    deadline = time.monotonic() + 10
    while not any("cat" in line for line in leftovers(lab.token, within=0)):  # what its init becomes once it is ready
        assert time.monotonic() < deadline
    assert any("holder.sh" in line for line in leftovers(lab.token, within=0))


@pytest.mark.usefixtures("lab")
def test_a_lab_dies_with_the_test_process_that_made_it() -> None:
    program = (
        "import os, signal\n"
        "from nsctl.testing import Lab\n"
        "lab = Lab()\n"
        "lab.popen(['sleep', '1006'])\n"
        "print(lab.token, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    token = killed.stdout.strip()
    assert token.startswith("nsctl-lab-")
    assert leftovers(token) == []


def test_a_lab_works_in_a_lab(lab: Lab) -> None:
    program = (
        "from nsctl.testing import Lab, snapshot\n"
        "with Lab() as lab:\n"
        "    lab.write('/run/inner', 'x')\n"
        "    lab.run(['ip', 'netns', 'add', 'web'], check=True)\n"
        "    print(sorted(snapshot(lab).sections['namespaces']), lab.run(['ip', '-br', 'addr']).stdout)\n"
    )
    before = snapshot(lab)
    done = lab.run([sys.executable, "-c", program], cwd=str(ROOT), check=True)
    assert done.stdout.startswith("['web']")
    assert HOST_ADDRESS in done.stdout
    assert_same(before, snapshot(lab))


def test_labs_may_be_used_from_many_threads(lab: Lab) -> None:
    outputs = []
    threads = [
        threading.Thread(target=lambda word=str(number): outputs.append(lab.run(["echo", word]).stdout.strip()))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outputs, key=int) == [str(number) for number in range(20)]


def test_kill_group_ends_a_command_with_its_children(lab: Lab) -> None:
    child = lab.popen(["sh", "-c", "sleep 1000 & sleep 1001"])
    kill_group(child)
    assert child.returncode == -9
