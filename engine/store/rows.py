"""What is kept."""

from __future__ import annotations

import json
from _blake2 import blake2s  # hashlib would load libcrypto, 3 ms
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from nsctl.engine.model.plan import Step
from nsctl.engine.store.database import Damaged

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = [
    "DONE",
    "INTENT",
    "STARTED",
    "SandboxRow",
    "StepRow",
    "Transaction",
    "all_loads",
    "checksum",
    "dumps",
    "intact",
    "loads",
    "use_key",
]

INTENT = "intent"
"""In the journal; its command has not been started."""
STARTED = "started"
"""Its command may have run."""
DONE = "done"
"""Its command succeeded, or the effect was in place."""
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


@dataclass(slots=True)
class SandboxRow:
    """
    A sandbox.

    Args:
        state: `building`, `up` or `removing`.
        info: What `ls` shows and planning needs, derived from the steps: addresses, network, gateway.
        created: UTC, ISO 8601.
        created_boot: Seconds since boot.
        owner: PID and start time of the nsctl whose end is this sandbox's end (`run`), or None.
        confirm_by: Seconds since boot until which `nsctl confirm` must come, or None.
        source: The lab file that names it, or empty.
    """

    name: str
    mode: str
    options: dict[str, Any]
    isolate: tuple[str, ...]
    command: tuple[str, ...]
    settings: dict[str, Any]
    state: str = "building"
    info: dict[str, Any] = field(default_factory=dict)
    created: str = ""
    created_boot: float = 0.0
    owner: tuple[int, int] | None = None
    confirm_by: float | None = None
    source: str = ""


@dataclass(slots=True)
class StepRow:
    """
    A step in the journal.

    Args:
        seq: The order of application.
        step: The step, as it was applied: its undo is the one that counts.
        state: INTENT, STARTED or DONE.
        identity: What tells the result from a look-alike, recorded right after the step ran.
        tools: Which file each tool's name stood for (an undo uses the same iptables back end).
    """

    seq: int
    step: Step
    state: str = INTENT
    identity: dict[str, int] | None = None
    tools: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Transaction:
    """
    What is under way; there is at most one, since the lock is exclusive.

    Args:
        restore: Plans of sandboxes that this transaction takes down and a rollback has to bring back.
    """

    id: str
    operation: str
    restore: list[dict[str, Any]] = field(default_factory=list)
