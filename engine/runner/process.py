"""
One command under a deadline.

plumbum builds and starts it; the rest is nsctl's own, since plumbum's timeout uses the wall clock and blocks while a
grandchild holds a pipe.
Output goes to memory files in place of pipes: nothing can block on them, whoever keeps them open.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from nsctl.engine import lazy_imports
from nsctl.engine.host.process import children, command_of
from nsctl.engine.model.commands import EXECUTE, NOT_EXECUTED, Command, Spawn, UndoCommand, argv_of
from nsctl.engine.runner.result import Result
from nsctl.engine.runner.tools import TOOL_PATH, find_tool, missing_tool

if TYPE_CHECKING:
    from subprocess import Popen

__all__ = ["ENVIRONMENT", "Runner", "load_plumbum", "wait_for_exit"]

ENVIRONMENT = {"PATH": ":".join(TOOL_PATH), "LC_ALL": "C"}
"""All that a command gets: XTABLES_LIBDIR, LD_* and the like are ways in."""
OUTPUT_MAX = 1 << 20
"""Bytes that are kept of what a command prints."""
DYING = 5.0
"""Seconds that a killed process may take to die; one that is stuck in the kernel keeps the lock until it does."""
STILL_ALIVE = 0.03
"""Seconds that a detached process without a `ready` file has to stay alive."""


class Runner:
    """
    Runs commands: each under a deadline, in a bare environment.

    Args:
        timeout: The deadline of one step; seconds.
        lock: The lock's descriptor, which every command inherits, so that an orphaned one keeps the lock until it ends.
    """

    def __init__(self, timeout: float = 30.0, lock: int | None = None) -> None:
        self.timeout = timeout
        self.lock = lock
        self._machine: Any = None
        self._children: list[Popen[Any]] = []

    def run(
        self,
        command: UndoCommand,
        *,
        tools: Mapping[str, str] | None = None,
        timeout: float | None = None,
        here: bool = False,
    ) -> Result:
        """
        Run a command and wait for it.

        Args:
            command: The command.
            tools: The back end of each tool that was used before (`{"iptables": "nft"}`).
            timeout: Another deadline than the usual; seconds.
            here: The calling thread is in the command's namespace already.

        Raises:
            Refused: The tool is missing, or not root's.
        """
        argv = command.argv if here else argv_of(command)
        return self._run(argv, command.stdin, self.timeout if timeout is None else timeout, tools or {})

    def read(self, argv: tuple[str, ...], netns: str | None = None) -> tuple[int, str]:
        """Run a command that only looks; its status and its output, all of it."""
        result = self._run(argv_of(Command(argv, netns=netns)), None, self.timeout, {}, keep=None)
        return result.status, result.stdout

    def spawn(self, spawn: Spawn, *, timeout: float | None = None, here: bool = False) -> Result:
        """
        Start a detached process, and wait until it is ready, and runs its program if it is to become one.

        A program that ran and has ended by itself is no failure.

        Args:
            spawn: The process.
            timeout: In place of the runner's; seconds.
            here: The calling thread is in its namespace already, and the session is made without setsid(1): each
                program that is executed on the way costs a millisecond.

        Raises:
            Refused: A tool is missing, or not root's.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        begun = time.monotonic()
        argv = argv_of(replace(spawn, netns=None))[1:] if here else argv_of(spawn)
        for path in (spawn.ready, spawn.pidfile):
            if path is not None and os.path.lexists(path):
                os.unlink(path)  # left by an earlier process of ours: it would look like this one's
        log = os.open(spawn.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            written = os.fstat(log).st_size
            process, executable = self._start(argv, os.devnull, log, log, {}, session=here)
        finally:
            os.close(log)
        self._children.append(process)
        status, timed_out = self._await_ready(process, spawn, deadline)
        complaint, not_executed = "", 0
        if not timed_out and spawn.program is not None and process.returncode is not None:
            complaint, not_executed = _without_verdict(_tail(spawn.log, written))
            status = not_executed or status
        if (status or timed_out) and not not_executed:
            complaint = _tail(spawn.log)
        duration = time.monotonic() - begun
        return Result(status, "", complaint, executable, duration, timed_out, not_executed=bool(not_executed))

    def reap(self) -> None:
        """Collect detached processes that ended."""
        self._children = [p for p in self._children if p.poll() is None]

    def _await_ready(self, process: Popen[Any], spawn: Spawn, deadline: float) -> tuple[int, bool]:
        settled: float | None = None
        pause = 0.0003
        while True:
            if _has_exited(process.pid):
                if spawn.program is not None and spawn.ready is not None and _size(spawn.ready):
                    process.wait()
                    return 0, False
                _kill_group(process.pid)  # what it may have started; its number is its own until `wait`
                return (process.wait() or 1), False
            now = time.monotonic()
            if spawn.ready is not None:
                if _size(spawn.ready) and (spawn.program is None or _is_executed(process.pid)):
                    return 0, False
            elif settled is None and _size(spawn.pidfile):
                settled = now + STILL_ALIVE
            elif settled is not None and now >= settled:
                return 0, False
            if now >= deadline:
                return self._kill(process), True
            time.sleep(pause)
            pause = min(pause * 1.3, 0.005)

    def _run(
        self,
        argv: tuple[str, ...],
        stdin: str | None,
        timeout: float,
        tools: Mapping[str, str],
        *,
        keep: int | None = OUTPUT_MAX,
    ) -> Result:
        begun = time.monotonic()
        files: list[int] = []
        try:
            for name in ("stdout", "stderr"):
                files.append(os.memfd_create(name, os.MFD_CLOEXEC))  # noqa: PERF401 - each is closed if the next fails
            source: Any = os.devnull
            if stdin is not None:
                source = os.memfd_create("stdin", os.MFD_CLOEXEC)
                files.append(source)
                data = stdin.encode(errors="surrogateescape")
                while data:
                    data = data[os.write(source, data) :]
                os.lseek(source, 0, os.SEEK_SET)
            process, executable = self._start(argv, source, files[0], files[1], tools, session=True)
            status, timed_out = self._finished(process, begun + timeout)
            out, err = _content(files[0], keep), _content(files[1], keep)
        finally:
            for fd in files:
                os.close(fd)
        return Result(status, out, err, executable, time.monotonic() - begun, timed_out)

    def _finished(self, process: Popen[Any], deadline: float) -> tuple[int, bool]:
        if wait_for_exit(process.pid, deadline):
            return process.wait(), False
        return self._kill(process), True

    def _kill(self, process: Popen[Any]) -> int:
        _kill_group(process.pid)
        # It may not have come to lead a group yet. Popen's own `kill` would collect it if it is dead by now.
        os.kill(process.pid, signal.SIGKILL)
        if wait_for_exit(process.pid, time.monotonic() + DYING):
            return process.wait()
        self._children.append(process)
        return -signal.SIGKILL

    def _start(
        self,
        argv: tuple[str, ...],
        stdin: str | int,
        stdout: int,
        stderr: int,
        tools: Mapping[str, str],
        *,
        session: bool,
    ) -> tuple[Popen[Any], str]:
        executable = find_tool(argv[0], tools.get("iptables", ""))
        if executable is None:
            raise missing_tool(argv[0])
        if self._machine is None:
            self._machine = load_plumbum()
        null = os.open(stdin, os.O_RDONLY | os.O_CLOEXEC) if isinstance(stdin, str) else -1
        try:
            # By its path as it is: asked by name, plumbum looks for the working directory, which may be gone.
            started = self._machine.LocalCommand(self._machine.LocalPath(executable)).popen(
                argv[1:],
                stdin=null if null >= 0 else stdin,
                stdout=stdout,
                stderr=stderr,
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=() if self.lock is None else (self.lock,),
                start_new_session=session,
                umask=0o022,
            )
        finally:
            if null >= 0:
                os.close(null)
        # plumbum 2's object waits 0.2 s for the process when it is collected; the standard library's inside does not.
        process: Popen[Any] = started._proc  # noqa: SLF001 - it has no other name
        started._proc = None  # noqa: SLF001
        return process, executable


def wait_for_exit(pid: int, deadline: float) -> bool:
    """Wait for a child, by a descriptor of its own; False if it still runs at the deadline (of the monotonic clock)."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:  # out of descriptors: it must not go on unobserved all the same
        while not (over := _has_exited(pid)) and time.monotonic() < deadline:
            time.sleep(0.005)
        return over
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if poll.poll(max(0.0, left) * 1000):
                return True
            if left <= 0:
                return False
    finally:
        os.close(fd)


def _has_exited(pid: int) -> bool:
    # A child; it stays to be waited for.
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def load_plumbum() -> Any:
    """Plumbum's local machine, which hands no variables on."""
    machine = lazy_imports.load_plumbum()
    machine.local.env.clear()  # what is left here, plumbum hands to every command
    return machine


def _kill_group(pid: int) -> None:
    # The process leads a session and group of its own.
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _is_executed(pid: int) -> bool:
    """Whether the process, or its child, has become its program: before that its words hold `EXECUTE`."""
    while (told := command_of(pid)) and EXECUTE in told:
        found = children(pid)
        if not found:
            return False
        pid = found[0]
    return bool(told)


def _without_verdict(log: str) -> tuple[str, int]:
    # What the shell says that could not become its program, and its exit status; 0 where it became it.
    said, found, verdict = log.rpartition(NOT_EXECUTED)
    status = verdict.strip()
    return (said, int(status)) if found and status.isdigit() else ("", 0)


def _content(fd: int, keep: int | None) -> str:
    size = os.fstat(fd).st_size if keep is None else min(os.fstat(fd).st_size, keep)
    return os.pread(fd, size, 0).decode("utf-8", "backslashreplace")


def _tail(path: str, beginning: int = 0) -> str:
    try:
        with open(path, "rb") as f:
            f.seek(max(beginning, os.fstat(f.fileno()).st_size - 2000))
            return f.read().decode("utf-8", "backslashreplace")
    except OSError:
        return ""
