from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from nsctl.engine.model.commands import EXECUTE, NOT_EXECUTED, Command, Spawn
from nsctl.engine.model.errors import Refused
from nsctl.engine.runner import Runner
from nsctl.engine.runner.process import ENVIRONMENT, OUTPUT_MAX, wait_for_exit
from nsctl.engine.runner.result import Result


def sh(script: str, *words: str, timeout: float = 20.0, stdin: str | None = None) -> Result:
    return Runner(timeout).run(Command(("sh", "-c", script, "sh", *words), stdin))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def pids_in(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


# Results.


def test_a_result_has_status_output_and_time() -> None:
    result = sh("echo out; echo err >&2; exit 3")
    assert (result.status, result.stdout, result.stderr, result.timed_out) == (3, "out\n", "err\n", False)
    assert result.executable == "/usr/bin/sh"
    assert 0 < result.duration < 5


def test_a_command_that_a_signal_ended_has_its_number() -> None:
    assert sh("kill -9 $$").status == -9


def test_input_is_read_to_its_end() -> None:
    assert sh("wc -c", stdin="x" * 3_000_000).stdout.strip() == "3000000"
    assert sh("wc -c").stdout.strip() == "0"


def test_undecodable_input_is_handed_on_as_it_came() -> None:
    assert sh("od -An -tx1", stdin="\udcff\n").stdout.split() == ["ff", "0a"]


def test_undecodable_output_is_shown_escaped() -> None:
    assert sh(r"printf '\377\303\274'").stdout == "\\xffü"


def test_output_larger_than_a_pipe_blocks_nobody() -> None:
    assert sh("head -c 900000 /dev/zero | tr '\\0' x").stdout == "x" * 900_000


def test_of_endless_output_the_beginning_is_kept_and_of_what_is_read_everything() -> None:
    script = f"head -c {OUTPUT_MAX + 500_000} /dev/zero | tr '\\0' x"
    assert len(sh(script).stdout) == OUTPUT_MAX
    status, output = Runner(20).read(("sh", "-c", script))
    assert (status, len(output)) == (0, OUTPUT_MAX + 500_000)


def test_a_tool_that_is_missing_is_refused_and_named() -> None:
    with pytest.raises(Refused, match="no-such-tool"):
        Runner().run(Command(("no-such-tool",)))


# Deadlines.


def test_a_command_that_hangs_is_killed_at_its_deadline_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    begun = time.monotonic()
    result = sh('echo $$ > "$1"; (sleep 1000 & echo $! >> "$1"; wait) & sleep 1000', str(pids), timeout=0.3)
    assert (result.status, result.timed_out) == (-9, True)
    assert time.monotonic() - begun < 3
    assert wait_until(lambda: not any(map(alive, pids_in(pids))))


def test_a_command_that_ignores_every_signal_is_killed_too() -> None:
    result = sh("trap '' TERM INT HUP; while :; do sleep 1; done", timeout=0.2)
    assert (result.status, result.timed_out) == (-9, True)


def test_a_child_that_holds_the_output_keeps_nobody_waiting(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    begun = time.monotonic()
    result = sh('sleep 1000 & echo $! > "$1"; echo over', str(pids))
    assert (result.status, result.stdout) == (0, "over\n")
    assert time.monotonic() - begun < 3
    os.kill(pids_in(pids)[0], signal.SIGKILL)


def test_a_child_in_a_session_of_its_own_keeps_nobody_waiting_past_the_deadline(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    begun = time.monotonic()
    result = sh('setsid sh -c \'echo $$ > "$0"; exec sleep 1000\' "$1" & sleep 1000', str(pids), timeout=0.3)
    assert result.timed_out
    assert time.monotonic() - begun < 3
    os.kill(pids_in(pids)[0], signal.SIGKILL)


def test_deadlines_do_not_care_for_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(time, "time", lambda: float(next(hours)))
    assert sh("sleep 0.05; echo over", timeout=10).stdout == "over\n"
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert sh("sleep 1000", timeout=0.2).timed_out


def test_what_was_printed_before_the_deadline_is_kept() -> None:
    assert sh("echo trying; sleep 1000", timeout=0.3).stdout == "trying\n"


def test_a_child_is_waited_for_without_descriptors_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    assert sh("sleep 0.05; echo over").stdout == "over\n"
    assert sh("sleep 1000", timeout=0.2).timed_out


def test_waiting_for_a_child_leaves_it_to_be_reaped() -> None:
    child = subprocess.Popen(["sh", "-c", "exit 5"])
    assert wait_for_exit(child.pid, time.monotonic() + 10)
    assert child.wait() == 5


def test_a_signal_to_nsctl_does_not_reach_the_command() -> None:
    # ^C at a terminal goes to the whole foreground process group.
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append("nsctl"))
    try:
        result = sh('trap "echo hit" USR1; kill -USR1 "$1"; sleep 0.1; ps -o pgid= -p $$', str(os.getpid()))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == ["nsctl"]
    assert "hit" not in result.stdout
    assert int(result.stdout) != os.getpgid(0)


# What commands get.

CANARIES = {
    "LD_PRELOAD": "/nowhere/canary.so",
    "LD_LIBRARY_PATH": "/nowhere",
    "PATH": "/nowhere:/usr/bin",
    "PYTHONPATH": "/nowhere",
    "PYTHONSTARTUP": "/nowhere/canary.py",
    "XTABLES_LIBDIR": "/nowhere",
    "IFS": "x",
    "ENV": "/nowhere/env",
    "BASH_ENV": "/nowhere/env",
    "LC_ALL": "de_DE.UTF-8",
    "HOME": "/nowhere",
    "NSCTL_STATE_DIR": "/nowhere",
}


@pytest.mark.parametrize("way", ["run", "read", "spawn"])
def test_nothing_of_the_environment_reaches_a_command(tmp_path: Path, way: str) -> None:
    pidfile, log, ready = (str(tmp_path / name) for name in ("pid", "log", "ready"))
    spawn = f"Spawn(('sh', '-c', 'env; echo > $0; sleep 1', {ready!r}), {pidfile!r}, {log!r}, None, {ready!r})"
    calls = {
        "run": "print(Runner().run(Command(('env',))).stdout)",
        "read": "print(Runner().read(('env',))[1])",
        "spawn": f"Runner().spawn({spawn}); print(open({log!r}).read())",
    }
    code = f"from nsctl.engine.model.commands import *\nfrom nsctl.engine.runner import Runner\n{calls[way]}"
    done = subprocess.run([sys.executable, "-I", "-c", code], env=CANARIES, check=True, capture_output=True, text=True)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if line)
    for shells in ("PWD", "SHLVL", "_", "OLDPWD"):
        found.pop(shells, None)
    assert found == ENVIRONMENT


def test_commands_run_in_the_root_with_a_plain_umask_and_no_terminal() -> None:
    umask = os.umask(0o077)
    try:
        assert sh("pwd; umask; tty").stdout == "/\n0022\nnot a tty\n"
    finally:
        os.umask(umask)


def test_of_nsctls_descriptors_a_command_gets_the_lock_alone(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(other, True)  # noqa: FBT003 - os's own signature
    try:
        runner = Runner(20, lock)
        found = runner.run(Command(("sh", "-c", "ls /proc/$$/fd"))).stdout.split()
        assert set(found) - {"0", "1", "2", "10", "255"} == {str(lock)}
    finally:
        os.close(lock)
        os.close(other)


def test_pipes_break_for_commands_as_usual() -> None:
    # Python ignores SIGPIPE, and a child would inherit that.
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        assert sh("yes | head -1").stdout == "y\n"
        assert sh("grep SigIgn /proc/$$/status").stdout.split()[1][-4:] == "0000"
    finally:
        signal.signal(signal.SIGPIPE, before)


# Detached processes.


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def runner(home: Path) -> Iterator[Runner]:
    found = Runner(20)
    yield found
    for pidfile in home.glob("*.pid"):
        for pid in pids_in(pidfile):
            if alive(pid):
                os.killpg(pid, signal.SIGKILL)
                assert wait_for_exit(pid, time.monotonic() + 10)
    found.reap()


def spawned(home: Path, script: str, *, ready: bool = True, name: str = "x") -> Spawn:
    files = [str(home / f"{name}.{suffix}") for suffix in ("pid", "log", "ready")]
    return Spawn(("sh", "-c", script, files[2]), files[0], files[1], None, files[2] if ready else None)


@pytest.mark.parametrize("here", [False, True])
def test_a_detached_process_is_awaited_until_it_is_ready(runner: Runner, home: Path, *, here: bool) -> None:
    result = runner.spawn(spawned(home, 'sleep 0.1; echo ready > "$0"; exec sleep 1000'), here=here)
    assert (result.status, result.timed_out) == (0, False)
    assert result.duration >= 0.1
    pid = pids_in(home / "x.pid")[0]
    assert alive(pid)
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    assert wait_for_exit(pid, time.monotonic() + 10)
    runner.reap()
    assert not Path(f"/proc/{pid}").exists()


def test_a_detached_process_without_a_ready_file_has_to_stay_alive_for_a_moment(runner: Runner, home: Path) -> None:
    assert runner.spawn(spawned(home, "exec sleep 1000", ready=False)).status == 0
    assert runner.spawn(spawned(home, "sleep 0.005; exit 7", ready=False, name="y")).status == 7
    assert runner.spawn(spawned(home, "exit 0", ready=False, name="z")).status == 1


def test_a_detached_process_that_fails_is_reported_with_the_end_of_its_log(runner: Runner, home: Path) -> None:
    result = runner.spawn(spawned(home, "echo that went wrong >&2; exit 4"))
    assert (result.status, result.stderr, result.timed_out) == (4, "that went wrong\n", False)


def test_what_a_failed_detached_process_started_is_killed(runner: Runner, home: Path) -> None:
    result = runner.spawn(spawned(home, 'sleep 1000 & echo $! > "${0%ready}child"; exit 4'))
    assert result.status == 4
    child = pids_in(home / "x.child")[0]
    assert wait_until(lambda: not alive(child))


@pytest.mark.parametrize("here", [False, True])
def test_a_detached_process_that_never_gets_ready_is_killed_with_its_children(
    runner: Runner, home: Path, *, here: bool
) -> None:
    begun = time.monotonic()
    never = spawned(home, 'sleep 1000 & echo $! > "${0%ready}child"; wait')
    result = runner.spawn(never, timeout=0.3, here=here)
    assert (result.status, result.timed_out) == (-9, True)
    assert time.monotonic() - begun < 3
    pids = [*pids_in(home / "x.pid"), *pids_in(home / "x.child")]
    assert wait_until(lambda: not any(map(alive, pids)))


BUSY = 'echo ready > "$0"; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; '
"""Ready, and for a while still a shell."""


def becoming(home: Path, program: str, *words: str, before: str = BUSY, name: str = "x") -> Spawn:
    spawn = spawned(home, before + EXECUTE, name=name)
    return replace(spawn, argv=(*spawn.argv, program, *words), program=program)


@pytest.mark.parametrize("here", [False, True])
def test_a_program_is_waited_for(runner: Runner, home: Path, *, here: bool) -> None:
    result = runner.spawn(becoming(home, "nosuchprogram"), here=here)
    assert (result.status, result.not_executed) == (127, True)
    assert "nosuchprogram" in result.stderr
    assert NOT_EXECUTED not in result.stderr
    result = runner.spawn(becoming(home, "sleep", "1000", name="y"), here=here)
    assert (result.status, result.not_executed) == (0, False)
    assert "sleep\0001000\0" in Path(f"/proc/{pids_in(home / 'y.pid')[0]}/cmdline").read_text()


@pytest.mark.parametrize("end", ["exit 127", "exit 3", "kill -KILL $$"])
def test_a_program_that_ended_by_itself_is_no_failure(runner: Runner, home: Path, end: str) -> None:
    result = runner.spawn(becoming(home, "sh", "-c", end))
    assert (result.status, result.not_executed, result.stderr) == (0, False, "")


def test_what_an_earlier_program_could_not_do_is_not_said_of_this_one(runner: Runner, home: Path) -> None:
    (home / "x.log").write_text(f"{NOT_EXECUTED}127\n")
    assert runner.spawn(becoming(home, "true")).status == 0


def test_a_shell_that_fails_before_it_is_ready_has_its_own_status(runner: Runner, home: Path) -> None:
    result = runner.spawn(becoming(home, "true", before="echo no >&2; exit 4; "))
    assert (result.status, result.not_executed, result.stderr) == (4, False, "no\n")


def wait_until(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_what_an_earlier_process_left_does_not_look_like_this_ones(runner: Runner, home: Path) -> None:
    (home / "x.ready").write_text("ready\n")
    (home / "x.pid").write_text("1\n")
    result = runner.spawn(spawned(home, "exec sleep 1000"), timeout=0.3)
    assert result.timed_out
    assert pids_in(home / "x.pid") != [1]


def test_the_log_is_private_and_no_symbolic_link_is_followed(runner: Runner, home: Path) -> None:
    runner.spawn(spawned(home, "exec sleep 1000", ready=False))
    assert stat.S_IMODE((home / "x.log").stat().st_mode) == 0o600
    (home / "elsewhere").touch()
    (home / "y.log").symlink_to(home / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        runner.spawn(spawned(home, "echo x", ready=False, name="y"))
