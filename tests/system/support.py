"""What the tests of this folder say often."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.lab import ENVIRONMENT, Lab, Snapshot, assert_back, assert_same, nsctl_argv, snapshot

SOON = 60.0
"""How long to wait for what happens in an instant, on a machine that has much to do; seconds."""


def up(lab: Lab, *args: str) -> str:
    """`nsctl up …`, which succeeds and says nothing on stderr; its line."""
    return said(lab, "up", *args)


def down(lab: Lab, *args: str) -> str:
    """`nsctl down …`, likewise."""
    return said(lab, "down", *args)


def inside(lab: Lab, name: str, *argv: str) -> str:
    """What a command prints that `nsctl exec` runs in a sandbox."""
    return said(lab, "exec", name, "--", *argv)


def said(lab: Lab, *args: str) -> str:
    done = lab.nsctl(*args)
    assert (done.returncode, done.stderr) == (0, ""), f"nsctl {' '.join(args)}: {done}"
    return done.stdout


def data(lab: Lab, *args: str) -> Any:
    """The JSON that a command prints."""
    return json.loads(said(lab, *args))


def inspect(lab: Lab, name: str) -> Any:
    return data(lab, "inspect", name)


def init_of(lab: Lab, name: str) -> int:
    """The PID of a sandbox's init, as the lab host sees it."""
    pid = inspect(lab, name)["pid"]
    assert isinstance(pid, int)
    return pid


def namespaces(lab: Lab, pid: int | str = 1) -> dict[str, str]:
    """Kind → number of the namespaces of a process on the lab host."""
    kinds = ("mnt", "ipc", "pid", "uts", "net")
    return {kind: lab.call(os.readlink, f"/proc/{pid}/ns/{kind}") for kind in kinds}


def refused(
    lab: Lab,
    *args: str,
    says: str,
    hint: str = "",
    before: Snapshot | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """
    A command is refused with exit status 2, one line and a hint, and the host stays as it is.

    Args:
        says: What the line says; a regular expression.
        hint: What the hint says; likewise.
        before: A snapshot that was taken anyway.
    """
    before = before or snapshot(lab)
    done = lab.nsctl(*args, env=env)
    told = f"nsctl {' '.join(args)}: {done}"
    lines = done.stderr.splitlines()
    assert done.returncode == 2, told
    assert done.stdout == "", told
    assert lines, told
    assert lines[0].startswith("nsctl: "), told
    assert re.search(says, lines[0]), told
    assert [line[:6] for line in lines[1:]] in ([], ["hint: "]), told
    assert re.search(hint, "\n".join(lines[1:])), told
    assert_same(before, snapshot(lab))


@contextlib.contextmanager
def unchanged(lab: Lab) -> Iterator[Snapshot]:
    """After the block the host is as before it."""
    before = snapshot(lab)
    yield before
    assert_back(lab, before)


def as_nobody(lab: Lab, *args: str, argv: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run nsctl (or what is in front of its arguments) as the user nobody."""
    words = [*argv, *args] if argv else nsctl_argv(*args)
    return lab.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", *words])


def eventually(check: Callable[[], bool], within: float = SOON) -> bool:
    """Whether something comes to be so."""
    deadline = time.monotonic() + within
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


_TAKE_THE_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A command on a terminal of its own: a pseudo-terminal that is the controlling one of its session."""

    def __init__(self, lab: Lab, *argv: str, term: str = "dumb") -> None:
        self._master, slave = os.openpty()
        self.screen = ""
        command = [sys.executable, "-I", "-S", "-c", _TAKE_THE_TERMINAL, *argv]
        with os.fdopen(slave, "r", encoding="utf-8") as end:
            self.process = lab.popen(command, env=ENVIRONMENT | {"TERM": term}, stdin=end, stdout=end, stderr=end)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def shows(self, text: str, after: str = "", within: float = SOON) -> bool:
        """
        Whether a text comes up on the screen.

        Args:
            after: What stands before it.
        """
        deadline = time.monotonic() + within
        while text not in self._behind(after):
            if not self._read(max(0.0, deadline - time.monotonic())):
                return False
        return True

    def _behind(self, after: str) -> str:
        return self.screen.partition(after)[2] if after else self.screen

    def end(self, within: float = SOON) -> int:
        """The exit status, once it has ended; the screen is read to its end."""
        deadline = time.monotonic() + within
        while self._read(max(0.0, deadline - time.monotonic())):
            pass
        return self.process.wait(within)

    def close(self) -> None:
        os.close(self._master)

    def _read(self, within: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], within)
        try:
            some = os.read(self._master, 65536) if ready else b""
        except OSError:  # EIO: nobody has the other end open any more
            some = b""
        self.screen += some.decode(errors="backslashreplace")
        return bool(some)


@contextlib.contextmanager
def terminal(lab: Lab, *argv: str, term: str = "dumb") -> Iterator[Terminal]:
    made = Terminal(lab, *argv, term=term)
    try:
        yield made
    finally:
        made.close()
