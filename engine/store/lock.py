"""
The one exclusive lock around plan and execution.

It is a `flock` on a file that is never unlinked.
Its descriptor is number 9, and every step process inherits it: an orphaned step of a killed nsctl keeps the lock until
it ends, so that recovery never races with it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nsctl.engine.model.errors import Busy, Refused
from nsctl.engine.model.names import display

__all__ = ["LOCK_FD", "Lock", "nobody_at_work"]

LOCK_FD = 9
"""A single digit, since sh closes it by `9>&-` for processes that outlive nsctl."""


class Lock:
    """
    The lock; one process takes it once.

    Args:
        path: The lock file.
        wait: How long to wait for another nsctl; seconds.
    """

    def __init__(self, path: Path, wait: float = 30.0) -> None:
        self._path = path
        self._wait = wait
        self._held = False

    def acquire(self, stop: Callable[[], bool] = lambda: False) -> None:
        """
        Wait for the lock, and take it.

        Args:
            stop: Asked while waiting: whether to give up, since a signal came.

        Raises:
            Busy: Another nsctl went on holding it; the message names it.
            Refused: The lock file can't be opened.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as e:
            hint = f"mount -o remount,rw {self._path.parent.parent}" if e.errno == errno.EROFS else ""
            raise Refused(f"the lock {self._path} can't be opened: {e.strerror}", hint=hint) from e
        if fd != LOCK_FD:
            try:
                _must_be_free()
                os.dup2(fd, LOCK_FD, inheritable=False)
            finally:
                os.close(fd)
        deadline = time.monotonic() + self._wait
        pause = 0.001
        while True:
            try:
                fcntl.flock(LOCK_FD, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop():
                    os.close(LOCK_FD)
                    raise Busy("stopped while waiting for another nsctl") from None
                if time.monotonic() >= deadline:
                    holder = self._holder()
                    os.close(LOCK_FD)
                    raise Busy(
                        f"{holder} is still at work after {self._wait:g} s", hint="wait for it, or stop it"
                    ) from None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.05)
        self._held = True
        try:
            os.ftruncate(LOCK_FD, 0)
            os.pwrite(LOCK_FD, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # a full disk: the name of the holder is a courtesy

    def release(self) -> None:
        """Let go. Step processes that still run keep the lock, as they should."""
        if self._held:
            self._held = False
            os.close(LOCK_FD)

    def _holder(self) -> str:
        try:
            pid = int(self._path.read_text(encoding="ascii").strip() or "0")
            os.kill(pid, 0)
        except (OSError, ValueError):
            pid = None
        who = _inherited()
        if pid is not None and (pid in who or not who):
            return f"another nsctl (PID {pid})"
        # A tool that goes on in the background keeps what it inherited.
        return f"a step of an nsctl that ended ({', '.join(who.values())})" if who else "a step of a killed nsctl"


@contextmanager
def nobody_at_work(path: Path) -> Iterator[bool]:
    """
    Whether no nsctl is at work, for who only looks; if so, it stays so within the block, which is to be short.

    Args:
        path: The lock file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def _inherited() -> dict[int, str]:
    # The processes that have the lock by a descriptor that they inherited; who only waits has one without a lock.
    ours = os.fstat(LOCK_FD)
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            theirs = os.stat(f"/proc/{entry}/fd/{LOCK_FD}")
            if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
                continue
            with open(f"/proc/{entry}/fdinfo/{LOCK_FD}", encoding="utf-8") as f:
                if "lock:" not in f.read():
                    continue
            with open(f"/proc/{entry}/comm", encoding="utf-8", errors="backslashreplace") as f:
                found[int(entry)] = f"{display(f.read().strip())}, PID {entry}"
        except OSError:
            continue
    return found


def _must_be_free() -> None:
    # What this process opened itself can't be inherited; what can came from the parent, which has its own.
    try:
        ours = not os.get_inheritable(LOCK_FD)
    except OSError:
        return
    if ours:
        raise Refused(
            f"descriptor {LOCK_FD}, the lock's, is in use", hint="open fewer files before nsctl takes its lock"
        )
