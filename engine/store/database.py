"""
The SQLite connection, and what its errors mean.

The journal mode is PERSIST: with 0 bytes free a WAL database can't even be read and DELETE or TRUNCATE can't delete,
PERSIST can (measured).
`synchronous` is OFF: a killed process loses nothing that it handed to the kernel, and after a power failure the rows
are void anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsctl.engine.model.errors import Refused

if TYPE_CHECKING:
    import sqlite3
else:
    import _sqlite3 as sqlite3  # without dates, which are 1.5 ms: see `nsctl.engine.lazy_imports`

__all__ = ["SCHEMA", "Damaged", "Database", "Elsewhere", "Unwritable"]

SCHEMA = 4
_TABLES = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sandboxes(
  name TEXT PRIMARY KEY, data TEXT NOT NULL, state TEXT NOT NULL, confirm_by REAL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attachments(
  name TEXT PRIMARY KEY, data TEXT NOT NULL, state TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, data TEXT NOT NULL, crc INTEGER NOT NULL,
  state TEXT NOT NULL, identity TEXT, tools TEXT, identity_crc INTEGER, held INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS holders(key TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY(key, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holders_by_name ON holders(name);
CREATE TABLE IF NOT EXISTS transactions(
  id TEXT PRIMARY KEY, operation TEXT NOT NULL, restore TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
"""
_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    }
)


class Unwritable(Refused):
    """The store can't be written: disk full, read-only, I/O error."""


class Elsewhere(Unwritable):
    """The store's rows speak of what can't be seen from here."""


class Damaged(Refused):
    """The store is not what nsctl wrote."""


class Database:
    """
    A connection whose every failure is either `Damaged` or `Unwritable`.

    Args:
        path: The file.
        readonly: Only look; never makes or changes a file.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self.empty = False
        """Opened to look only, before anything was written."""
        with self._faults():
            if not readonly:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            # immutable would ignore a running nsctl's locks; mode=ro takes part in them.
            self._conn = self._connect("ro" if readonly else "rw")
            try:
                self._prepare(readonly=readonly)
            except BaseException:
                self._conn.close()
                raise

    def _connect(self, mode: str) -> sqlite3.Connection:
        path = str(self.path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        where = f"file:{path}?mode={mode}"
        return sqlite3.connect(where, uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)

    def _prepare(self, *, readonly: bool) -> None:
        version = self._read("PRAGMA user_version")[0][0]
        self._conn.execute("PRAGMA temp_store=MEMORY")
        if not readonly:
            self._conn.execute("PRAGMA journal_mode=PERSIST")
            self._conn.execute("PRAGMA synchronous=OFF")
        if version == SCHEMA:
            return
        if version or self._conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise Unwritable(
                f"the store {self.path} has version {version}, this nsctl uses {SCHEMA}",
                hint="take down what is up with the nsctl that made it",
            )
        self.empty = readonly
        if not readonly:
            self._conn.executescript(f"BEGIN;{_TABLES}PRAGMA user_version={SCHEMA};COMMIT;")

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._conn.execute(sql, values).fetchall()
        except sqlite3.OperationalError as e:
            if getattr(e, "sqlite_errorcode", 0) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # An nsctl was killed in mid-write: what it had begun has to be taken back before anybody can read. Or it has
        # just begun: who may only read is told of that, too, since SQLite looks again only where it may write.
        self._conn.close()
        self._conn = self._connect("rw")
        self._conn.execute("PRAGMA query_only=ON")
        return self._conn.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._conn.close()

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """
        The rows of a query.

        Raises:
            Damaged, Unwritable: The file is not what it should be, or can't be read.
        """
        with self._faults():
            return self._read(sql, values)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """
        One SQLite transaction.

        Raises:
            Damaged, Unwritable: Nothing of it was written.
        """
        with self._faults():
            self._conn.execute("BEGIN IMMEDIATE")
            try:
                yield self._conn
                self._conn.execute("COMMIT")
            except BaseException:
                if self._conn.in_transaction:
                    with suppress(sqlite3.Error):  # the first error is the one to report
                        self._conn.execute("ROLLBACK")
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as e:
            code = getattr(e, "sqlite_errorcode", 0) & 0xFF
            if code in _UNWRITABLE:
                raise Unwritable(f"the store {self.path} can't be used: {e}", hint="free some space under /run") from e
            raise Damaged(f"the store {self.path} is damaged: {e}") from e
        except (MemoryError, OverflowError, ValueError) as e:  # what sqlite3 makes of sizes and text that can't be
            raise Damaged(f"the store {self.path} is damaged: {e}") from e
        except OSError as e:
            raise Unwritable(f"the store {self.path} can't be opened: {e.strerror}") from e
