"""
The file of the audit trail: its records are appended here, numbered and sealed.

Beside the log, `….head` remembers the last record; a copy of it is kept apart. See `nsctl.hooks.audit` for what that is
good for.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from nsctl._version import __version__
from nsctl.engine.host.caller import parent_of_caller
from nsctl.engine.model.errors import Refused
from nsctl.hooks.apart import copy_is_missing, read_copy, read_head, remember_apart, text_of
from nsctl.hooks.argv import argv_of
from nsctl.hooks.logs import end_of, last_of, older
from nsctl.hooks.trail import heads_differ, seal

__all__ = ["MISSING", "Chain", "TrailFile", "is_named", "now", "reason"]

SCHEMA = 1
MISSING = "the copy of the file beside the log, kept apart, is missing, although the machine did not start anew since"


class TrailFile:
    """
    A log that records are appended to.

    Args:
        path: The log; its folder is made if need be, not the folders above.
        copy: The file with the copy of the head; none is kept, if empty.
    """

    def __init__(self, path: str, copy: str = "") -> None:
        self.path = path
        self._copy = copy
        self.failures: list[str] = []
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._who: dict[str, Any] = {}

    def note(self, name: str, sandbox: str, **fields: Any) -> None:
        """
        Record something that is no event of a plan, at once.

        Args:
            name: What happened.
            sandbox: To which sandbox; empty for none.
            fields: What else there is to say; an argument vector is in `argv`.

        Raises:
            Refused: It can't be written.
        """
        when = now()
        if "argv" in fields:
            fields["argv"] = argv_of(fields["argv"])
        self._waiting.append((name, {"time": when, "sandbox": sandbox, **fields}))
        try:
            self._write()
        except (OSError, Refused) as e:
            self._waiting.clear()
            raise Refused(
                f"the audit record can't be written to {self.path}, so nothing is done: {reason(e)}",
                hint="make room there, or name another file in NSCTL_AUDIT_LOG",
            ) from e

    def flush(self) -> None:
        """Write what waits. This never raises; what can't be written goes on waiting, and `failures` says so."""
        try:
            self._write()
        except (OSError, Refused) as e:
            self.failures.append(reason(e))

    def _logger(self, lines: list[str], chain: Chain) -> Any:
        return Plain(lines, chain)

    def _write(self) -> None:
        if not self._waiting:
            return
        self._who = self._who or _identity()
        with _opened(self.path) as (fd, head):
            seq, last, whole, record = end_of(fd)
            kept = [known for known in (read_head(head), read_copy(self._copy)) if known is not None]
            disagree = self._disagreement(fd, head, (seq, last)) or self._missing_copy(record)
            if kept and (furthest := max(kept))[0] > seq:
                seq, last = furthest  # rotated, or cut: going on from there keeps what is missing visible
            lines: list[str] = []
            chain = Chain(seq, last)
            log = self._logger(lines, chain).bind(**self._who)
            if self._has_copy(seq, last, make=not disagree):
                log = log.bind(head_copy=os.path.basename(self._copy))
            if disagree:
                log.msg("trail_gap", time=self._waiting[0][1]["time"], gap=disagree)
            elif seq and not os.fstat(fd).st_size:
                log.msg("trail_continued", time=self._waiting[0][1]["time"])
            torn: dict[str, Any] = {} if whole else {"after_torn_line": True}
            for name, fields in self._waiting:
                log.msg(name, **fields, **torn)
                torn = {}
            _append(fd, ("" if whole else "\n") + "".join(lines))
            self._waiting.clear()
            text = text_of(chain.seq, chain.last)
            os.pwrite(head, text, 0)
            if self._copy:
                with suppress(OSError):  # an older copy disagrees with nothing
                    remember_apart(self._copy, text)

    def _disagreement(self, fd: int, head: int, end: tuple[int, str]) -> str:
        beside, copy = read_head(head), read_copy(self._copy)
        if beside is None and ((copy is not None and copy[0]) or end[0] or older(self.path)):
            return "the file beside the log that names the last record was missing, or damaged"
        wrong = heads_differ(beside, copy)
        known = beside or copy
        if wrong or known is None or known[0] < end[0]:
            return wrong  # who was killed before it wrote the head leaves records behind it
        if known == end or (not os.fstat(fd).st_size and known in map(_number_and_hash, older(self.path))):
            return ""  # as it should be, or rotated
        if known[0] == end[0]:
            return f"record {end[0]} is not the one that was written last"
        return f"the log ended with record {end[0]} where {known[0]} had been written"

    def _missing_copy(self, record: dict[str, Any]) -> str:
        # Looked for before a new one is made, which would hide it.
        if not self._copy or not copy_is_missing(self._copy):
            return ""
        if not record and (rotated := older(self.path)) and (found := last_of(rotated[-1])) is not None:
            record = found[0]
        return MISSING if is_named(record, self._copy) else ""

    def _has_copy(self, seq: int, last: str, *, make: bool) -> bool:
        # Only if it is there already, a record may say that it has to be.
        if not self._copy:
            return False
        if copy_is_missing(self._copy) and make:
            with suppress(OSError):
                remember_apart(self._copy, text_of(seq, last))
        return not copy_is_missing(self._copy)


class Chain:
    """Numbers a record, renders it canonically (sorted, compact, ASCII), and seals it."""

    def __init__(self, seq: int, last: str) -> None:
        self.seq = seq
        self.last = last
        self._render = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str).encode

    def line(self, record: MutableMapping[str, Any]) -> str:
        """The record as it stands in the log."""
        self.seq += 1
        record["seq"] = self.seq
        record["prev_hash"] = self.last
        line, self.last = seal(self._render(record))
        return line + "\n"


class Plain:
    """A logger for a record or two: what structlog's would write, without loading it (7 ms)."""

    def __init__(self, lines: list[str], chain: Chain, bound: Mapping[str, Any] | None = None) -> None:
        self._lines = lines
        self._chain = chain
        self._bound = dict(bound or {})

    def bind(self, **fields: Any) -> Plain:
        """The same, with more in each record."""
        return Plain(self._lines, self._chain, self._bound | fields)

    def msg(self, event: str, **fields: Any) -> None:
        """Write a record."""
        self._lines.append(self._chain.line({**self._bound, **fields, "event": event}))


def _identity() -> dict[str, Any]:
    """Who, where and what: `loginuid` is who logged in, `sudo_user` only what the environment claims."""
    tty = None
    for fd in (0, 2):
        with suppress(OSError):
            tty = tty or os.ttyname(fd)
    try:
        cwd: str | None = os.getcwd()
    except OSError:
        cwd = None
    login = _line("/proc/self/loginuid")
    parent = parent_of_caller()
    return {
        "schema": SCHEMA,
        "version": __version__,
        "host": os.uname().nodename,
        "boot_id": _boot_id(),
        "uid": os.getuid(),
        "loginuid": int(login) if login.isdigit() and int(login) != 2**32 - 1 else None,
        "sudo_user": os.environ.get("SUDO_USER"),
        "tty": tty,
        "parent": {"pid": parent, "comm": _line(f"/proc/{parent}/comm")},
        "cwd": cwd,
    }


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _boot_id() -> str:
    return _line("/proc/sys/kernel/random/boot_id")


def now() -> str:
    """The time as records have it: UTC, to the microsecond."""
    seconds, rest = divmod(time.time_ns(), 10**9)
    return f"{_second(seconds)}.{rest // 1000:06}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    # Of one second there may be thousands of records.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def is_named(record: dict[str, Any], copy: str) -> bool:
    """Whether a record says that this copy of the head was there, in this boot."""
    # A record of before there were copies names none, and one that was written where the trail lay elsewhere another.
    return record.get("head_copy") == os.path.basename(copy) and record.get("boot_id") == _boot_id()


def _number_and_hash(path: str) -> tuple[int, str] | None:
    found = last_of(path)
    return (int(found[0]["seq"]), found[1]) if found else None


def reason(error: Exception) -> str:
    """Why the log could not be written, in short."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


@contextmanager
def _opened(path: str) -> Iterator[tuple[int, int]]:
    """The log and its head, open and locked."""
    folder, name = os.path.split(path)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    # `/var/log` itself may be a link on some machines; the folder of the log may not.
    there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    fds = [there]
    try:
        _check_owner(os.fstat(there), folder)
        head = _open_in(there, f"{name}.head", os.O_RDWR, fds)
        fcntl.flock(head, fcntl.LOCK_EX)
        log = _open_in(there, name, os.O_RDWR | os.O_APPEND, fds)
        yield log, head
    finally:
        for fd in reversed(fds):
            os.close(fd)


def _open_in(folder: int, name: str, flags: int, fds: list[int]) -> int:
    fd = os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=folder)
    fds.append(fd)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{name} is not a regular file")
    _check_owner(status, name)
    if status.st_mode & 0o077:
        os.fchmod(fd, 0o600)
    return fd


def _check_owner(status: os.stat_result, path: str) -> None:
    if status.st_uid != os.geteuid():
        raise Refused(f"{path} belongs to user {status.st_uid}")
    if status.st_mode & 0o022:
        raise Refused(f"{path} is writable to others")


def _append(fd: int, text: str) -> None:
    """All or nothing, as far as that can be had: half a record is taken back."""
    before = os.fstat(fd).st_size
    data = memoryview(text.encode())
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(fd, before)
        raise
