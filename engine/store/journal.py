"""
The journal: what the executor asks of the store.

Forward, a write that fails stops the change (everything is undone).
Backward, it does not: while undoing, `best_effort` remembers the failure and goes on, for undoing is idempotent and
the kernel, not the store, says what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.commands import WriteFile
from nsctl.engine.model.effects import FileIs
from nsctl.engine.model.plan import Step, step_to_text
from nsctl.engine.store import files
from nsctl.engine.store.database import Unwritable
from nsctl.engine.store.home import netns_place
from nsctl.engine.store.reading import Records
from nsctl.engine.store.rows import DONE, STARTED, SandboxRow, StepRow, Transaction
from nsctl.engine.store.seals import checksum, dumps
from nsctl.engine.store.statements import OF_SANDBOX, building, each, sandbox_values

__all__ = ["Journal"]

Marked = tuple[str, Mapping[str, int] | None, Mapping[str, str]]
"""A step's key, its identity and its tools."""


class Journal(Records):
    """What nsctl did and is about to do."""

    def begin(
        self,
        transaction: Transaction,
        rows: Sequence[SandboxRow],
        new: Sequence[Step],
        held: Sequence[tuple[str, str]],
        removing: Iterable[str],
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """
        Everything that is about to happen, in one write.

        Args:
            transaction: The transaction.
            rows: The sandboxes that will be built.
            new: The steps that are not in the store yet.
            held: Pairs of step key and holder, a sandbox or an attachment.
            removing: The sandboxes and attachments that will be taken down.
            attachments: The attachments that will be built.
        """
        opened = (transaction.id, transaction.operation, dumps(transaction.restore))
        self._write(
            ("INSERT INTO transactions VALUES(?, ?, ?, ?)", [(*opened, checksum(*opened))]),
            *building(rows, new, held, attachments),
            *_removing(removing),
        )

    def build(
        self,
        rows: Sequence[SandboxRow],
        new: Sequence[Step],
        held: Sequence[tuple[str, str]],
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """More sandboxes for the transaction that is open."""
        self._write(*building(rows, new, held, attachments))

    def started(self, steps: Iterable[Marked]) -> None:
        """The commands of these steps are about to run: their keys, identities if known before, and tools."""
        # Made again, a thing has another identity: the old one would disown it.
        self._write((_STATE, _states(STARTED, steps)))

    def done(self, steps: Iterable[Marked]) -> None:
        """These steps are done: their keys, identities and tools."""
        self._write((_STATE, _states(DONE, steps)))

    def adopt(
        self,
        rows: Sequence[SandboxRow],
        new: Sequence[Step],
        held: Sequence[tuple[str, str]],
        done: Iterable[Marked],
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """Sandboxes that are up, with steps that are done, in one write: known as a whole or not at all."""
        built = building(rows, new, held, attachments, "up")
        self._write(*built, (_STATE, _states(DONE, done)), (_META, self._first_place()))

    def renew(self, row: StepRow, content: str) -> None:
        """
        The file of this step has another content from now on.

        Raises:
            TypeError: It makes no file.
        """
        step = row.step
        if not isinstance(step.effect, FileIs) or not isinstance(step.do, WriteFile):
            raise TypeError(f"{step.key} makes no file")
        new = replace(step, do=replace(step.do, content=content), effect=replace(step.effect, content=content))
        data = step_to_text(new)
        self._write(("UPDATE steps SET data = ?, crc = ? WHERE key = ?", [(data, checksum(step.key, data), step.key)]))

    def undone(self, keys: Iterable[str]) -> None:
        """These steps' results are gone."""
        gone = set(keys)
        if self._all_of_them(gone):  # SQLite drops a table's rows at once
            self._write(("DELETE FROM steps", [()]), ("DELETE FROM holders", [()]))
        else:
            values = each(gone)
            self._write(("DELETE FROM steps WHERE key = ?", values), ("DELETE FROM holders WHERE key = ?", values))

    def _all_of_them(self, keys: set[str]) -> bool:
        try:
            return keys.issuperset(self.keys())
        except Unwritable:  # even a read opens the journal's file: to undo, nothing needs to be known
            return False

    def removing(self, names: Iterable[str]) -> None:
        """These sandboxes, or attachments, are being taken down."""
        self._write(*_removing(names))

    def removed(self, names: Iterable[str]) -> None:
        """These sandboxes, or attachments, hold nothing any more."""
        values = each(names)
        self._write(
            (_LET_GO, values),
            (f"DELETE FROM holders WHERE {OF_SANDBOX}", values),  # noqa: S608
            (f"DELETE FROM attachments WHERE {OF_SANDBOX}", values),  # noqa: S608
            ("DELETE FROM sandboxes WHERE name = ?", values),
        )

    def finish(self, up: Iterable[str] = (), transaction: str | None = None) -> None:
        """
        The transaction is over; these sandboxes are up.

        Args:
            up: The sandboxes, with the attachments that were built.
            transaction: Which; None for all that are open. One that still has something to bring back stays open
                beside others.
        """
        over = ("DELETE FROM transactions WHERE id = ?1 OR ?1 IS NULL", [(transaction,)])
        self._write(
            *_up(up),
            over,
            (_META, self._first_place()),
        )

    def _first_place(self) -> list[tuple[Any, ...]]:
        # Which directory /run/netns is, once it is there: the first namespace makes it.
        if "dir" in self._home or not (place := netns_place()):
            return []
        self._home |= place
        return list(self._meta())

    def keep(self, names: Iterable[str]) -> None:
        """These sandboxes are up again, within a transaction that goes on."""
        self._write(*_up(names))

    def confirm(self, name: str) -> None:
        """The sandbox stays."""
        row = self.sandboxes()[name].confirmed()
        self._write(
            ("UPDATE sandboxes SET confirm_by = NULL, crc = ? WHERE name = ?", [(sandbox_values(row)[-1], name)])
        )

    def _write(self, *statements: tuple[str, list[tuple[Any, ...]]]) -> None:
        self._known = self._sandboxes = self._every = None
        try:
            self._write_once(statements)
        except Unwritable as e:
            if not self.best_effort:
                raise
            # Give the ballast back and try again; if this one is lost too, recovery will find its effects absent.
            files.drop_ballast(self.state_dir)
            try:
                self._write_once(statements)
            except Unwritable:
                self.failures.append(str(e))

    def _write_once(self, statements: Sequence[tuple[str, list[tuple[Any, ...]]]]) -> None:
        with self._db.writing() as conn:
            for sql, values in statements:
                conn.executemany(sql, values)


def _states(state: str, steps: Iterable[Marked]) -> list[tuple[Any, ...]]:
    values = []
    for key, identity, tools in steps:
        texts = (dumps(identity) if identity else "", dumps(tools) if tools else "")
        values.append((state, *texts, checksum(key, *texts), key))
    return values


_META = "INSERT OR REPLACE INTO meta VALUES(?, ?)"
_STATE = "UPDATE steps SET state = ?, identity = ?, tools = ?, identity_crc = ? WHERE key = ?"
_HOLD = f"FROM holders WHERE {OF_SANDBOX}"
_LET_GO = (
    f"UPDATE steps SET held = held - (SELECT count(*) {_HOLD} AND holders.key = steps.key)"  # noqa: S608
    f" WHERE key IN (SELECT key {_HOLD})"
)


def _removing(names: Iterable[str]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    values = each(names)
    return [
        ("UPDATE sandboxes SET state = 'removing' WHERE name = ?", values),
        (f"UPDATE attachments SET state = 'removing' WHERE {OF_SANDBOX}", values),  # noqa: S608
    ]


def _up(names: Iterable[str]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    values = each(names)
    return [
        ("UPDATE sandboxes SET state = 'up' WHERE name = ?", values),
        (f"UPDATE attachments SET state = 'up' WHERE state = 'building' AND {OF_SANDBOX}", values),  # noqa: S608
    ]
