"""Waiting for what comes next in a file: by inotify(7), and by looking twice a second where there is none to be had."""

from __future__ import annotations

import ctypes
import os
import select
import stat
from contextlib import suppress
from types import TracebackType
from typing import Self

from nsctl.engine.cli.out import OutputFailedError

__all__ = ["NO_INOTIFY", "Changes"]

_MODIFY, _MOVED_TO, _CREATE, _ATTRIB = 0x2, 0x80, 0x100, 0x4
"""Of linux/inotify.h. ATTRIB comes, too, when the last name of a file goes."""
NO_INOTIFY = 0.5
"""Seconds between two looks where the system has no inotify instance left to give (fs.inotify.max_user_instances)."""
STDOUT = 1
_BUFFER = 1 << 16


class Changes:
    """
    What happens to a file or directory from now on. It is queued: nothing is missed between a look and the next wait.

    Args:
        path: The file, or the directory in which files come and go.
        ends: A descriptor that can be read once there is nothing more to wait for (of a process, say), or None.
    """

    def __init__(self, path: str, ends: int | None = None) -> None:
        self._ends = ends
        self._fd = _watch(path)
        self._poll = select.poll()
        for fd in (self._fd, ends):
            if fd is not None:
                self._poll.register(fd, select.POLLIN)
        with suppress(OSError):
            kind = os.fstat(STDOUT).st_mode
            if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
                self._poll.register(STDOUT, 0)  # what is told then is only that nobody reads any more

    def wait(self) -> bool:
        """
        Wait for the next change; False when `ends` has come.

        Raises:
            OutputFailedError: The reader of stdout is gone.
        """
        ready = dict(self._poll.poll(None if self._fd is not None else NO_INOTIFY * 1000))
        if ready.get(STDOUT, 0) & (select.POLLERR | select.POLLHUP):
            raise OutputFailedError("nobody reads it") from BrokenPipeError()
        if self._fd is not None and self._fd in ready:
            with suppress(BlockingIOError):
                os.read(self._fd, _BUFFER)
        return self._ends is None or self._ends not in ready

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _watch(path: str) -> int | None:
    """An inotify descriptor that watches a path; None where there can't be one."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if fd < 0:
            return None
        if libc.inotify_add_watch(fd, os.fsencode(path), _MODIFY | _MOVED_TO | _CREATE | _ATTRIB) < 0:
            os.close(fd)
            return None
    except AttributeError:  # a C library without it
        return None
    return fd
