from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import Lab, assert_back, assert_same, kill_group, shim, snapshot

# Stands in for nsctl: runs commands one after another, says how each ended, and notes the signals it gets.
# Its command line looks like nsctl's.
_PROGRAM = """\
import shlex, signal, subprocess, sys
assert sys.argv[1:3] == ["-m", "nsctl"]
signal.signal(signal.SIGINT, lambda *_: print("INT", flush=True))
signal.signal(signal.SIGTERM, lambda *_: print("TERM", flush=True))
for line in sys.argv[3:]:
    done = subprocess.run(shlex.split(line), start_new_session=True)
    print(done.returncode, flush=True)
"""


Nsctl = Callable[..., list[str]]


@pytest.fixture
def nsctl(tmp_path: Path) -> Nsctl:
    """Gives the command line that runs some commands."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    return lambda *commands: [sys.executable, "-I", str(program), "-m", "nsctl", *commands]


def links(lab: Lab) -> set[str]:
    return set(snapshot(lab).sections["links"]) - {"lo", "eth0"}


@contextmanager
def hanging(lab: Lab, argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    child = lab.popen(argv)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.15)
    yield child
    kill_group(child)


def test_without_a_fault_tools_work_as_ever(lab: Lab) -> None:
    plain = lab.run(["ip", "-json", "address"]).stdout
    shims = shim(lab)
    assert lab.run(["ip", "-json", "address"]).stdout == plain
    lab.run(["iptables", "-A", "FORWARD", "-j", "ACCEPT"], check=True)
    assert "-A FORWARD -j ACCEPT" in lab.run(["iptables-save"]).stdout
    lab.run(["iptables-restore", "--noflush"], input="*filter\n-A INPUT -j ACCEPT\nCOMMIT\n", check=True)
    assert lab.run(["/usr/sbin/ip", "link", "show", "dev", "nosuch"]).returncode == 1
    assert [call.argv[0] for call in shims.calls] == ["ip", "iptables", "iptables-save", "iptables-restore", "ip"]
    assert shims.calls[0].argv == ("ip", "-json", "address")


def test_tools_that_were_not_asked_for_are_not_counted(lab: Lab) -> None:
    shims = shim(lab, ["iptables"])
    lab.run(["iptables", "-N", "X"], check=True)
    assert ":X" in lab.run(["iptables-save"], check=True).stdout
    lab.run(["ip", "link"], check=True)
    assert [call.argv[0] for call in shims.calls] == ["iptables"]


def test_shims_are_not_part_of_snapshots_and_snapshots_are_not_counted(lab: Lab) -> None:
    before = snapshot(lab)
    shims = shim(lab)
    assert_same(before, snapshot(lab))
    assert shims.calls == []


def test_shims_are_in_one_lab_only(lab: Lab) -> None:
    shims = shim(lab, faults={"1+": "fail-before"})
    assert subprocess.run(["ip", "link"], capture_output=True, check=False).returncode == 0
    assert shims.calls == []


def test_concurrent_calls_all_get_numbers_of_their_own(lab: Lab) -> None:
    shims = shim(lab, "ip")
    script = "for i in $(seq 40); do ip link show dev lo >/dev/null & done; wait"
    lab.run(["sh", "-c", script], check=True)
    assert len(shims.calls) == 40


def test_a_new_plan_counts_anew(lab: Lab) -> None:
    shims = shim(lab, "ip", {1: "fail-before"})
    assert lab.run(["ip", "link"]).returncode == 1
    assert lab.run(["ip", "link"]).returncode == 0
    assert shims.injected == ["1 fail-before"]
    shims.plan({2: "status:7"})
    assert shims.injected == []
    assert [lab.run(["ip", "link"]).returncode for _ in range(3)] == [0, 7, 0]


def test_arguments_arrive_exactly(lab: Lab) -> None:
    shims = shim(lab, "hostname")
    arguments = ("a b", "", "c\nd", "'e'", "*", "$HOME", "\\")
    lab.run(["hostname", "--help", *arguments])
    assert shims.calls[0].argv == ("hostname", "--help", *arguments)


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [
        ("ip link add*", True),
        ("*name br0*", True),
        ("ip link del*", False),
        ("*'*", False),
        ("ip link add name br0 type bridge", True),
        ("3+", False),
        ("1+", True),
    ],
)
def test_a_fault_can_be_chosen_by_the_command_line(pattern: str, hit: bool, lab: Lab) -> None:  # noqa: FBT001
    shim(lab, "ip", {pattern: "fail-before"})
    assert lab.run("ip link add name br0 type bridge".split()).returncode == int(hit)


def test_fail_before_does_not_act(lab: Lab) -> None:
    shim(lab, "ip", {1: "fail-before"})
    done = lab.run("ip link add name br0 type bridge".split())
    assert (done.returncode, done.stderr) == (1, "ip: injected failure (call 1)\n")
    assert links(lab) == set()


def test_fail_after_has_acted(lab: Lab) -> None:
    shim(lab, "ip", {1: "fail-after"})
    assert lab.run("ip link add name br0 type bridge".split()).returncode == 1
    assert links(lab) == {"br0"}


def test_hang_does_not_act_and_never_ends(lab: Lab) -> None:
    before = snapshot(lab)
    shim(lab, "ip", {1: "hang"})
    with hanging(lab, "ip link add name br0 type bridge".split()) as child:
        child.terminate()
        assert child.wait(5) == -15
    assert_back(lab, before)


def test_hang_after_has_acted(lab: Lab) -> None:
    shim(lab, "ip", {1: "hang-after"})
    with hanging(lab, "ip link add name br0 type bridge".split()):
        assert links(lab) == {"br0"}


def test_hang_deaf_ignores_what_can_be_ignored(lab: Lab) -> None:
    shim(lab, "ip", {1: "hang-deaf"})
    with hanging(lab, ["ip", "link"]) as child:
        child.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.1)


def test_hang_grandchild_holds_the_pipe_until_the_group_is_killed(lab: Lab) -> None:
    before = snapshot(lab)
    shim(lab, "ip", {1: "hang-grandchild"})
    with hanging(lab, ["ip", "link"]) as child:
        child.kill()
        child.wait()
        assert any("nsctl-lab-grandchild" in name for name in snapshot(lab).sections["processes"])
        with pytest.raises(subprocess.TimeoutExpired):
            child.communicate(timeout=0.1)
    assert_back(lab, before)


@pytest.mark.parametrize("action", ["hold-pipe", "hold-pipe-session"])
def test_hold_pipe_ends_but_its_output_does_not(action: str, lab: Lab) -> None:
    before = snapshot(lab)
    shim(lab, "ip", {1: action})
    child = lab.popen("ip link show dev nosuch".split())
    assert child.wait(5) == 1
    with pytest.raises(subprocess.TimeoutExpired):
        child.communicate(timeout=0.1)
    seen = any("nsctl-lab" in name for name in snapshot(lab).sections["processes"])
    assert seen == (action == "hold-pipe")
    kill_group(child)
    assert_back(lab, before)


@pytest.mark.parametrize(("action", "acted"), [("kill-parent-before", set()), ("kill-parent-after", {"br0"})])
def test_kill_parent_kills_nsctl_at_that_call(action: str, acted: set[str], lab: Lab, nsctl: Nsctl) -> None:
    shims = shim(lab, "ip", {2: action})
    done = lab.run(nsctl("ip link", "ip link add name br0 type bridge", "ip link add name br1 type bridge"))
    assert done.returncode == -9
    assert done.stdout.splitlines()[-1] == "0"
    assert len(shims.calls) == 2
    time.sleep(0.05)
    assert links(lab) == acted


def test_nsctl_is_found_behind_wrappers(lab: Lab, nsctl: Nsctl) -> None:
    shim(lab, "ip", {1: "kill-parent-before"})
    done = lab.run(nsctl("nsenter --uts=/proc/self/ns/uts sh -c 'ip link; exit 0'"))
    assert done.returncode == -9


def test_nsctl_is_found_by_a_detached_step(lab: Lab, nsctl: Nsctl) -> None:
    shim(lab, "ip", {1: "kill-parent-before"})
    child = lab.popen(nsctl("setsid --fork sh -c 'sleep 0.1; ip link'", "sleep 1000"))
    assert child.wait(5) == -9


def test_the_process_to_kill_can_be_given_by_number_or_pattern(lab: Lab) -> None:
    shims = shim(lab, "ip", {1: "kill-parent-before"}, parent="*sleep1001*")
    by_pattern, by_number = lab.popen(["sleep", "1001"]), lab.popen(["sleep", "1002"])
    lab.run(["ip", "link"])
    assert by_pattern.wait(5) == -9
    shims.plan({1: "kill-parent-before"})
    shims.target(int(lab.run(["pgrep", "-f", "sleep 1002"]).stdout))
    lab.run(["ip", "link"])
    assert by_number.wait(5) == -9


def test_an_orphan_acts_after_its_parent_was_killed(lab: Lab, nsctl: Nsctl) -> None:
    shim(lab, "ip", {1: "orphan"})
    # The orphan holds the pipe: what this waits for is nsctl's end.
    child = lab.popen(nsctl("ip link add name br0 type bridge"))
    assert child.wait(5) == -9
    assert links(lab) == set()
    child.communicate(timeout=5)
    assert links(lab) == {"br0"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_signal_parent_signals_nsctl_and_acts(when: str, lab: Lab, nsctl: Nsctl) -> None:
    shim(lab, "ip", {1: f"signal-parent-{when}:INT,TERM"})
    done = lab.run(nsctl("ip link add name br0 type bridge"))
    assert done.stdout.split() == ["INT", "TERM", "0"]
    assert links(lab) == {"br0"}


BATCH = "".join(f"link add name br{number} type bridge\n" for number in range(4))


@pytest.mark.parametrize("lines", range(4))
def test_batch_stop_executes_so_many_lines_and_fails_as_ip_does(lines: int, lab: Lab) -> None:
    shim(lab, "ip", {1: f"batch-stop:{lines}"})
    done = lab.run(["ip", "-batch", "-"], input=BATCH)
    assert done.returncode == 1
    assert done.stderr == f"injected failure (call 1)\nCommand failed -:{lines + 1}\n"
    assert links(lab) == {f"br{number}" for number in range(lines)}


def test_batch_stop_works_for_a_batch_in_a_file(lab: Lab) -> None:
    lab.write("/run/batch", BATCH)
    shim(lab, "ip", {1: "batch-stop:2"})
    assert lab.run(["ip", "-force", "-batch", "/run/batch"]).returncode == 1
    assert links(lab) == {"br0", "br1"}


def test_restore_stop_commits_so_many_tables(lab: Lab) -> None:
    rules = "*filter\n-A INPUT -j ACCEPT\nCOMMIT\n*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"
    shims = shim(lab, faults={1: "restore-stop:1"})
    done = lab.run(["iptables-restore", "--noflush"], input=rules)
    assert done.returncode == 1
    assert "line 4 failed" in done.stderr
    assert list(snapshot(lab).sections["iptables"]) == ["filter INPUT"]
    shims.plan({1: "restore-stop:0"})
    lab.run(["iptables-restore", "--noflush"], input=rules)
    assert list(snapshot(lab).sections["iptables"]) == ["filter INPUT"]


def test_what_batches_and_restores_are_given_is_kept_on_request(lab: Lab) -> None:
    shims = shim(lab, record=True)
    lab.write("/run/batch", BATCH)
    lab.run(["ip", "-batch", "-"], input=BATCH, check=True)
    lab.run(["ip", "link"], check=True)
    lab.run(["iptables-restore", "--noflush"], input="*filter\n-A INPUT -j ACCEPT\nCOMMIT\n", check=True)
    lab.run(["ip", "-batch", "/run/batch"])
    batch, plain, restore, file = shims.calls
    assert (batch.stdin, batch.lines) == (BATCH, 4)
    assert (plain.stdin, plain.lines) == (None, 0)
    assert restore.lines == 3
    assert file.lines == 4
    assert links(lab) == {"br0", "br1", "br2", "br3"}
    assert list(snapshot(lab).sections["iptables"]) == ["filter INPUT"]


@pytest.mark.parametrize("action", ["nonsense", "batch-stop:1", "restore-stop:1", "kill-parent-before"])
def test_a_fault_that_can_not_be_injected_is_an_error(action: str, lab: Lab) -> None:
    shims = shim(lab, "ip", {1: action})
    assert lab.run(["ip", "link"]).returncode == 125
    with pytest.raises(AssertionError, match="could not be injected"):
        _ = shims.calls


def test_shims_work_on_a_full_disk(lab: Lab) -> None:
    from tests.lab import full

    shims = shim(lab, "ip")
    with full(lab):
        lab.run(["ip", "link"], check=True)
    assert len(shims.calls) == 1
