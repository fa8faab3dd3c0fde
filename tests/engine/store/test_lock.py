from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_HEAD = """\
import os, sys, time
from pathlib import Path
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.commands import Command, Spawn
from nsctl.engine.runner import Runner
from nsctl.engine.store import Lock
from nsctl.engine.store.lock import LOCK_FD
def say(*words): print(*words, flush=True)
lock = Lock(Path(sys.argv[1]), float(sys.argv[2]))
"""
_TAKE = "try:\n  lock.acquire()\nexcept NsctlError as e:\n  say(type(e).__name__, e)\n  sys.exit(e.exit_status)\n"


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for child in started:
        child.kill()
        child.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def start(children: list[subprocess.Popen[str]], path: Path, body: str, wait: float = 10.0) -> subprocess.Popen[str]:
    argv = [sys.executable, "-I", "-c", _HEAD + _TAKE + body, str(path), str(wait)]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(child)
    return child


def heard(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")


def test_only_one_holds_the_lock_and_the_next_one_gets_it(children: list[subprocess.Popen[str]], path: Path) -> None:
    first = start(children, path, "say('held'); sys.stdin.read(); say('over'); lock.release()")
    assert heard(first) == "held"
    second = start(children, path, "say('held')")
    time.sleep(0.2)
    assert second.poll() is None
    first.communicate("")
    assert heard(second) == "held"


def test_whoever_waits_too_long_is_told_who_holds_the_lock(children: list[subprocess.Popen[str]], path: Path) -> None:
    first = start(children, path, "say('held'); sys.stdin.read()")
    assert heard(first) == "held"
    begun = time.monotonic()
    second = start(children, path, "say('held')", wait=0.2)
    assert heard(second) == f"Busy another nsctl (PID {first.pid}) is still at work after 0.2 s"
    assert second.wait() == 2
    assert time.monotonic() - begun < 5


def test_a_killed_holder_leaves_no_lock(children: list[subprocess.Popen[str]], path: Path) -> None:
    first = start(children, path, "say('held'); sys.stdin.read()")
    assert heard(first) == "held"
    first.kill()
    assert heard(start(children, path, "say('held')")) == "held"


def test_an_orphaned_step_of_a_killed_nsctl_keeps_the_lock_until_it_ends(
    children: list[subprocess.Popen[str]], path: Path, tmp_path: Path
) -> None:
    pidfile = tmp_path / "step"
    script = f"echo $$ > {pidfile}; exec sleep 1000"
    first = start(children, path, f"Runner(30, LOCK_FD).run(Command(('sh', '-c', {script!r})))")
    step = wait_for_pid(pidfile)
    try:
        first.kill()
        first.wait()
        third = start(children, path, "say('held')")  # waits, and is not named
        second = start(children, path, "say('held')", wait=0.2)
        who = f"a step of an nsctl that ended (sleep, PID {step})"
        assert heard(second) == f"Busy {who} is still at work after 0.2 s"
        assert third.poll() is None
    finally:
        os.kill(step, signal.SIGKILL)
    assert heard(third) == "held"


def test_a_detached_process_does_not_keep_the_lock(
    children: list[subprocess.Popen[str]], path: Path, tmp_path: Path
) -> None:
    pidfile, log = str(tmp_path / "pid"), str(tmp_path / "log")
    body = f"Runner(30, LOCK_FD).spawn(Spawn(('sleep', '1000'), {pidfile!r}, {log!r})); say('spawned'); os._exit(0)"
    assert heard(start(children, path, body)) == "spawned"
    detached = wait_for_pid(Path(pidfile))
    try:
        assert not os.path.lexists(f"/proc/{detached}/fd/9")
        assert heard(start(children, path, "say('held')", wait=0.5)) == "held"
    finally:
        os.kill(detached, signal.SIGKILL)


def wait_for_pid(path: Path) -> int:
    for _ in range(500):
        if path.exists() and (word := path.read_text().strip()):
            return int(word)
        time.sleep(0.01)
    raise AssertionError(f"{path} stays empty")


def test_the_lock_is_not_left_to_what_is_run_in_other_ways(children: list[subprocess.Popen[str]], path: Path) -> None:
    body = (
        "import subprocess; subprocess.run(['sh', '-c', 'test ! -e /proc/self/fd/9 && echo closed'], close_fds=False)"
    )
    assert heard(start(children, path, body)) == "closed"


def test_a_descriptor_that_nsctl_has_open_itself_is_not_taken(
    children: list[subprocess.Popen[str]], path: Path, tmp_path: Path
) -> None:
    busy = tmp_path / "busy"
    argv = [
        *(sys.executable, "-I", "-c"),
        f"import os\nfd = os.open({str(busy)!r}, os.O_RDWR | os.O_CREAT)\nos.dup2(fd, 9, inheritable=False)\n"
        + _HEAD
        + _TAKE
        + "say('held')",
        *(str(path), "1"),
    ]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(child)
    assert heard(child) == "Refused descriptor 9, the lock's, is in use"


def test_a_descriptor_9_of_the_callers_is_no_obstacle(path: Path, tmp_path: Path) -> None:
    # `( flock 9; nsctl up … ) 9>FILE` is how shell scripts lock.
    code = _HEAD + _TAKE + "say('held')"
    script = '"$@" 9>"$0"; cat "$0"'
    argv = ["sh", "-c", script, str(tmp_path / "callers"), sys.executable, "-I", "-c", code, str(path), "1"]
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout == "held\n"


def test_a_signal_ends_the_wait(children: list[subprocess.Popen[str]], path: Path) -> None:
    first = start(children, path, "say('held'); sys.stdin.read()")
    assert heard(first) == "held"
    code = _HEAD + "try: lock.acquire(lambda: True)\nexcept NsctlError as e: say(e)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(path), "30"], check=True, capture_output=True, text=True
    )
    assert done.stdout == "stopped while waiting for another nsctl\n"


def test_the_lock_file_is_never_unlinked_and_no_link_is_followed(
    children: list[subprocess.Popen[str]], path: Path, tmp_path: Path
) -> None:
    assert heard(start(children, path, "lock.release(); say('over')")) == "over"
    assert path.exists()
    (tmp_path / "elsewhere").touch()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert heard(start(children, link, "say('held')")).startswith("Refused the lock ")
