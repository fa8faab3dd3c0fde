"""
The SQLite connection, and what its errors mean.

The journal mode is PERSIST: with 0 bytes free a WAL database can't even be read and DELETE or TRUNCATE can't delete,
PERSIST can (measured).
`synchronous` is OFF: a killed process loses nothing that it handed to the kernel, and after a power failure the rows
are void anyway.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nsctl.engine.errors import Refused

__all__ = ["SCHEMA", "Damaged", "Database", "Unwritable"]

SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sandboxes(
  name TEXT PRIMARY KEY, data TEXT NOT NULL, state TEXT NOT NULL, info TEXT NOT NULL, confirm_by REAL,
  crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, data TEXT NOT NULL, state TEXT NOT NULL,
  mark TEXT, tools TEXT, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS holders(key TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY(key, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holders_by_name ON holders(name);
CREATE TABLE IF NOT EXISTS transactions(
  id TEXT PRIMARY KEY, operation TEXT NOT NULL, restore TEXT NOT NULL) WITHOUT ROWID;
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
    """
    The store can't be written: disk full, read-only, I/O error.
    """


class Damaged(Refused):
    """
    The store is not what nsctl wrote.
    """


class Database:
    """
    A connection whose every failure is either `Damaged` or `Unwritable`.

    Args:
        path: The file.
        readonly: Only look; never makes or changes a file.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        with self._faults():
            if readonly:
                # immutable would ignore a running nsctl's locks; mode=ro takes part in them.
                self._conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
            else:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
                self._conn = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
                self._conn.execute("PRAGMA journal_mode=PERSIST")
                self._conn.execute("PRAGMA synchronous=OFF")
            self._conn.execute("PRAGMA temp_store=MEMORY")
            version = self._conn.execute("PRAGMA user_version").fetchone()[0]
            if version != SCHEMA and not readonly:
                if version or self._conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise Damaged(f"the store {path} has version {version}, this nsctl uses {SCHEMA}")
                self._conn.executescript(f"BEGIN;{_TABLES}PRAGMA user_version={SCHEMA};COMMIT;")

    def close(self) -> None:
        """
        Close the file.
        """
        self._conn.close()

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """
        The rows of a query.

        Raises:
            Damaged, Unwritable: The file is not what it should be, or can't be read.
        """
        with self._faults():
            return self._conn.execute(sql, values).fetchall()

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
        except OSError as e:
            raise Unwritable(f"the store {self.path} can't be opened: {e.strerror}") from e
