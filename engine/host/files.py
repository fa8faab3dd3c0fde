"""
What happens to files, as it happens: inotify(7), which Python's library does not have.

Directories are followed rather than files, since a file is replaced by renaming another one over it.
"""

from __future__ import annotations

import ctypes
import os
from errno import EAGAIN
from struct import Struct

__all__ = ["Files"]

_EVENT = Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name
_CLOSE_WRITE, _CLOSE_NOWRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x10, 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _IGNORED, _ONLYDIR, _IN_NONBLOCK, _IN_CLOEXEC = 0x4000, 0x8000, 0x1000000, 0o4000, 0o2000000
_CHANGED = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_BUFFER = 65536


class Files:
    """
    The events of directories and files, from when each is followed on.

    Raises:
        OSError: No descriptor to be had.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        """The descriptor to wait for with poll(2)."""
        if self.descriptor < 0:
            raise _last_error()
        self._paths: dict[int, str] = {}

    def follow(self, path: str, *, use: bool = False) -> bool:
        """
        Follow a directory, what is made, written, renamed and deleted in it; whether it is one that was not followed.

        Args:
            path: The directory.
            use: It is a file, and who closes it counts: a lock.
        """
        if path in self._paths.values():
            return False
        mask = _CLOSE_WRITE | _CLOSE_NOWRITE if use else _CHANGED | _ONLYDIR
        number = self._libc.inotify_add_watch(self.descriptor, os.fsencode(path), mask)
        if number < 0:
            return False  # it is not there, or no directory: what leads to it is followed as well
        new = number not in self._paths
        self._paths.setdefault(number, path)
        return new

    def read(self) -> set[tuple[str, str]] | None:
        """Take all events that wait: directories and names in them; None if some were lost."""
        found: set[tuple[str, str]] = set()
        lost = False
        while True:
            try:
                data = os.read(self.descriptor, _BUFFER)
            except OSError as e:
                if e.errno == EAGAIN:
                    return None if lost else found
                raise
            offset = 0
            while offset < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, offset)
                name = data[offset + _EVENT.size : offset + _EVENT.size + length].rstrip(b"\0")
                offset += _EVENT.size + length
                lost = lost or bool(mask & _OVERFLOW)
                path = self._paths.get(number)
                if path is not None:
                    found.add((path, os.fsdecode(name)))
                if mask & _IGNORED:  # it is gone; another one may have its name
                    self._paths.pop(number, None)


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
