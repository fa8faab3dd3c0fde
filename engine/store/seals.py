"""What seals a row, so that none is acted on that nsctl did not write, and the JSON in it."""

from __future__ import annotations

import json
from _blake2 import blake2s  # hashlib would load libcrypto
from collections.abc import Iterator, Sequence
from typing import Any

from nsctl.engine.store.database import Damaged

__all__ = ["all_loads", "checksum", "dumps", "intact", "loads", "use_key"]

AT_ONCE = 256
"""Rows that are read in one go: all of a large lab's would take more memory than time."""


def dumps(data: object) -> str:
    """Compact JSON."""
    return _encoder.encode(data)


_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)


def checksum(*texts: str) -> int:
    """
    A row's seal: one that doesn't match, by a flipped bit or since nsctl did not write it, is never acted on.

    It is keyed (`use_key`) with a secret that no sandbox can reach: the journal is data, and what runs as root from it
    has to be nsctl's own.
    """
    seal = blake2s("\0".join(texts).encode(), key=_key, digest_size=_SEAL)
    return int.from_bytes(seal.digest())


_SEAL = 7
"""Bytes; what SQLite keeps as one integer."""
_key = b""


def use_key(key: bytes) -> None:
    """Seal and compare rows with this key from now on; 32 bytes at most."""
    global _key  # noqa: PLW0603 - one process works on the stores of one host
    _key = key


def intact(crc: object, *texts: Any) -> bool:
    """Whether these texts are as they were written."""
    # SQLite has values of every type in every column: a flipped bit can make a number of a text.
    try:
        found = checksum(*texts)
    except TypeError:
        return False
    return crc in {found, str(found)}


def loads(text: str) -> Any:
    """
    A value from JSON.

    Raises:
        Damaged: It is none.
    """
    try:
        return json.loads(text)
    except ValueError as e:
        raise Damaged(f"the store holds something that is not JSON: {e}") from e


def all_loads(rows: Sequence[tuple[str, ...]]) -> Iterator[tuple[Any, ...]]:
    """
    Values from JSON, row by row.

    Raises:
        Damaged: One is none.
    """
    # Some hundred texts in one go take a quarter less than one by one.
    for n in range(0, len(rows), AT_ONCE):
        part = rows[n : n + AT_ONCE]
        parsed = loads(f"[[{'],['.join(map(','.join, part))}]]")
        if [len(values) for values in parsed] != [len(row) for row in part]:
            raise Damaged("the store holds something that is not one value each")
        yield from parsed
