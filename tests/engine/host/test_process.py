from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nsctl.engine.host import process


@contextmanager
def running(*argv: str) -> Iterator[int]:
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield child.pid
    finally:
        child.kill()
        child.communicate()


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + 10
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_start_time_stays_and_is_that_of_proc() -> None:
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert process.start_of(os.getpid()) == int(fields[19]) == process.start_of(os.getpid())


def test_a_process_that_does_not_exist_has_no_start_time() -> None:
    assert process.start_of(2**22 + 1) is None


def test_a_zombie_is_dead() -> None:
    before = process.children(os.getpid())
    with running("cat") as pid:
        assert process.start_of(pid) is not None
        os.kill(pid, signal.SIGKILL)
        # Nobody has waited for it yet.
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert process.start_of(pid) is None
        assert process.children(os.getpid()) == before


def test_a_name_with_parentheses_and_blanks_does_not_shift_the_fields(tmp_path: Path) -> None:
    tool = tmp_path / ") S 1 (x"
    tool.symlink_to("/bin/cat")
    with running(str(tool)) as pid:
        wait_until(lambda: process.command_of(pid).startswith(str(tool)))
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert process.start_of(pid) == int(fields[19])


def test_children_are_told_oldest_first_however_they_are_found() -> None:
    with running("sh", "-c", "sleep 60 & sleep 60 & wait") as pid:
        wait_until(lambda: len(process.children(pid)) == 2)
        found = process.children(pid)
        assert list(found) == process._children_by_search(pid)
        for child in found:
            os.kill(child, signal.SIGKILL)


def test_a_process_that_does_not_exist_has_no_children() -> None:
    assert process.children(2**22 + 1) == ()


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a PID namespace")
def test_the_init_is_the_child_in_a_pid_namespace_of_its_own() -> None:
    with running("unshare", "--pid", "--fork", "--kill-child", "sleep", "60") as pid:
        wait_until(lambda: process.children(pid))
        assert process.init_of(pid) == process.children(pid)[0]


def test_a_process_without_such_a_child_is_its_own_init() -> None:
    with running("sh", "-c", "sleep 60 & wait") as pid:
        wait_until(lambda: process.children(pid))
        assert process.init_of(pid) == pid
        os.kill(process.children(pid)[0], signal.SIGKILL)


@pytest.mark.parametrize(
    ("content", "pid"), [("123\n", 123), ("  7", 7), ("", None), ("0", None), ("-4", None), ("x1", None), ("1 2", None)]
)
def test_a_pidfile_holds_one_pid_or_none(tmp_path: Path, content: str, pid: int | None) -> None:
    path = tmp_path / "init.pid"
    path.write_text(content)
    assert process.pid_in(str(path)) == pid


def test_a_pidfile_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert process.pid_in(str(tmp_path / "init.pid")) is None
    (tmp_path / "file").touch()
    assert process.pid_in(str(tmp_path / "file" / "init.pid")) is None


def test_arguments_and_outputs_of_a_process(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()", "a word"], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL
        )
    wait_until(lambda: "a word" in process.command_of(child.pid).split("\0"))
    assert process.outputs_of(child.pid) == (str(log), "/dev/null")
    child.kill()
    child.communicate()
    assert process.command_of(child.pid) == ""
    assert process.outputs_of(child.pid) == ()


def test_someone_is_found_in_the_network_namespace_of_this_process() -> None:
    inode = process.netns_inode_of(os.getpid())
    assert inode is not None
    pid = process.someone_in(inode)
    assert pid is not None
    assert process.netns_inode_of(pid) == inode
    assert process.someone_in(1) is None
