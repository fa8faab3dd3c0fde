"""A lab: a host of its own, made of namespaces, for a few milliseconds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, ParamSpec, TypeVar

from nsctl.engine.testing.namespaces import EVERYTHING, NEWNET, NEWNS, NEWPID, NamespaceThread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

P = ParamSpec("P")
R = TypeVar("R")

HOST_ADDRESS = "203.0.113.2"
"""The lab host's address on `eth0` (TEST-NET-3, RFC 5737)."""
INTERNET_ADDRESS = "203.0.113.1"
"""The neighbour's address, the lab host's default gateway."""
TOKEN = f"nsctl-lab-{uuid.uuid4().hex[:12]}"
"""Marks the processes and mounts of all labs of this test process, see `leftovers`."""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/"}
"""What commands in a lab get: nothing from whoever runs the tests."""

_HOLDER = Path(__file__).with_name("holder.sh")
_number = 0


class LabError(Exception):
    """A lab could not be made."""


class Lab:
    """
    One lab host: `eth0` (203.0.113.2/24) with a default route to a neighbour that plays the internet (203.0.113.1).

    The host has network, mount, UTS, IPC and PID namespaces of its own, its own /proc and /sys, and empty /run and
    /var/log (and /etc/netns, where that exists); all other files are the machine's.
    Nothing that happens in it to these reaches the machine, and everything in it dies with it, also when the test
    process is killed.

    Args:
        uplink: Whether there is an `eth0`; without it the host has only `lo`.
    """

    def __init__(self, *, uplink: bool = True) -> None:
        global _number  # noqa: PLW0603  labs of one test process are numbered
        _number += 1
        self.token = f"{TOKEN}-{os.getpid()}-{_number}"
        self._children: list[subprocess.Popen[str]] = []
        self._threads: dict[str, NamespaceThread] = {}
        self._holder = subprocess.Popen(
            [
                *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"),
                *("sh", str(_HOLDER), "internet", self.token, "yes" if uplink else "no"),
            ],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        pids = self._wait_until_ready(_pipe(self._holder.stdout))
        self.pid = pids["host"]
        """The lab host's init, as the test process sees it."""
        self.internet_pid = pids["internet"]
        """The neighbour's init, as the test process sees it."""
        self._init = os.pidfd_open(self.internet_pid)

    def _wait_until_ready(self, output: IO[str]) -> dict[str, int]:
        pids: dict[str, int] = {}
        messages = []
        for line in output:
            match line.split():
                case ["ready"]:
                    return pids
                case ["internet" | "host" as role, pid] if pid.isdigit():
                    pids[role] = int(pid)
                case _:
                    messages.append(line)
        self._holder.wait()
        _close_pipes(self._holder)
        raise LabError("".join(messages).strip() or "the lab's init died")

    def _thread(self, name: str, pid: int, flags: int) -> NamespaceThread:
        if name not in self._threads:
            self._threads[name] = NamespaceThread(pid, flags)
        return self._threads[name]

    @property
    def inside(self) -> NamespaceThread:
        """A thread in all of the lab host's namespaces."""
        return self._thread("inside", self.pid, EVERYTHING)

    @property
    def observer(self) -> NamespaceThread:
        """A thread in the lab host's network, but among the machine's files and processes: nobody there sees it."""
        return self._thread("observer", self.pid, NEWNET)

    @property
    def internet(self) -> NamespaceThread:
        """A thread in the neighbour's namespaces."""
        return self._thread("internet", self.internet_pid, NEWNET | NEWNS | NEWPID)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a Python function on the lab host: its files, network and names, the test's memory."""
        return self.inside.call(function, *args, **kwargs)

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        stdin: int | IO[str] | None = subprocess.DEVNULL,
        stdout: int | IO[str] | None = subprocess.PIPE,
        stderr: int | IO[str] | None = subprocess.PIPE,
        at: NamespaceThread | None = None,
    ) -> subprocess.Popen[str]:
        """
        Start a command on the lab host, in a session of its own.

        The process is a child of the test process and its `pid` is the machine's, so signals reach the command itself.

        Args:
            argv: The command.
            env: Instead of `ENVIRONMENT`.
            cwd: Its working directory.
            stdin: As for `subprocess.Popen`, as are the next two.
            stdout: A pipe, unless it is given.
            stderr: The same.
            at: Another place than the lab host: `lab.internet`.
        """

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(
                list(argv),
                env=ENVIRONMENT if env is None else dict(env),
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                encoding="utf-8",
                errors="backslashreplace",
                start_new_session=True,
            )

        self._children = [child for child in self._children if not _is_done_with(child)]
        child = (at or self.inside).call(start)
        self._children.append(child)
        return child

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002  subprocess's word
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        check: bool = False,
        at: NamespaceThread | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """
        Run a command on the lab host to its end.

        Args:
            argv: The command.
            input: For its standard input, which is empty otherwise.
            timeout: In seconds; then its process group is killed.
            env: Instead of `ENVIRONMENT`.
            cwd: Its working directory.
            check: Whether it has to succeed.
            at: Another place than the lab host: `lab.internet`.

        Raises:
            subprocess.TimeoutExpired: It took longer.
            AssertionError: `check` was asked for, and it failed.
        """
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        child = self.popen(argv, env=env, cwd=cwd, stdin=stdin, at=at)
        try:
            output, errors = child.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            kill_group(child)
            raise
        done = subprocess.CompletedProcess(list(argv), child.returncode, output, errors)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def nsctl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002  subprocess's word
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """
        Run nsctl on the lab host, with the interpreter that runs the tests.

        Args:
            args: What comes after `nsctl` on the command line.
            input: As for `run`, as are `timeout` and `check`.
            timeout: In seconds.
            env: Added to `ENVIRONMENT`.
            check: Whether it has to succeed.
        """
        return self.run(nsctl_argv(*args), input=input, timeout=timeout, env=ENVIRONMENT | dict(env or {}), check=check)

    def nsctl_popen(
        self, *args: str, env: Mapping[str, str] | None = None, stdin: int | IO[str] | None = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start nsctl on the lab host and go on: for signals, and for many at once."""
        return self.popen(nsctl_argv(*args), env=ENVIRONMENT | dict(env or {}), stdin=stdin)

    def neighbour(
        self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the neighbour that plays the internet."""
        return self.run(argv, timeout=timeout, check=check, at=self.internet)

    def read(self, path: str | Path) -> str:
        """A file's text; the path is resolved on the lab host, symbolic links and all."""
        return self.call(Path(path).read_text, encoding="utf-8", errors="backslashreplace")

    def write(self, path: str | Path, content: str | bytes, mode: int | None = None) -> None:
        """Write a file on the lab host; missing directories are made."""

        def write() -> None:
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
            if mode is not None:
                target.chmod(mode)

        self.call(write)

    def exists(self, path: str | Path) -> bool:
        """Whether there is such a file on the lab host; a broken symbolic link counts."""
        return self.call(os.path.lexists, path)

    def close(self) -> None:
        """Kill everything in the lab and wait until it is gone."""
        if self._init < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._init, signal.SIGKILL)
        os.close(self._init)
        self._init = -1
        # The kernel ends a PID namespace only when outsiders have reaped their children in it: these first.
        for process in [*self._children, self._holder]:
            process.wait(timeout=30)
            _close_pipes(process)
        for thread in self._threads.values():
            thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def nsctl_argv(*args: str) -> list[str]:
    """How labs start nsctl: as if it were on the path."""
    return [sys.executable, "-I", "-X", "nsctl=nsctl", "-m", "nsctl", *args]


def kill_group(child: subprocess.Popen[str]) -> None:
    """Kill a process that `Lab.popen` started, with its group, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    _close_pipes(child)


def _is_done_with(child: subprocess.Popen[str]) -> bool:
    pipes = (child.stdin, child.stdout, child.stderr)
    return child.returncode is not None and all(pipe is None or pipe.closed for pipe in pipes)


def _close_pipes(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise LabError("no pipe")
    return pipe
