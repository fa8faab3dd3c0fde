"""`nsctl logs`: what workloads printed, while they run, when they end, and after that."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import Lab, nsctl_argv
from tests.system.support import data, down, eventually, init_of, refused, said, up

pytestmark = pytest.mark.system

TALKER = ("sh", "-c", 'n=0; while read -r word; do n=$((n + 1)); echo "$n $word"; done <"$0"', "/run/talk")
"""Prints each word that somebody writes into a FIFO, and ends when it is closed for good."""


def up_with(lab: Lab, script: str, name: str = "web", mode: str = "none") -> None:
    up(lab, mode, "--name", name, "--", "sh", "-c", script)


def logs(lab: Lab, *args: str) -> str:
    return said(lab, "logs", *args)


class Follower:
    """`nsctl logs -f` as a process, read with a deadline."""

    def __init__(self, lab: Lab, *args: str) -> None:
        self.process = lab.popen(nsctl_argv("logs", "-f", *args))
        assert self.process.stdout is not None
        self.fd = self.process.stdout.fileno()
        self.text = ""

    def reads(self, wanted: str) -> bool:
        """Whether what it printed comes to end with this."""
        while not self.text.endswith(wanted):
            if not select.select([self.fd], [], [], 20)[0]:
                return False
            block = os.read(self.fd, 1 << 16).decode()
            self.text += block
            if not block:
                return self.text.endswith(wanted)
        return True

    def end(self) -> int:
        status = self.process.wait(timeout=20)
        while block := os.read(self.fd, 1 << 16).decode():
            self.text += block
        return status


def test_what_a_workload_prints_is_shown_while_it_runs_and_after_it_ended_until_it_is_down(lab: Lab) -> None:
    up_with(lab, "echo out; echo err >&2; sleep 1000071")
    assert eventually(lambda: logs(lab, "web") == "out\nerr\n")
    lab.run(["pkill", "-TERM", "-xf", "sleep 1000071"], check=True)
    assert eventually(lambda: data(lab, "ls", "--json")[0]["state"] == "dead")
    assert logs(lab, "web").startswith("out\nerr\n")
    assert logs(lab, "web", "--follow") == logs(lab, "web")  # there is nothing to wait for
    down(lab, "web")
    refused(lab, "logs", "web", says="there is no sandbox 'web'", hint="nsctl ls")


@pytest.mark.parametrize("end", ["", "\n"], ids=["open", "closed"])
def test_the_last_lines_are_found_from_the_end_of_a_long_log(lab: Lab, end: str) -> None:
    up_with(lab, f"seq -s '\n' 1 200000; printf 'last{end}'; sleep 1000072")
    whole = "\n".join([*map(str, range(1, 200001)), f"last{end}"])
    assert eventually(lambda: logs(lab, "web").endswith(f"last{end}"))
    assert logs(lab, "web") == whole
    assert logs(lab, "web", "-n", "1") == f"last{end}"
    assert logs(lab, "-n", "3", "web") == f"199999\n200000\nlast{end}"
    lines = whole.splitlines(keepends=True)
    assert logs(lab, "web", "--lines", "150001") == "".join(lines[-150001:])
    assert logs(lab, "web", "-n", "0") == ""
    assert logs(lab, "web", "-n", "999999999") == whole


def test_a_log_without_a_line_has_no_last_one(lab: Lab) -> None:
    up_with(lab, "sleep 1000073")
    assert [logs(lab, "web", "-n", n) for n in ("0", "1", "5")] == ["", "", ""]


def speak(lab: Lab, *words: str) -> subprocess.Popen[str]:
    """Write words into the FIFO, a line each, and keep it open."""
    text = "".join(f"{word}\n" for word in words)
    return lab.popen(["sh", "-c", f"exec 3>/run/talk; printf %s '{text}' >&3; exec sleep 1000074"])


@pytest.mark.parametrize("isolate", ["net", "net,pid,mount"])
def test_following_goes_on_until_the_workload_ends_and_then_is_a_success(lab: Lab, isolate: str) -> None:
    lab.run(["mkfifo", "-m", "0600", "/run/talk"], check=True)
    up(lab, "none", "--name", "web", "--isolate", isolate, "--", *TALKER)
    speaker = speak(lab, "one", "two")
    follower = Follower(lab, "web", "-n", "1")
    assert eventually(lambda: logs(lab, "web").endswith("2 two\n"))
    assert follower.reads("2 two\n")
    again = speak(lab, "three")
    assert follower.reads("3 three\n")
    for one in (speaker, again):
        lab.run(["pkill", "-KILL", "-xf", "sleep 1000074"])
        one.wait(timeout=20)
    assert follower.end() == 0
    assert "3 three\n" in follower.text


def test_following_ends_with_down_and_has_its_last_words(lab: Lab) -> None:
    up_with(lab, "echo begun; sleep 1000075")
    follower = Follower(lab, "web")
    assert follower.reads("begun\n")
    down(lab, "web")
    assert follower.end() == 0


def test_a_log_that_is_cut_is_followed_on(lab: Lab) -> None:
    lab.run(["mkfifo", "-m", "0600", "/run/talk"], check=True)
    up(lab, "none", "--name", "web", "--isolate", "net", "--", *TALKER)
    speak(lab, "a-long-word-so-that-the-next-is-shorter")
    follower = Follower(lab, "web")
    assert follower.reads("shorter\n")
    lab.run(["truncate", "-s", "0", "/run/nsctl/sandboxes/web/init.log"], check=True)
    speak(lab, "x")
    assert follower.reads("shorter\n2 x\n")


def test_ctrl_c_ends_following_as_it_ends_any_command(lab: Lab) -> None:
    up_with(lab, "echo begun; sleep 1000076")
    follower = Follower(lab, "web")
    assert follower.reads("begun\n")
    follower.process.send_signal(signal.SIGINT)
    assert follower.end() == 130
    assert data(lab, "ls", "--json")[0]["state"] == "up"


def test_following_starts_no_process_and_sleeps_while_nothing_comes(lab: Lab) -> None:
    up_with(lab, "echo begun; sleep 1000077")
    follower = Follower(lab, "web")
    assert follower.reads("begun\n")

    def switches() -> int:
        text = Path(f"/proc/{follower.process.pid}/status").read_text(encoding="utf-8")
        return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    # It may still be on its way into the wait; once there, it wakes for nothing at all.
    before = switches()
    assert eventually(lambda: _stays(switches))
    assert switches() >= before
    assert list(Path(f"/proc/{follower.process.pid}/task").iterdir()) == [
        Path(f"/proc/{follower.process.pid}/task/{follower.process.pid}")
    ]
    follower.process.send_signal(signal.SIGINT)
    follower.end()


def _stays(count: Callable[[], int]) -> bool:
    before = count()
    time.sleep(1.5)  # three times as long as anything that polls would sleep
    return count() == before


def test_following_ends_when_nobody_reads_any_more(lab: Lab) -> None:
    up_with(lab, "echo begun; sleep 1000078")
    argv = " ".join(nsctl_argv("logs", "-f", "web"))
    done = lab.run(["sh", "-c", f"{{ {argv}; echo status $? >&2; }} | head -n 1"], timeout=30)
    assert (done.stdout, done.stderr) == ("begun\n", "status 0\n")


def test_bytes_are_passed_on_as_they_are_but_a_terminal_is_not_steered(lab: Lab) -> None:
    up_with(lab, r"printf 'red \033[31m \377 \tend\n'; sleep 1000080")
    raw = lab.run(["sh", "-c", f"{' '.join(nsctl_argv('logs', 'web'))} | od -An -tx1 -c"], check=True).stdout
    assert "033" in raw
    assert "377" in raw
    shown = lab.run(["script", "-qec", " ".join(nsctl_argv("logs", "web")), "/dev/null"], check=True).stdout
    assert shown.rstrip("\r\n") == "red \\x1b[31m \\xff \tend"


def test_a_sandbox_without_a_workload_has_no_output(lab: Lab) -> None:
    up(lab, "none", "--name", "idle")
    up(lab, "none", "--name", "bare", "--isolate", "net")
    for name in ("idle", "bare"):
        refused(lab, "logs", name, says=f"'{name}' has no workload whose output is kept", hint="nsctl up MODE -- CMD")


def test_a_log_that_somebody_removed_is_named(lab: Lab) -> None:
    up_with(lab, "sleep 1000081")
    lab.run(["rm", "/run/nsctl/sandboxes/web/init.log"], check=True)
    refused(lab, "logs", "web", says="the output of 'web' can't be read: No such file", hint="nsctl check web")


def test_others_than_root_are_told_that_it_needs_root(lab: Lab) -> None:
    up_with(lab, "sleep 1000082")
    done = lab.run(["setpriv", "--reuid=65534", "--clear-groups", *nsctl_argv("logs", "web")])
    assert (done.returncode, done.stderr) == (2, "nsctl: this needs root\nhint: sudo nsctl logs web\n")


def test_init_is_the_process_that_is_waited_for(lab: Lab) -> None:
    up_with(lab, "echo begun; sleep 1000083")
    follower = Follower(lab, "web")
    assert follower.reads("begun\n")
    os_pid = init_of(lab, "web")
    lab.run(["kill", "-KILL", str(os_pid)], check=True)
    assert follower.end() == 0
