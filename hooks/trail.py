"""
The chain of the audit trail, as data: how a record is sealed, and whether a trail is whole.

Nothing here opens a file; `nsctl.hooks.audit` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from nsctl.engine.model.hashing import sha256

__all__ = ["START", "Verdict", "check", "heads_differ", "seal", "sealed"]

START = "0" * 64
"""The first record has this in place of a previous hash."""
_SEALED = rb'(?s)(\{.*),"hash":"([0-9a-f]{64})"\}'


class Verdict:
    """What a look at a trail found."""

    def __init__(self) -> None:
        self.records = 0
        """How many records are whole and in place."""
        self.problems: list[str] = []
        """What is wrong, one line each, in the order of the trail."""
        self.notes: list[str] = []
        """What is as it may be, but worth knowing."""
        self.last: dict[str, Any] | None = None
        """The last whole record."""


def seal(text: str) -> tuple[str, str]:
    """
    A record's line and its hash, which is of the bytes before it, closed with `}`.

    Args:
        text: The record as one JSON object.
    """
    digest = sha256(text.encode()).hexdigest()
    return f'{text[:-1]},"hash":"{digest}"}}', digest


def sealed(line: bytes) -> tuple[dict[str, Any], str] | None:
    """A record and its hash; None where the line is not a record whose hash is right."""
    found = re.fullmatch(_SEALED, line)
    if found is None or sha256(found[1] + b"}").hexdigest().encode() != found[2]:
        return None
    try:
        record = json.loads(found[1] + b"}")
    except ValueError:
        return None
    return (record, found[2].decode()) if isinstance(record.get("seq"), int) else None


def check(
    files: Iterable[tuple[str, Iterable[bytes]]], head: tuple[int, str] | None, copy: tuple[int, str] | None = None
) -> Verdict:
    """
    Follow the chain.

    Args:
        files: Names and lines (with their ends), the oldest file first.
        head: Number and hash of the last record that was written, as remembered beside the log.
        copy: The same, as remembered apart; it may be older.
    """
    verdict = Verdict()
    seq, last = 0, START
    bad = ""
    for name, lines in files:
        for number, line in enumerate(lines, 1):
            where = f"{name}, line {number}"
            found = sealed(line.removesuffix(b"\n")) if line.endswith(b"\n") else None
            if found is None:
                if bad:
                    verdict.problems.append(bad)
                bad = f"{where}: not a whole record, or changed since it was written"
                continue
            record, digest = found
            if bad and not (record.get("after_torn_line") and record["prev_hash"] == last):
                verdict.problems.append(bad)
            elif bad:
                verdict.notes.append(f"{bad} (nsctl found it so, and went on after it)")
            _follow(verdict, record, (seq, last), where, gap=bool(bad))
            verdict.records += 1
            verdict.last = record
            seq, last, bad = record["seq"], digest, ""
            for known in {head, copy} - {None}:
                if known is not None and known[0] == seq and known[1] != digest:
                    verdict.problems.append(f"{where}: not the record {seq} that was written last")
            _heed(verdict, record, where)
    if bad:
        verdict.problems.append(bad)
    _compare_end(verdict, seq, head)
    wrong = heads_differ(head, copy)
    if head is None and copy is not None and copy[0] > seq:
        wrong = f"the log ends with record {seq}, and what is kept apart names record {copy[0]} as the last one"
    if wrong:
        verdict.problems.append(wrong)
    return verdict


def heads_differ(head: tuple[int, str] | None, copy: tuple[int, str] | None) -> str:
    """How the head beside the log contradicts its copy, which may be older; nothing, if it does not."""
    if head is None or copy is None or copy[0] < head[0] or copy == head:
        return ""
    if copy[0] == head[0]:
        return f"the file beside the log and its copy, kept apart, name different records {head[0]}"
    return f"the file beside the log names record {head[0]} as the last one, and its copy, kept apart, record {copy[0]}"


def _heed(verdict: Verdict, record: dict[str, Any], where: str) -> None:
    match record.get("event"):
        case "trail_gap":
            verdict.problems.append(f"{where}: {record.get('gap')}, when this record was written")
        case "trail_acknowledged":
            verdict.notes += [f"{problem} (acknowledged {record.get('time')})" for problem in verdict.problems]
            verdict.problems.clear()
        case _:
            pass


def _follow(verdict: Verdict, record: dict[str, Any], before: tuple[int, str], where: str, *, gap: bool) -> None:
    seq, last = before
    number = record["seq"]
    if number == seq + 1 and record["prev_hash"] == last:
        return
    if verdict.records == 0 and not gap:
        # Whether they were rotated away or deleted can't be told from what is left.
        verdict.problems.append(f"{where}: the records before number {number} are missing")
    elif number > seq + 1:
        missing = f"record {seq + 1} is" if number == seq + 2 else f"records {seq + 1} to {number - 1} are"
        verdict.problems.append(f"{where}: {missing} missing")
    elif number <= seq:
        verdict.problems.append(f"{where}: record {number} is out of order, after record {seq}")
    else:
        verdict.problems.append(f"{where}: record {number} does not follow from the record before it")


def _compare_end(verdict: Verdict, seq: int, head: tuple[int, str] | None) -> None:
    if head is None:
        if verdict.records:
            verdict.problems.append("the file beside the log that names the last record is missing, or damaged")
    elif head[0] > seq:
        missing = f"record {head[0]} is" if head[0] == seq + 1 else f"records {seq + 1} to {head[0]} are"
        verdict.problems.append(f"the end is cut off: {missing} missing")
