"""
Files that root reads commands from: only root may be able to write them.

A plan or a lab file says what root runs, as a plugin does, so it has to lie as safely as one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from nsctl.engine.model.errors import Refused
from nsctl.engine.model.names import display

__all__ = ["check_owned", "others_could_write"]

_WRITABLE = "is writable to others"

_LINKS_MOST = 40
"""Symbolic links on the way to one file, as the kernel counts (MAXSYMLINKS)."""


def check_owned(path: str, fd: int) -> None:
    """
    Refuse a file that others could have written: by its own permissions, or by those of a folder or link above it.

    What was opened before (a pipe, a descriptor that a shell handed over) has no such place and is not looked at.

    Args:
        path: The path by which it was opened.
        fd: The open file.

    Raises:
        Refused: Its owner is neither root nor the user of this sudo, or others may write to it, or to where it lies.
    """
    if os.geteuid() != 0 or not stat.S_ISREG(os.fstat(fd).st_mode):
        return
    owners = {0, *_sudo_user()}
    for place in _way(os.path.abspath(path)):
        if place == "/proc":
            return  # a descriptor (/dev/stdin, <(…)): whoever opened it chose the file
        if what := _of_others(place, owners, files=False):
            raise _unsafe(path, place, what, f"chmod go-w {display(place)}" if what == _WRITABLE else "")
    status = os.fstat(fd)
    if status.st_uid not in owners:
        raise _unsafe(path, path, f"belongs to user {status.st_uid}")
    if status.st_mode & 0o022:
        raise _unsafe(path, path, "is writable to others", f"chmod go-w {display(path)}")


def others_could_write(paths: Iterable[str]) -> tuple[str, str] | None:
    """
    The first place on the way to one of these files, itself included, that a user other than root could write to.

    Returns:
        The place, and what is wrong with it.
    """
    known: set[str] = set()
    for path in paths:
        for place in _way(os.path.abspath(path)):
            if place not in known and (what := _of_others(place, {0}, files=True)):
                return place, what
            known.add(place)
    return None


def _of_others(place: str, owners: set[int], *, files: bool) -> str:
    try:
        status = os.lstat(place)
    except OSError:
        return ""  # it was there a moment ago: whoever opens it, looks at that
    if status.st_uid not in owners:
        return f"belongs to user {status.st_uid}"
    # In a sticky folder others can't replace what is not theirs, and what is theirs is found by its owner.
    kinds = stat.S_ISDIR(status.st_mode) or (files and stat.S_ISREG(status.st_mode))
    return _WRITABLE if kinds and status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX else ""


def _unsafe(path: str, place: str, what: str, hint: str = "") -> Refused:
    where = f", and {display(place)}" if place != path else ", and"
    return Refused(
        f"{display(path)} says what root runs{where} {what}",
        hint=hint or "read it, then put a copy where only root can write; or pass it on stdin: nsctl apply - <FILE",
    )


def _sudo_user() -> Iterator[int]:
    # Who may use sudo for this command could as well have typed what stands in the file.
    user = os.environ.get("SUDO_UID", "")
    if user.isascii() and user.isdigit():
        yield int(user)


def _way(path: str) -> Iterator[str]:
    """Every folder, symbolic link and file that is passed on the way to a file, once it is reached by its real name."""
    left = [name for name in reversed(path.split("/")) if name]
    here, links = "/", 0
    yield here
    while left:
        name = left.pop()
        if name == "..":
            here = os.path.dirname(here)
            continue
        here = os.path.join(here, name)
        yield here
        try:
            target = os.readlink(here)
        except OSError:
            continue
        links += 1
        if links > _LINKS_MOST:
            return
        here = "/" if target.startswith("/") else os.path.dirname(here)
        left += [part for part in reversed(target.split("/")) if part not in {"", "."}]
