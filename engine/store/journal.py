"""
The journal: what the executor asks of the store.

Forward, a write that fails stops the change (everything is undone).
Backward, it does not: while undoing, `lenient` remembers the failure and goes on, for undoing is idempotent and
the kernel, not the store, says what is left.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nsctl.engine.plan import Step, step_from_json, step_to_json
from nsctl.engine.store import files
from nsctl.engine.store.database import Damaged, Database, Unwritable
from nsctl.engine.store.rows import DONE, INTENT, STARTED, SandboxRow, StepRow, Transaction, checksum, dumps

__all__ = ["Journal"]

_STATES = frozenset({INTENT, STARTED, DONE})
_FIXED = ("mode", "options", "isolate", "command", "settings", "created", "created_boot", "owner", "source")


class Journal:
    """
    What nsctl did and is about to do.

    Args:
        state_dir: nsctl's directory; it exists.
        readonly: Only look.
    """

    def __init__(self, state_dir: Path, *, readonly: bool = False) -> None:
        self.state_dir = state_dir
        self.lenient = False
        self.failures: list[str] = []
        self.stale: list[StepRow] = []
        """Steps of an earlier boot, found when the store was opened: nothing is undone, but their files may lie about."""
        self._db = Database(state_dir / "state.db", readonly=readonly)
        if not readonly:
            self._void_if_elsewhere()

    def close(self) -> None:
        """
        Close the store.
        """
        self._db.close()

    @classmethod
    def set_aside(cls, state_dir: Path) -> Path:
        """
        Move a damaged store out of the way, and say where to.
        """
        target = state_dir / f"state.db.damaged-{int(time.time())}-{os.getpid()}"
        os.rename(state_dir / "state.db", target)
        for suffix in ("-journal", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(state_dir / f"state.db{suffix}")
        return target

    def _void_if_elsewhere(self) -> None:
        # The rows speak of one boot and one network namespace; anywhere else they say nothing.
        here = {"boot_id": files.boot_id(), "netns": str(files.netns_inode())}
        there = dict(self._db.rows("SELECT key, value FROM meta"))
        if there == here:
            return
        same_boot = there.get("boot_id") == here["boot_id"]
        if same_boot and self._db.rows("SELECT 1 FROM sandboxes LIMIT 1"):
            raise Unwritable(
                f"{self.state_dir} holds sandboxes of another network namespace's host",
                hint="run nsctl where they were made, or set NSCTL_STATE_DIR",
            )
        if there and not same_boot:
            self.stale = list(self._steps("ORDER BY seq"))
        with self._db.writing() as conn:
            for statement in _EMPTY:
                conn.execute(statement)
            conn.executemany("INSERT INTO meta VALUES(?, ?)", here.items())

    # -- reading

    def transaction(self) -> Transaction | None:
        """
        The transaction that a dead nsctl left open.
        """
        for tx, operation, restore in self._db.rows("SELECT id, operation, restore FROM transactions"):
            return Transaction(tx, operation, _loads(restore))
        return None

    def sandboxes(self) -> dict[str, SandboxRow]:
        """
        All sandboxes, by name.
        """
        out = {}
        for name, data, state, info, confirm_by, crc in self._db.rows(
            "SELECT name, data, state, info, confirm_by, crc FROM sandboxes ORDER BY name"
        ):
            if checksum(name, data, info) != crc or state not in ("building", "up", "removing"):
                raise Damaged(f"the store's row of sandbox {name!r} is damaged")
            fixed = _loads(data)
            owner = fixed.pop("owner")
            out[name] = SandboxRow(
                name=name,
                state=state,
                info=_loads(info),
                confirm_by=confirm_by,
                isolate=tuple(fixed.pop("isolate")),
                command=tuple(fixed.pop("command")),
                owner=tuple(owner) if owner else None,
                **fixed,
            )
        return out

    def step(self, key: str) -> StepRow | None:
        """
        The step of this key.
        """
        for row in self._steps("WHERE key = ?", (key,)):
            return row
        return None

    def keys(self) -> list[str]:
        """
        All keys, in order of application.
        """
        return [k for (k,) in self._db.rows("SELECT key FROM steps ORDER BY seq")]

    def steps(self, name: str | None = None) -> list[StepRow]:
        """
        The steps that a sandbox holds (or all), in order of application.
        """
        if name is None:
            return list(self._steps("ORDER BY seq"))
        return list(self._steps("WHERE key IN (SELECT key FROM holders WHERE name = ?) ORDER BY seq", (name,)))

    def holders(self, key: str) -> list[str]:
        """
        Who holds a step.
        """
        return [n for (n,) in self._db.rows("SELECT name FROM holders WHERE key = ? ORDER BY name", (key,))]

    def held_only_by(self, names: Iterable[str]) -> list[StepRow]:
        """
        The steps that nobody but these holds (or nobody at all), last applied first.
        """
        chosen = dumps(sorted(names))
        return list(
            self._steps(
                "WHERE NOT EXISTS (SELECT 1 FROM holders WHERE holders.key = steps.key"
                " AND holders.name NOT IN (SELECT value FROM json_each(?))) ORDER BY seq DESC",
                (chosen,),
            )
        )

    def _steps(self, which: str, values: tuple[Any, ...] = ()) -> Iterator[StepRow]:
        sql = f"SELECT seq, key, data, state, mark, tools, crc FROM steps {which}"  # noqa: S608 - constants of this file
        for seq, key, data, state, mark, tools, crc in self._db.rows(sql, values):
            if checksum(key, data) != crc or state not in _STATES:
                raise Damaged(f"the store's row of step {key!r} is damaged")
            try:
                step = step_from_json(_loads(data))
            except (KeyError, TypeError, ValueError) as e:
                raise Damaged(f"the store's row of step {key!r} is damaged: {e}") from e
            yield StepRow(seq, step, state, _loads(mark) if mark else None, _loads(tools) if tools else {})

    # -- writing

    def begin(
        self,
        transaction: Transaction,
        rows: Sequence[SandboxRow],
        new: Sequence[Step],
        held: Sequence[tuple[str, str]],
        removing: Iterable[str],
    ) -> None:
        """
        Everything that is about to happen, in one write.

        Args:
            transaction: The transaction.
            rows: The sandboxes that will be built.
            new: The steps that are not in the store yet.
            held: Pairs of step key and sandbox name.
            removing: The sandboxes that will be taken down.
        """
        opened = (transaction.id, transaction.operation, dumps(transaction.restore))
        self._write(
            ("INSERT INTO transactions VALUES(?, ?, ?)", [opened]),
            *_building(rows, new, held),
            (_REMOVING, _each(removing)),
        )

    def build(self, rows: Sequence[SandboxRow], new: Sequence[Step], held: Sequence[tuple[str, str]]) -> None:
        """
        More sandboxes for the transaction that is open.
        """
        self._write(*_building(rows, new, held))

    def started(self, keys: Iterable[str]) -> None:
        """
        The commands of these steps are about to run.
        """
        self._write(("UPDATE steps SET state = ? WHERE key = ?", [(STARTED, key) for key in keys]))

    def done(self, steps: Iterable[tuple[str, Mapping[str, int] | None, Mapping[str, str]]]) -> None:
        """
        These steps are done: their keys, marks and tools.
        """
        values = [
            (DONE, dumps(mark) if mark else None, dumps(tools) if tools else None, key) for key, mark, tools in steps
        ]
        self._write(("UPDATE steps SET state = ?, mark = ?, tools = ? WHERE key = ?", values))

    def undone(self, keys: Iterable[str]) -> None:
        """
        These steps' results are gone.
        """
        values = _each(keys)
        self._write(("DELETE FROM steps WHERE key = ?", values), ("DELETE FROM holders WHERE key = ?", values))

    def removing(self, names: Iterable[str]) -> None:
        """
        These sandboxes are being taken down.
        """
        self._write((_REMOVING, _each(names)))

    def removed(self, names: Iterable[str]) -> None:
        """
        These sandboxes hold nothing any more.
        """
        values = _each(names)
        self._write(("DELETE FROM holders WHERE name = ?", values), ("DELETE FROM sandboxes WHERE name = ?", values))

    def finish(self, up: Iterable[str] = ()) -> None:
        """
        The transaction is over; these sandboxes are up.
        """
        self._write(("UPDATE sandboxes SET state = 'up' WHERE name = ?", _each(up)), ("DELETE FROM transactions", [()]))

    def keep(self, names: Iterable[str]) -> None:
        """
        These sandboxes are up again, within a transaction that goes on.
        """
        self._write(("UPDATE sandboxes SET state = 'up' WHERE name = ?", _each(names)))

    def confirm(self, name: str) -> None:
        """
        The sandbox stays.
        """
        self._write(("UPDATE sandboxes SET confirm_by = NULL WHERE name = ?", [(name,)]))

    def _write(self, *statements: tuple[str, list[tuple[Any, ...]]]) -> None:
        try:
            self._write_once(statements)
        except Unwritable as e:
            if not self.lenient:
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


_EMPTY = (
    "DELETE FROM sandboxes",
    "DELETE FROM steps",
    "DELETE FROM holders",
    "DELETE FROM transactions",
    "DELETE FROM meta",
)
_REMOVING = "UPDATE sandboxes SET state = 'removing' WHERE name = ?"


def _each(words: Iterable[str]) -> list[tuple[Any, ...]]:
    return [(w,) for w in words]


def _building(
    rows: Sequence[SandboxRow], new: Sequence[Step], held: Sequence[tuple[str, str]]
) -> tuple[tuple[str, list[tuple[Any, ...]]], ...]:
    encoded = [(s.key, dumps(step_to_json(s))) for s in new]
    return (
        (
            "INSERT INTO sandboxes(name, data, state, info, confirm_by, crc) VALUES(?, ?, ?, ?, ?, ?)",
            [_sandbox_values(r) for r in rows],
        ),
        (
            "INSERT INTO steps(key, data, state, crc) VALUES(?, ?, ?, ?)",
            [(k, data, INTENT, checksum(k, data)) for k, data in encoded],
        ),
        ("INSERT OR IGNORE INTO holders VALUES(?, ?)", list(held)),
    )


def _loads(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(text)
    except ValueError as e:
        raise Damaged(f"the store holds something that is not JSON: {e}") from e


def _sandbox_values(row: SandboxRow) -> tuple[Any, ...]:
    data = dumps({k: getattr(row, k) for k in _FIXED})
    info = dumps(row.info)
    return row.name, data, row.state, info, row.confirm_by, checksum(row.name, data, info)
