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

import os
from collections.abc import Callable
from typing import Any

from nsctl.engine.lazy_imports import load_structlog
from nsctl.engine.model.errors import Refused
from nsctl.engine.model.events import Event, PlanFinished, PlanStarted, StepStarted
from nsctl.hooks.apart import copy_is_missing, copy_name, read_copy, read_head
from nsctl.hooks.logs import files_of, read_lines
from nsctl.hooks.records import UNDOING, record_of
from nsctl.hooks.spec import hookimpl
from nsctl.hooks.trail import Verdict, check
from nsctl.hooks.writer import MISSING, Chain, TrailFile, is_named, now, reason

__all__ = ["AuditTrail", "copy_name", "files_of", "read_lines", "verify"]

_MANY = 1000
"""Records that wait at most, as long as they can be written."""


class AuditTrail(TrailFile):
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
        super().__init__(path, copy)
        self._plugin = plugin
        self._enough = _MANY

    @hookimpl
    def nsctl_event(self, event: Event) -> None:
        """
        Record an event.

        Raises:
            Refused: The record of a change that is about to start can't be written.
        """
        if isinstance(event, StepStarted):
            return
        when = now()
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

    def _start(self, event: PlanStarted) -> None:
        try:
            self._write()
        except (OSError, Refused) as e:
            if event.operation in UNDOING:
                self.failures.append(reason(e))
                return
            self._waiting.clear()
            raise Refused(
                f"the audit record can't be written to {self.path}, so nothing is changed: {reason(e)}",
                hint="make room there, or name another file in NSCTL_AUDIT_LOG",
            ) from e

    def _logger(self, lines: list[str], chain: Chain) -> Any:
        structlog = load_structlog()
        return structlog.wrap_logger(
            _Lines(lines),
            processors=[lambda _logger, _method, record: chain.line(record)],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
        )


class _Lines:
    """The logger factory's sink: a list."""

    def __init__(self, lines: list[str]) -> None:
        self.msg = lines.append


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
    if copy and verdict.last is not None and is_named(verdict.last, copy) and copy_is_missing(copy):
        verdict.problems.append(MISSING)
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
