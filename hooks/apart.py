"""The head of an audit trail, which names its last record: as it stands beside the log, and its copy, kept apart."""

from __future__ import annotations

import errno
import os
import re

from nsctl.engine.model.hashing import sha256

__all__ = ["copy_is_missing", "copy_name", "read_copy", "read_head", "remember_apart", "text_of"]

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def copy_name(path: str) -> str:
    """The name of the file with the copy of a log's head."""
    return f"trail-{sha256(path.encode(errors='surrogateescape')).hexdigest()[:12]}.head"


def text_of(seq: int, last: str) -> bytes:
    """A head's text: the number and the hash of the last record."""
    return f"{seq:020d} {last}\n".encode()


def read_head(fd: int) -> tuple[int, str] | None:
    """Number and hash of the last record, as a head names them; None where it names none."""
    found = re.fullmatch(rb"([0-9]{20}) ([0-9a-f]{64})\n", os.pread(fd, 128, 0))
    return (int(found[1]), found[2].decode()) if found else None


def read_copy(path: str) -> tuple[int, str] | None:
    """The same of the copy; None, too, where there is none."""
    if not path:
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return read_head(fd)
    finally:
        os.close(fd)


def copy_is_missing(path: str) -> bool:
    """Whether there is no copy, or none that can be made out; False where that can't be told, as without root."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as e:
        return e.errno in _GONE
    try:
        return read_head(fd) is None
    finally:
        os.close(fd)


def remember_apart(path: str, text: bytes) -> None:
    """
    Write the copy.

    Raises:
        OSError: It can't be written.
    """
    # In place: one write of always the same size, and what is killed before it leaves no file of another name.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, text, 0)
    finally:
        os.close(fd)
