"""
The audit trail: one line of JSON for everything that nsctl does to the host, each chained to the one before.

A record ends in `,"hash":"…"}`: the SHA-256 of the bytes before it (closed with `}`), which hold the hash of the record
before; so an edit, a deletion and a reordering break the chain.
Beside the log, `….head` remembers the last record, so that a cut at the end shows as well, and a log that was rotated
goes on where the old one ended; a copy of the head is kept apart, out of reach of who can write to the log's folder.
A record says that the copy was there; so, if it is gone without a reboot, that shows, too.
Where log, head and copy disagree when the next record is written, that is a record too (`trail_gap`), and a problem
until it is acknowledged (`trail_acknowledged`).
Root can forge all of it, and after a reboot the copy is gone: the trail is evidence against mistakes and against
everybody else.

Values of environment variables never get here, see `nsctl.hooks.records`.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from nsctl._version import __version__
from nsctl.engine.errors import Refused
from nsctl.engine.events import Event, PlanFinished, PlanStarted, StepStarted
from nsctl.hooks.apart import copy_is_missing, copy_name, read_copy, read_head, remember_apart, text_of
from nsctl.hooks.lean import load_structlog
from nsctl.hooks.logs import end_of, files_of, last_of, older, read_lines
from nsctl.hooks.records import UNDOING, argv_of, record_of
from nsctl.hooks.spec import hookimpl
from nsctl.hooks.trail import Verdict, check, heads_differ, seal

__all__ = ["AuditTrail", "copy_name", "files_of", "read_lines", "verify"]

SCHEMA = 1
_MISSING = "the copy of the file beside the log, kept apart, is missing, although the machine did not start anew since"
_MANY = 1000
"""Records that wait at most, as long as they can be written."""


class AuditTrail:
    """
    The observer that writes the trail.

    `PlanStarted` is written at once, and a change whose record can't be written does not start.
    What comes after is written in one go at the end, or a thousand records at a time, and a failure then is remembered
    in `failures`, for nothing must stop a rollback.
    Taking down starts even so: that has to work on a full disk.

    Args:
        path: The log; its folder is made if need be, not the folders above.
        plugin: Says for a mode which distribution it came from.
        copy: The file with the copy of the head; none is kept, if empty.
    """

    def __init__(self, path: str, plugin: Callable[[str], str] = lambda _: "", copy: str = "") -> None:
        self.path = path
        self._copy = copy
        self.failures: list[str] = []
        self._plugin = plugin
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._enough = _MANY
        self._who: dict[str, Any] = {}

    @hookimpl
    def nsctl_event(self, event: Event) -> None:
        """
        Record an event.

        Raises:
            Refused: The record of a change that is about to start can't be written.
        """
        if isinstance(event, StepStarted):
            return
        when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        name, fields = record_of(event)
        if isinstance(event, PlanStarted):
            fields["plugin"] = self._plugin(event.mode)
        self._waiting.append(
            (name, {"time": when, "transaction": event.transaction, "sandbox": event.sandbox, **fields})
        )
        if isinstance(event, PlanStarted):
            self._start(event)
        elif isinstance(event, PlanFinished) or len(self._waiting) >= self._enough:
            self.flush()
            self._enough = len(self._waiting) + _MANY

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
        when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if "argv" in fields:
            fields["argv"] = argv_of(fields["argv"])
        self._waiting.append((name, {"time": when, "sandbox": sandbox, **fields}))
        try:
            self._write()
        except (OSError, Refused) as e:
            self._waiting.clear()
            raise Refused(
                f"the audit record can't be written to {self.path}, so nothing is done: {_reason(e)}",
                hint="make room there, or name another file in NSCTL_AUDIT_LOG",
            ) from e

    def flush(self) -> None:
        """
        Write what waits. This never raises; what can't be written goes on waiting, and `failures` says so.
        """
        try:
            self._write()
        except (OSError, Refused) as e:
            self.failures.append(_reason(e))

    def _start(self, event: PlanStarted) -> None:
        try:
            self._write()
        except (OSError, Refused) as e:
            if event.operation in UNDOING:
                self.failures.append(_reason(e))
                return
            self._waiting.clear()
            raise Refused(
                f"the audit record can't be written to {self.path}, so nothing is changed: {_reason(e)}",
                hint="make room there, or name another file in NSCTL_AUDIT_LOG",
            ) from e

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
            chain = _Chain(seq, last)
            log = _logger(lines, chain).bind(**self._who)
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
        return _MISSING if _names(record, self._copy) else ""

    def _has_copy(self, seq: int, last: str, *, make: bool) -> bool:
        # Only if it is there already, a record may say that it has to be.
        if not self._copy:
            return False
        if copy_is_missing(self._copy) and make:
            with suppress(OSError):
                remember_apart(self._copy, text_of(seq, last))
        return not copy_is_missing(self._copy)


class _Chain:
    """
    The last of structlog's processors: numbers a record, renders it canonically (sorted, compact, ASCII), and seals it.
    """

    def __init__(self, seq: int, last: str) -> None:
        self.seq = seq
        self.last = last
        encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
        self._render = load_structlog().processors.JSONRenderer(serializer=lambda data, **_: encoder.encode(data))

    def __call__(self, logger: object, method: str, record: MutableMapping[str, Any]) -> str:
        self.seq += 1
        record["seq"] = self.seq
        record["prev_hash"] = self.last
        text: str = self._render(logger, method, record)
        line, self.last = seal(text)
        return line + "\n"


class _Lines:
    """
    What structlog writes to: a list.
    """

    def __init__(self, lines: list[str]) -> None:
        self.msg = lines.append


def _logger(lines: list[str], chain: _Chain) -> Any:
    structlog = load_structlog()
    return structlog.wrap_logger(
        _Lines(lines), processors=[chain], wrapper_class=structlog.BoundLogger, context_class=dict
    )


def _identity() -> dict[str, Any]:
    """
    Who, where and what: `loginuid` is who logged in, `sudo_user` only what the environment claims.
    """
    tty = None
    for fd in (0, 2):
        with suppress(OSError):
            tty = tty or os.ttyname(fd)
    try:
        cwd: str | None = os.getcwd()
    except OSError:
        cwd = None
    login = _line("/proc/self/loginuid")
    parent = os.getppid()
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


def _names(record: dict[str, Any], copy: str) -> bool:
    # A record of before there were copies names none, and one that was written where the trail lay elsewhere another.
    return record.get("head_copy") == os.path.basename(copy) and record.get("boot_id") == _boot_id()


def _number_and_hash(path: str) -> tuple[int, str] | None:
    found = last_of(path)
    return (int(found[0]["seq"]), found[1]) if found else None


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def verify(path: str, copy: str = "") -> Verdict:
    """
    Whether the trail is whole: no record edited, deleted, moved or cut off.

    Args:
        path: The log.
        copy: The file with the copy of its head; none, if empty.

    Raises:
        Refused: There is no trail, or it can't be read.
    """
    files = files_of(path)
    try:
        head = _head_of(path)
        apart = read_copy(copy)
        if head is None and apart is None and not files:
            raise Refused(f"there is no audit trail at {path}", hint="nsctl makes it with the first change")
        verdict = check(((os.path.basename(f), read_lines(f)) for f in files), head, apart)
    except OSError as e:
        where = e.filename or path
        raise Refused(f"the audit trail can't be read: {where}: {e.strerror}", hint="it is root's: use sudo") from e
    # Looked for after the log was read: it is there before the first record that names it is written.
    if copy and verdict.last is not None and _names(verdict.last, copy) and copy_is_missing(copy):
        verdict.problems.append(_MISSING)
    return verdict


def _head_of(path: str) -> tuple[int, str] | None:
    try:
        fd = os.open(f"{path}.head", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return read_head(fd)
    finally:
        os.close(fd)


@contextmanager
def _opened(path: str) -> Iterator[tuple[int, int]]:
    """
    The log and its head, open and locked.
    """
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
    """
    All or nothing, as far as that can be had: half a record is taken back.
    """
    before = os.fstat(fd).st_size
    data = memoryview(text.encode())
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(fd, before)
        raise
