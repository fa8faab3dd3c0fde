from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nsctl.engine.host.process import start_of
from nsctl.engine.model.commands import Command, RemoveFiles, Spawn, WriteFile
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.runner import Runner
from nsctl.engine.runner.batch import Writes
from nsctl.engine.runner.batches import kind_of
from nsctl.engine.runner.writes import perform, processes_in, stop_and_wait
from tests.lab import Lab

State = Callable[[Path], None]


def nothing(_: Path) -> None:
    pass


def a_file(home: Path) -> None:
    (home / "x").write_text("old and longer than the new content\n")
    (home / "x").chmod(0o600)


def a_directory(home: Path) -> None:
    (home / "x").mkdir(mode=0o711)


def a_full_directory(home: Path) -> None:
    a_directory(home)
    (home / "x" / "y").touch()


def a_link(home: Path) -> None:
    (home / "target").write_text("not ours\n")
    (home / "x").symlink_to(home / "target")


def a_broken_link(home: Path) -> None:
    (home / "x").symlink_to(home / "nowhere")


COMMANDS = {
    "install": (("install", "-m", "0640", "/dev/stdin", "HOME/x"), "new\n"),
    "install empty": (("install", "-m", "0600", "/dev/stdin", "HOME/x"), ""),
    "install undecodable": (("install", "-m", "0600", "/dev/stdin", "HOME/x"), "\udcff\n"),
    "install nowhere": (("install", "-m", "0600", "/dev/stdin", "HOME/no/x"), "new\n"),
    "mkdir": (("mkdir", "-m", "0755", "HOME/x"), None),
    "mkdir private": (("mkdir", "-m", "0700", "HOME/x"), None),
    "mkdir nowhere": (("mkdir", "-m", "0700", "HOME/no/x"), None),
    "rmdir": (("rmdir", "HOME/x"), None),
    "rm": (("rm", "-f", "HOME/x", "HOME/y"), None),
}


def tree(home: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(home.rglob("*")):
        mode = path.lstat().st_mode
        content: object = None
        if stat.S_ISLNK(mode):
            content = path.readlink().name
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        found[str(path.relative_to(home))] = (stat.filemode(mode), content)
    return found


# Into a directory, install(1) would put a file called stdin: refused, see below.
CASES = [
    pytest.param(name, before, id=f"{name}-{before.__name__}")
    for name in COMMANDS
    for before in (nothing, a_file, a_directory, a_full_directory, a_link, a_broken_link)
    if not (name.startswith("install") and before in {a_directory, a_full_directory})
]


@pytest.mark.parametrize(("name", "before"), CASES)
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_plain_write_does_what_its_command_does(tmp_path: Path, name: str, before: State, umask: int) -> None:
    argv, stdin = COMMANDS[name]
    results = []
    old = os.umask(umask)
    try:
        for way in ("native", "command"):
            home = tmp_path / way
            home.mkdir()
            before(home)
            command = Command(tuple(w.replace("HOME", str(home)) for w in argv), stdin)
            assert is_written(command)
            results.append((carried_out(command, way), tree(home)))
    finally:
        os.umask(old)
    assert results[0] == results[1]


def is_written(command: Command) -> bool:
    return kind_of(typed(command)) is Writes


def carried_out(command: Command, way: str) -> bool:
    if way == "command":
        return Runner(20).run(command).status == 0
    try:
        perform(typed(command))
    except OSError:
        return False
    return True


def test_a_file_is_not_written_in_place_of_a_directory(tmp_path: Path) -> None:
    a_directory(tmp_path)
    with pytest.raises(OSError, match="directory"):
        perform(WriteFile(str(tmp_path / "x"), "new\n", "0600"))
    assert tree(tmp_path) == {"x": ("drwx--x--x", None)}


@pytest.mark.parametrize("command", [Command(("true",)), Command(("rm", "x")), Spawn(("x",), "/p", "/l")])
def test_anything_else_is_no_plain_write(command: Command | Spawn) -> None:
    with pytest.raises((ValueError, TypeError), match="not a plain write"):
        perform(typed(command))


@pytest.mark.system
@pytest.mark.parametrize(
    "setting",
    [
        "net/ipv4/conf/lo/forwarding=1",
        "net/ipv4/ping_group_range=0 7",
        "net/ipv4/conf/lo/forwarding=",
        "net/ipv4/conf/lo/forwarding=abc",
        "net/ipv4/conf/lo/forwarding=99999999999999999999",
        "net/ipv4/conf/br0.7/forwarding=1",
        "net/ipv4/conf/nope/forwarding=1",
    ],
)
def test_a_sysctl_is_written_as_its_command_writes_it(lab_factory: Callable[..., Lab], setting: str) -> None:
    command = Command(("sysctl", "-qw", setting))
    assert is_written(command)
    results = []
    for way in ("native", "command"):
        lab = lab_factory(uplink=False)
        lab.run(["ip", "link", "add", "br0.7", "type", "bridge"], check=True)
        good = lab.call(carried_out, command, way)
        path = f"/proc/sys/{setting.partition('=')[0]}"
        results.append((good, lab.read(path) if lab.exists(path) else None))
    assert results[0] == results[1]


# Ending processes.


def started(*children: subprocess.Popen[bytes]) -> dict[int, int]:
    found = {child.pid: start_of(child.pid) for child in children}
    return {pid: start for pid, start in found.items() if start is not None}


def test_processes_are_killed_and_awaited() -> None:
    children = [subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]) for _ in range(3)]
    assert stop_and_wait(started(*children), time.monotonic() + 10)
    assert [c.wait() for c in children] == [-9, -9, -9]


def test_processes_that_are_gone_are_no_trouble() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert stop_and_wait({child.pid: 1}, time.monotonic() + 10)
    assert stop_and_wait({}, time.monotonic())


def test_a_process_of_another_start_time_is_left_alone() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    assert stop_and_wait({child.pid: started(child)[child.pid] - 1}, time.monotonic() + 10)
    assert child.poll() is None
    child.kill()
    child.wait()


def test_more_processes_than_there_are_descriptors_are_killed_all_the_same() -> None:
    children = [subprocess.Popen(["sleep", "1000"]) for _ in range(40)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 8, limits[1]))
    try:
        assert stop_and_wait(started(*children), time.monotonic() + 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for child in children:
            child.kill()
    assert {child.wait() for child in children} == {-9}


def test_without_any_descriptor_it_is_an_error_and_no_success() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    processes = started(child)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            stop_and_wait(processes, time.monotonic() + 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        child.kill()
        child.wait()


def test_waiting_ends_at_the_deadline() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    begun = time.monotonic()
    assert not stop_and_wait(started(child), begun + 0.2, kill=False)
    assert 0.15 < time.monotonic() - begun < 3
    assert child.poll() is None
    child.kill()
    child.wait()


def test_what_can_not_be_removed_does_not_keep_the_rest(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    files[0].touch()
    files[1].mkdir()
    files[2].touch()
    with pytest.raises(IsADirectoryError):
        perform(RemoveFiles(tuple(map(str, files))))
    assert [file.exists() for file in files] == [False, True, False]


def test_a_command_that_may_fail_is_run_and_not_written() -> None:
    assert is_written(Command(("rmdir", "/run/x")))
    assert not is_written(Command(("rmdir", "/run/x"), ok=(0, 1)))


@pytest.mark.system
def test_the_processes_of_a_namespace_are_found_and_nsctl_is_not_among_them(lab: Lab) -> None:
    lab.run(["ip", "netns", "add", "a"], check=True)
    code = (
        "import os, subprocess, time\n"
        "from nsctl.engine.runner.writes import processes_in\n"
        "child = subprocess.Popen(['nsenter', '--net=/run/netns/a', 'sleep', '1000'])\n"
        "inode = os.stat('/run/netns/a').st_ino\n"
        "deadline = time.monotonic() + 10\n"
        "while not processes_in([inode]) and time.monotonic() < deadline: time.sleep(0.01)\n"
        "home = os.stat('/proc/self/ns/net').st_ino\n"
        "print(processes_in([inode]) == [child.pid], os.getpid() in processes_in([home]), processes_in([]))\n"
        "child.kill(); child.wait()\n"
    )
    assert lab.run([sys.executable, "-I", "-c", code], check=True).stdout == "True False []\n"
    assert processes_in([0]) == []
