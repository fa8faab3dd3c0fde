"""The files of an audit trail: the log, and the older ones beside it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from nsctl.hooks.trail import START, sealed

__all__ = ["end_of", "files_of", "last_of", "older", "read_lines"]


def files_of(path: str) -> list[str]:
    """The log and the older ones beside it that were rotated (`….1`, `…-20260101`, `….2.gz`), the oldest first."""
    folder, name = os.path.split(path)
    try:
        beside = [n for n in os.listdir(folder) if re.fullmatch(re.escape(name) + r"([.-][0-9]+(\.gz)?)?", n)]
    except OSError:
        return []
    numbered = [(_first_seq(file), file) for file in (os.path.join(folder, n) for n in beside)]
    return [file for _, file in sorted(numbered)]


def read_lines(path: str) -> Iterator[bytes]:
    """
    The lines of a log, with their ends.

    Raises:
        OSError: It can't be read, or is damaged.
    """
    if path.endswith(".gz"):
        import gzip
        import zlib

        with gzip.open(path) as packed:
            try:
                yield from packed
            except (EOFError, zlib.error) as e:
                raise OSError(f"it is damaged: {e}") from e
    else:
        with open(path, "rb") as file:
            yield from file


def older(path: str) -> list[str]:
    """The files that were rotated, the oldest first."""
    return [file for file in files_of(path) if file != path]


def last_of(path: str) -> tuple[dict[str, Any], str] | None:
    """The last record of a log, and its hash; None where its last line is no whole record."""
    last = None
    with suppress(OSError):
        for line in read_lines(path):
            last = line
    return sealed(last.removesuffix(b"\n")) if last else None


def _first_seq(path: str) -> tuple[int, int]:
    """The number of a log's first record; a log without one comes last, the current one after all."""
    with suppress(OSError):  # whoever reads it is told
        for line in islice(read_lines(path), 2):
            found = sealed(line.removesuffix(b"\n"))
            if found:
                return 0, int(found[0]["seq"])
    return 1, 0


def end_of(fd: int) -> tuple[int, str, bool, dict[str, Any]]:
    """Number and hash of the last whole record, whether the log ends with it, and the record; empty for none."""
    size = os.fstat(fd).st_size
    take = 1 << 16
    while True:
        start = max(0, size - take)
        data = os.pread(fd, size - start, start)
        lines = data.split(b"\n")
        for line in reversed(lines[:-1] if start == 0 else lines[1:-1]):
            found = re.fullmatch(rb'.*,"hash":"([0-9a-f]{64})"\}', line)
            if found:
                with suppress(ValueError, KeyError, TypeError):
                    record = json.loads(line)
                    return int(record["seq"]), found[1].decode(), not lines[-1], record
        if start == 0:
            return 0, START, not lines[-1], {}
        take *= 16
