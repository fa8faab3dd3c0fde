"""What is written, as statements and their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.json import encode

from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.plan import Step, step_to_text
from nsctl.engine.store.rows import DONE, INTENT, SandboxRow
from nsctl.engine.store.seals import checksum, dumps

__all__ = ["OF_SANDBOX", "building", "each", "sandbox_values"]

_FIXED = (
    *("mode", "options", "isolate", "command", "settings", "netns", "shares", "init", "log", "bounds"),
    *("created", "created_boot", "owner", "source"),
)


OF_SANDBOX = "(name = ?1 OR (name > ?1 || '/' AND name < ?1 || '0'))"
"""The rows of a sandbox and of its attachments, `web` and `web/eth0`; those of one attachment, for its name."""


def each(words: Iterable[str]) -> list[tuple[Any, ...]]:
    """The values of a statement that is run once for each of these words."""
    return [(w,) for w in words]


def building(
    rows: Sequence[SandboxRow],
    new: Sequence[Step],
    held: Sequence[tuple[str, str]],
    attachments: Sequence[Attachment] = (),
    state: str = "building",
) -> tuple[tuple[str, list[tuple[Any, ...]]], ...]:
    """The statements that write down what will be built, with their values."""
    # A claim is done when it is written down: there is nothing to run.
    encoded = [(s.key, step_to_text(s), DONE if s.is_claim else INTENT) for s in new]
    counts = Counter(key for key, _ in held)
    fresh = {s.key for s in new}
    return (
        (
            "INSERT INTO sandboxes(name, data, state, confirm_by, crc) VALUES(?, ?, ?, ?, ?)",
            [sandbox_values(r) for r in rows],
        ),
        (
            "INSERT INTO attachments VALUES(?, ?, ?, ?)",
            [(a.name, data, state, checksum(a.name, data)) for a in attachments for data in (encode(a).decode(),)],
        ),
        (
            "INSERT INTO steps(key, data, crc, state, identity_crc, held) VALUES(?, ?, ?, ?, ?, ?)",
            [(k, data, checksum(k, data), now, checksum(k, "", ""), counts[k]) for k, data, now in encoded],
        ),
        ("INSERT OR IGNORE INTO holders VALUES(?, ?)", list(held)),
        (
            "UPDATE steps SET held = (SELECT count(*) FROM holders WHERE holders.key = steps.key) WHERE key = ?",
            each(key for key in counts if key not in fresh),
        ),
    )


def sandbox_values(row: SandboxRow) -> tuple[Any, ...]:
    """A sandbox's row; the last value is its checksum."""
    data = dumps({k: getattr(row, k) for k in _FIXED})
    confirm_by = None if row.confirm_by is None else float(row.confirm_by)
    return row.name, data, row.state, confirm_by, checksum(row.name, data, repr(confirm_by))
