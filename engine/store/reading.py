"""The journal, as far as it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec.json import Decoder

from nsctl.engine.model.attachment import Attachment, sandbox_of
from nsctl.engine.model.claims import CLAIM
from nsctl.engine.model.plan import Step, step_from_text
from nsctl.engine.store import files
from nsctl.engine.store.database import Damaged
from nsctl.engine.store.home import here
from nsctl.engine.store.rows import AttachmentRow, StepRow, Transaction
from nsctl.engine.store.sandboxes import STARTED, Sandboxes
from nsctl.engine.store.seals import checksum, dumps, intact, loads, use_key
from nsctl.engine.store.statements import OF_SANDBOX

__all__ = ["Records"]

_MANY = 200
"""Questions after which it pays to know all keys."""


class Records(Sandboxes):
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
        self.best_effort = False
        """Whether a write that fails is only noted, in `failures`; set by `Context.undoing` alone."""
        self.failures: list[str] = []
        self._asked = 0
        self._known: frozenset[str] | None = None
        self._decoded: dict[str, tuple[object, Step]] = {}
        self._every: list[StepRow] | None = None
        self.stale: list[StepRow] = []
        """Steps of an earlier boot, found on opening: nothing is undone, but their files may lie about."""
        super().__init__(state_dir, readonly=readonly, host=host, anywhere=anywhere)

    def verify(self) -> bool:
        """
        Whether all of it can be read, and SQLite finds nothing wrong with it.

        Raises:
            Damaged: A row is not as it was written.
        """
        self.sandboxes()
        self.steps()
        self.held_only_by(())
        self.attachments()
        self.transaction()
        return self._db.rows("PRAGMA quick_check") == [("ok",)]

    def _begin_anew(self, *, readonly: bool) -> None:
        if readonly:
            super()._begin_anew(readonly=readonly)
            return
        self.stale = list(self._steps("ORDER BY seq")) if self._used and self._has_key else []
        self._home = here()
        if not self._has_key:
            use_key(files.secret(self._host, make=True))
        with self._db.writing() as conn:
            for statement in _EMPTY:
                conn.execute(statement)
            conn.executemany("INSERT INTO meta VALUES(?, ?)", self._meta())

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
        """
        The steps that some sandboxes, or attachments, hold (all, if none is named), each once, in order of application.

        A sandbox's name stands for its attachments, too.
        """
        return self.steps_like("", names)

    def steps_like(self, beginning: str, names: Collection[str] = ()) -> list[StepRow]:
        """Those of them whose keys begin so."""
        if not names and (self._every is not None or not beginning):  # a look at everything asks several times
            rows = self._all_steps()
            return [row for row in rows if row.step.key.startswith(beginning)] if beginning else list(rows)
        which, values = "WHERE substr(key, 1, ?) = ?", (len(beginning), beginning)
        if not names:
            return list(self._steps(f"{which} ORDER BY seq", values))
        chosen = dumps(list(names))
        return list(self._steps(f"{which} AND key IN ({_HELD_BY}) ORDER BY seq", (*values, chosen, chosen)))

    def _all_steps(self) -> list[StepRow]:
        if self._every is None:
            self._every = list(self._steps("ORDER BY seq"))
        return self._every

    def unsettled(self) -> list[StepRow]:
        """The steps whose command may have run, and nobody wrote down how it went."""
        return list(self._steps("WHERE state = ? ORDER BY seq", (STARTED,)))

    def held_by(self, key: str) -> list[str]:
        """Who holds a step: sandboxes and attachments."""
        return _texts(self._rows("SELECT name FROM holders WHERE key = ? ORDER BY name", (key,)))

    def held(self, sandbox: str) -> list[tuple[str, str]]:
        """What a sandbox and its attachments hold: pairs of a step's key and the holder."""
        rows = self._rows(f"SELECT key, name FROM holders WHERE {OF_SANDBOX} ORDER BY name, key", (sandbox,))  # noqa: S608
        return [(key, name) for key, name in rows]

    def holders(self, key: str) -> list[str]:
        """The sandboxes that hold a step, themselves or by an attachment."""
        return sorted({sandbox_of(name) for name in self.held_by(key)})

    def attachments(self, sandbox: str = "") -> list[AttachmentRow]:
        """
        The attachments of a sandbox, or all.

        Raises:
            Damaged: A row is not as it was written.
        """
        which, values = ("WHERE name > ? AND name < ?", (f"{sandbox}/", f"{sandbox}0")) if sandbox else ("", ())
        found = []
        for name, data, state, _ in self._attachment_rows(which, values):
            try:
                found.append(AttachmentRow(_ATTACHMENT.decode(data), state))
            except ValueError as e:
                raise Damaged(f"the store's row of attachment {name!r} is damaged: {e}") from e
        return found

    def claims(self) -> list[tuple[str, str]]:
        """All claims, each with the sandbox that holds it."""
        # '0' comes after '/': a range of keys, by their index.
        rows = self._rows("SELECT key, name FROM holders WHERE key >= ? AND key < ?", (CLAIM, f"{CLAIM[:-1]}0"))
        return [(key, sandbox_of(name)) for (key, _), name in zip(rows, _texts(row[1:] for row in rows), strict=True)]

    def held_only_by(self, names: Iterable[str]) -> list[StepRow]:
        """
        The steps that nobody but these holds (or nobody at all), last applied first.

        A sandbox's name stands for its attachments, too.
        """
        wanted = set(names)
        if self._every is not None and wanted.issuperset(
            map(sandbox_of, _texts(self._rows("SELECT DISTINCT name FROM holders")))
        ):
            return self._every[::-1]
        return list(self._steps(f"WHERE NOT EXISTS ({_HELD_BY_OTHERS}) ORDER BY seq DESC", (dumps(sorted(wanted)),)))

    def _known_step(self, key: str, crc: object) -> Step | None:
        known = self._decoded.get(key)
        return known[1] if known is not None and known[0] == crc else None

    def _steps(self, which: str, values: tuple[Any, ...] = ()) -> Iterator[StepRow]:
        rows = self._step_rows(which, values)
        # A command reads most rows several times; the same seal stands for the same text.
        decoded = [self._known_step(key, crc) for _, key, _, crc, *_ in rows]
        for row, known in zip(rows, decoded, strict=True):
            seq, key, data, crc, state, identity, tools, *_ = row
            try:
                step = known or step_from_text(data)
                marks = _IDENTITY.decode(identity) if identity else None
                used = _TOOLS.decode(tools) if tools else None
            except ValueError as e:
                raise Damaged(f"the store's row of step {key!r} is damaged: {e}") from e
            self._decoded[key] = (crc, step)
            yield StepRow(seq, step, state, marks or None, used or {})


_ATTACHMENT = Decoder(Attachment)
_IDENTITY = Decoder(dict[str, int] | None)
_TOOLS = Decoder(dict[str, str] | None)


def _texts(rows: Iterable[tuple[Any, ...]]) -> list[str]:
    # A flipped bit can make something else of a text.
    found = [name for (name,) in rows]
    if not all(isinstance(name, str) for name in found):
        raise Damaged("the store's row of who holds a step is damaged")
    return found


_HELD_BY = (
    "SELECT holders.key FROM json_each(?) AS chosen CROSS JOIN holders ON name = chosen.value UNION "
    "SELECT holders.key FROM json_each(?) AS chosen CROSS JOIN holders ON name > chosen.value || '/'"
    " AND name < chosen.value || '0'"
)
_HELD_BY_OTHERS = (
    "SELECT 1 FROM holders WHERE holders.key = steps.key AND name NOT IN (SELECT value FROM json_each(?1))"
    " AND substr(name, 1, instr(name || '/', '/') - 1) NOT IN (SELECT value FROM json_each(?1))"
)
_EMPTY = (
    "DELETE FROM sandboxes",
    "DELETE FROM attachments",
    "DELETE FROM steps",
    "DELETE FROM holders",
    "DELETE FROM transactions",
    "DELETE FROM meta",
)
