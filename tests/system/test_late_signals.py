"""
A signal that comes when all is settled changes nothing of what came of it: the result is told, and the status is its.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

import pytest

from tests.lab import ENVIRONMENT, Lab, nsctl_argv, shim
from tests.system.support import SOON, data, eventually, said, unchanged, up

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
BRIDGE = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
LAB = '[network.lan]\nmode = "bridge"\nsubnet = "10.0.4.0/24"\n[sandbox.web]\nnetwork = "lan"\n'


def showered(child: subprocess.Popen[str], signals: Sequence[int]) -> int:
    """The status of a process that gets signals, one after the other, until it has ended."""
    deadline = time.monotonic() + SOON
    for signum in itertools.cycle(signals):
        status = child.poll()
        if status is not None:
            return status
        assert time.monotonic() < deadline, "it does not end"
        child.send_signal(signum)
        time.sleep(0.0005)
    raise AssertionError


def full_pipe() -> tuple[int, int, int]:
    """A pipe that takes no more: its two ends, and how many bytes are in it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = 0
    try:
        while True:
            filled += os.write(writer, b" " * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer, filled


def nothing(_: Lab) -> None:
    return


def a_plan(lab: Lab) -> None:
    lab.write("/run/plan.json", said(lab, "up", "none", "--name", "web", "--dry-run", "--format", "json"))


def a_lab_file(lab: Lab) -> None:
    lab.write("/run/lab.toml", LAB)


def a_sandbox(lab: Lab) -> None:
    up(lab, *BRIDGE)


def a_drift(lab: Lab) -> None:
    up(lab, *BRIDGE)
    lab.run(["ip", "link", "set", "dev", "nsbr0", "down"], check=True)


def a_dead_init(lab: Lab) -> None:
    up(lab, *BRIDGE)
    lab.run(["kill", "-KILL", str(data(lab, "inspect", "web")["pid"])], check=True)


def an_unconfirmed_one(lab: Lab) -> None:
    lab.nsctl("up", "none", "--name", "web", "--confirm", "60s", check=True)


@pytest.mark.parametrize(
    ("before", "words", "line", "there"),
    [
        (nothing, ("up", "none", "--name", "web"), "web is up: a network of its own, without an address\n", 1),
        (nothing, ("up", *BRIDGE, "--confirm", "60s"), "web is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1\n", 1),
        (a_sandbox, ("up", *BRIDGE), "web is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1 (already)\n", 1),
        (a_plan, ("apply", "/run/plan.json"), "web is up: a network of its own, without an address\n", 1),
        (a_lab_file, ("apply", "/run/lab.toml"), "done: 1 made\n", 1),
        (a_sandbox, ("down", "web"), "web is down\n", 0),
        (a_drift, ("repair",), "put back up/nsbr0: set nsbr0 up\n", 1),
        (a_dead_init, ("recover",), "web: taken down, since its init is gone\n", 0),
        (an_unconfirmed_one, ("confirm", "web"), "web stays\n", 1),
    ],
    ids=["up", "up --confirm", "up again", "apply a plan", "apply a lab", "down", "repair", "recover", "confirm"],
)
def test_from_its_first_line_on_signals_change_nothing(
    lab: Lab,
    before: Callable[[Lab], None],
    words: tuple[str, ...],
    line: str,
    there: int,
) -> None:
    before(lab)
    child = lab.nsctl_popen(*words)
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline() == line
    status = showered(child, SIGNALS)
    told = child.stderr.read()
    assert status == 0, told
    assert all(one.startswith("hint: ") for one in told.splitlines()), told
    assert [one["name"] for one in data(lab, "ls", "--json")] == ["web"] * there


@pytest.mark.parametrize("first", SIGNALS, ids=lambda signum: signum.name)
def test_a_result_that_waits_for_its_reader_is_still_told(lab: Lab, first: signal.Signals) -> None:
    reader, writer, filled = full_pipe()
    try:
        child = lab.popen(nsctl_argv("up", "none", "--name", "web"), stdout=writer)
    finally:
        os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as output:
        assert eventually(lambda: [one["state"] for one in data(lab, "ls", "--json")] == ["up"])
        # From now on it is up, and by and by nsctl stands at the pipe.
        for signum in (first, *SIGNALS * 5):
            child.send_signal(signum)
            time.sleep(0.01)
        assert child.poll() is None
        assert output.read()[filled:] == "web is up: a network of its own, without an address\n"
    assert child.wait(SOON) == 0


@pytest.mark.both_ways
def test_what_is_left_over_is_told_and_keeps_its_status(lab: Lab) -> None:
    up(lab, *BRIDGE)
    shim(lab, ["ip"], {"*": "fail-before"})
    child = lab.nsctl_popen("down", "web")
    assert child.stderr is not None
    assert "left over: " in child.stderr.readline()
    assert showered(child, SIGNALS) == 3


def test_a_command_that_has_ended_keeps_its_status(lab: Lab) -> None:
    with unchanged(lab):
        script = "trap '' TERM INT HUP QUIT; echo over; exit 7"
        child = lab.nsctl_popen("run", "none", "--name", "web", "--", "sh", "-c", script)
        assert child.stdout is not None
        assert child.stdout.readline() == "over\n"
        assert showered(child, SIGNALS) == 7


@pytest.mark.both_ways
def test_a_hangup_that_nohup_ignores_stays_ignored(lab: Lab) -> None:
    for words, line in ((("up", "none"), "none is up"), (("down", "none"), "none is down")):
        child = lab.popen(["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *nsctl_argv(*words)], env=ENVIRONMENT)
        assert child.stdout is not None
        assert eventually(lambda pid=child.pid: os.readlink(f"/proc/{pid}/exe") != os.path.realpath("/bin/sh"))  # type: ignore[misc]
        assert showered(child, [signal.SIGHUP]) == 0
        assert child.stdout.read().startswith(line)


@pytest.mark.parametrize("words", [("up", "none", "--dry-run"), ("ls",), ("log", "--follow")])
def test_what_changes_nothing_dies_of_a_signal_as_anything_does(lab: Lab, words: tuple[str, ...]) -> None:
    up(lab, "none", "--name", "web")
    reader, writer, _ = full_pipe()
    child = lab.popen(nsctl_argv(*words), stdout=writer)
    os.close(writer)
    time.sleep(0.3)
    child.send_signal(signal.SIGTERM)
    assert child.wait(SOON) == -signal.SIGTERM
    os.close(reader)
