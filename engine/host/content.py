"""Contents of files; a missing file is empty and no error."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import groupby

from nsctl.engine.host import process

__all__ = ["kind", "sysctl", "sysctls", "text"]

_LIMIT = 16 << 20


def kind(path: str) -> str | None:
    """The kind of a path, links not followed: `file`, `directory`, `other`, or None for nothing."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "other"


def text(path: str) -> str | None:
    """A regular file's content (16 MiB at most); None where there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        process.not_there(e)
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        with open(fd, "rb", closefd=False) as f:
            return f.read(_LIMIT).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)


def sysctls(keys: Iterable[str]) -> dict[str, str]:
    """
    The values of several, in the calling thread's network namespace; without those that can't be read.

    The kernel compares a family's directory with that of each namespace it was looked up in (see `runner.native`): so
    it is opened once.
    """
    found: dict[str, str] = {}
    for family, group in groupby(sorted(keys), _family):
        with suppress(OSError):
            directory = os.open(f"/proc/sys/{family}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for key in group:
                    with (
                        suppress(OSError),
                        open(key.removeprefix(f"{family}/"), opener=partial(os.open, dir_fd=directory)) as f,
                    ):
                        found[key] = f.read().strip()
            finally:
                os.close(directory)
    return found


def _family(key: str) -> str:
    # net/ipv4: below it, everything is the namespace's own.
    return "/".join(key.split("/")[:2])


def sysctl(key: str) -> str | None:
    """A value below /proc/sys, in the calling thread's network namespace; None where there is none."""
    if ".." in key.split("/") or "\0" in key:
        return None
    try:
        with open(f"/proc/sys/{key}") as f:
            return f.read().strip()
    except OSError as e:
        process.not_there(e)
        return None
