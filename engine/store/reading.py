"""The journal, as far as it is read; and whether what it says can be believed, here and now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nsctl.engine.model.plan import Step, step_from_json
from nsctl.engine.store import files
from nsctl.engine.store.database import Damaged, Database, Elsewhere, Unwritable
from nsctl.engine.store.home import check_home, here
from nsctl.engine.store.rows import (
    DONE,
    INTENT,
    STARTED,
    SandboxRow,
    StepRow,
    Transaction,
    all_loads,
    checksum,
    dumps,
    intact,
    loads,
    use_key,
)

__all__ = ["Records"]

_MANY = 200
"""Questions after which it pays to know all keys."""
_STATES = frozenset({INTENT, STARTED, DONE})


class Records:
    """
    What nsctl did and is about to do, to be read.

    Args:
        state_dir: nsctl's directory; it exists.
        readonly: Only look.
        host: The directory with the key that rows are sealed with; the same, if not given.
        anywhere: Also where what the rows speak of can't be seen: for who only wants to know what is held at all.
    """

    def __init__(
        self, state_dir: Path, *, readonly: bool = False, host: Path | None = None, anywhere: bool = False
    ) -> None:
        self.state_dir = state_dir
        self._host = host or state_dir
        self._home: dict[str, str] = {}
        self._used = False
        self.at_home = True
        """Whether what the rows speak of can be seen from here."""
        self.best_effort = False
        """Whether a write that fails is only noted, in `failures`; set by `Context.undoing` alone."""
        self.failures: list[str] = []
        self._asked = 0
        self._known: frozenset[str] | None = None
        self._sandboxes: dict[str, SandboxRow] | None = None
        self._decoded: dict[str, tuple[object, Step]] = {}
        self.stale: list[StepRow] = []
        """Steps of an earlier boot, found on opening: nothing is undone, but their files may lie about."""
        self._db = Database(state_dir / "state.db", readonly=readonly)
        self._void = self._db.empty
        try:
            self._has_key = self._take_key(readonly=readonly)
            self._void_if_elsewhere(readonly=readonly, anywhere=anywhere)
        except BaseException:
            self._db.close()
            raise

    def _take_key(self, *, readonly: bool) -> bool:
        # A store that is in use has its key already: a new one would fit none of its rows.
        self._used = not self._void and any(self._db.rows(sql) for sql in _ANYTHING)
        try:
            key = files.secret(self._host, make=not readonly and not self._used)
        except OSError as e:
            raise Unwritable(f"the key {self._host}/key can't be read or made: {e.strerror}") from e
        use_key(key)
        return bool(key)

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def verify(self) -> bool:
        """
        Whether all of it can be read, and SQLite finds nothing wrong with it.

        Raises:
            Damaged: A row is not as it was written.
        """
        self.sandboxes()
        self.steps()
        self.held_only_by(())
        self.transaction()
        return self._db.rows("PRAGMA quick_check") == [("ok",)]

    def _void_if_elsewhere(self, *, readonly: bool, anywhere: bool) -> None:
        # The rows speak of one boot and of certain namespaces; after a reboot they say nothing, elsewhere too little.
        if self._void:
            return
        boot = files.boot_id()
        there = dict(self._db.rows("SELECT key, value FROM meta"))
        same_boot = there.get("boot_id") == boot
        if self._used:
            self._check_meta(there, same_boot=same_boot)
            if same_boot:
                self._home = loads(there["home"])
                self._check_home(anywhere=anywhere)
                return
        elif same_boot and intact(there.get("crc"), boot, there.get("home")):
            self._home = loads(there["home"])
            if here().items() <= self._home.items():
                return
        if readonly:
            self._void = True
            return
        self.stale = list(self._steps("ORDER BY seq")) if self._used and self._has_key else []
        self._home = here()
        if not self._has_key:
            use_key(files.secret(self._host, make=True))
        with self._db.writing() as conn:
            for statement in _EMPTY:
                conn.execute(statement)
            conn.executemany("INSERT INTO meta VALUES(?, ?)", self._meta())

    def _check_meta(self, there: Mapping[str, Any], *, same_boot: bool) -> None:
        if not there:
            raise Damaged(f"the store {self._db.path} is damaged: it does not say which boot it is of")
        if not self._has_key and same_boot:
            raise Unwritable(
                f"{self._host}/key is missing, so nobody can tell whether {self._db.path} is as nsctl wrote it",
                hint="put the file back; else move the store away, and see: nsctl recover --scan",
            )
        if self._has_key and not intact(there.get("crc"), there.get("boot_id"), there.get("home")):
            raise Damaged(f"the store {self._db.path} is damaged: nobody can tell which boot it is of")

    def _check_home(self, *, anywhere: bool) -> None:
        try:
            check_home(self._home, str(self.state_dir))
        except Elsewhere:
            self.at_home = False
            if not anywhere:
                raise

    def _meta(self) -> list[tuple[str, str]]:
        boot, home = files.boot_id(), dumps(self._home)
        return [("boot_id", boot), ("home", home), ("crc", str(checksum(boot, home)))]

    # -- reading

    def transaction(self) -> Transaction | None:
        """The transaction that a dead nsctl left open; several are joined: what each had to bring back is owed."""
        found: Transaction | None = None
        for tx, operation, restore, crc in self._rows("SELECT id, operation, restore, crc FROM transactions"):
            if not intact(crc, tx, operation, restore):
                raise Damaged(f"the store's row of transaction {tx!r} is damaged")
            one = Transaction(tx, operation, loads(restore))
            if found is None:
                found = one
            else:
                found.restore.extend(one.restore)
        return found

    def sandboxes(self) -> dict[str, SandboxRow]:
        """All sandboxes, by name."""
        if self._sandboxes is None:
            self._sandboxes = self._read_sandboxes()
        return dict(self._sandboxes)

    def _read_sandboxes(self) -> dict[str, SandboxRow]:
        rows = self._rows("SELECT name, data, state, info, confirm_by, crc FROM sandboxes ORDER BY name")
        for name, data, state, info, confirm_by, crc in rows:
            if not intact(crc, name, data, info, repr(confirm_by)) or state not in ("building", "up", "removing"):
                raise Damaged(f"the store's row of sandbox {name!r} is damaged")
        out = {}
        for (name, _, state, _, confirm_by, _), (fixed, info) in zip(
            rows, all_loads([(row[1], row[3]) for row in rows]), strict=True
        ):
            owner = fixed.pop("owner")
            out[name] = SandboxRow(
                name=name,
                state=state,
                info=info,
                confirm_by=confirm_by,
                isolate=tuple(fixed.pop("isolate")),
                command=tuple(fixed.pop("command")),
                owner=tuple(owner) if owner else None,
                **fixed,
            )
        return out

    def step(self, key: str) -> StepRow | None:
        """The step of this key."""
        self._asked += 1
        if self._asked > _MANY:
            # A lab file asks for thousands that are not there: one look at all keys is cheaper than that.
            if self._known is None:
                self._known = frozenset(self.keys())
            if key not in self._known:
                return None
        for row in self._steps("WHERE key = ?", (key,)):
            return row
        return None

    def keys(self) -> list[str]:
        """All keys, in order of application."""
        return [k for (k,) in self._rows("SELECT key FROM steps ORDER BY seq")]

    def steps(self, *names: str) -> list[StepRow]:
        """The steps that some sandboxes hold (all, if none is named), each once, in order of application."""
        return self.steps_like("", names)

    def steps_like(self, beginning: str, names: Collection[str] = ()) -> list[StepRow]:
        """Those of them whose keys begin so."""
        which, values = "WHERE substr(key, 1, ?) = ?", (len(beginning), beginning)
        if not names:
            return list(self._steps(f"{which} ORDER BY seq", values))
        held = "key IN (SELECT key FROM holders WHERE name IN (SELECT value FROM json_each(?)))"
        return list(self._steps(f"{which} AND {held} ORDER BY seq", (*values, dumps(list(names)))))

    def unsettled(self) -> list[StepRow]:
        """The steps whose command may have run, and nobody wrote down how it went."""
        return list(self._steps("WHERE state = ? ORDER BY seq", (STARTED,)))

    def holders(self, key: str) -> list[str]:
        """Who holds a step."""
        return [n for (n,) in self._rows("SELECT name FROM holders WHERE key = ? ORDER BY name", (key,))]

    def held_only_by(self, names: Iterable[str]) -> list[StepRow]:
        """The steps that nobody but these holds (or nobody at all), last applied first."""
        chosen = dumps(sorted(names))
        return list(
            self._steps(
                "WHERE NOT EXISTS (SELECT 1 FROM holders WHERE holders.key = steps.key"
                " AND holders.name NOT IN (SELECT value FROM json_each(?))) ORDER BY seq DESC",
                (chosen,),
            )
        )

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return [] if self._void else self._db.rows(sql, values)

    def _known_step(self, key: str, crc: object) -> Step | None:
        known = self._decoded.get(key)
        return known[1] if known is not None and known[0] == crc else None

    def _steps(self, which: str, values: tuple[Any, ...] = ()) -> Iterator[StepRow]:
        rows = self._rows(f"{_STEPS} {which}", values)
        for _, key, data, crc, state, identity, tools, identity_crc, held, holders in rows:
            good = intact(crc, key, data) and intact(identity_crc, key, identity or "", tools or "")
            # A holder that is missing here would let go of what a sandbox needs.
            if not good or state not in _STATES or held != holders:
                raise Damaged(f"the store's row of step {key!r} is damaged")
        # A command reads most rows several times; the same seal stands for the same text.
        decoded = [self._known_step(key, crc) for _, key, _, crc, *_ in rows]
        texts = [
            ("null" if step else row[2], row[5] or "null", row[6] or "null")
            for row, step in zip(rows, decoded, strict=True)
        ]
        for n, (data, identity, tools) in enumerate(all_loads(texts)):
            seq, key, _, crc, state, *_ = rows[n]
            step = decoded[n]
            if step is None:
                try:
                    step = step_from_json(data)
                except (KeyError, TypeError, ValueError, AttributeError) as e:
                    raise Damaged(f"the store's row of step {key!r} is damaged: {e}") from e
                self._decoded[key] = (crc, step)
            yield StepRow(seq, step, state, identity or None, tools or {})


_STEPS = (
    "SELECT seq, key, data, crc, state, identity, tools, identity_crc, held,"
    " (SELECT count(*) FROM holders WHERE holders.key = steps.key) FROM steps"
)
_ANYTHING = tuple(f"SELECT 1 FROM {table} LIMIT 1" for table in ("sandboxes", "steps", "transactions"))  # noqa: S608
_EMPTY = (
    "DELETE FROM sandboxes",
    "DELETE FROM steps",
    "DELETE FROM holders",
    "DELETE FROM transactions",
    "DELETE FROM meta",
)
