from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from nsctl.engine.store import Damaged, Journal, SandboxRow, StepRow, Transaction, Unwritable, quarantine
from tests.engine.store.conftest import bring_up, step, take_down

FLIPS = 400
CUTS = 120


@pytest.fixture
def healthy(state_dir: Path) -> bytes:
    """The bytes of a store with two sandboxes that are up, and one that a dead nsctl was building."""
    journal = Journal(state_dir)
    bring_up(journal, "web")
    bring_up(journal, "db")
    kept = [{"plan": {"nsctl_plan": 1}}]
    journal.begin(Transaction("t", "up", kept), [], [step("link/new")], [("link/new", "web")], ["db"])
    journal.close()
    return (state_dir / "state.db").read_bytes()


class Truth:
    """What a healthy store says: whatever a damaged one says has to be part of it."""

    def __init__(self, state_dir: Path) -> None:
        journal = Journal(state_dir)
        self.steps = {row.seq: row for row in journal.steps()}
        self.sandboxes = journal.sandboxes()
        self.transaction = journal.transaction()
        names: tuple[list[str], ...] = ([], ["web"], ["db"], ["web", "db"])
        self.let_go = [(chosen, {row.seq for row in journal.held_only_by(chosen)}) for chosen in names]
        journal.close()

    def check(self, journal: Journal) -> None:
        questions: tuple[Callable[[], None], ...] = (
            lambda: self._steps(journal.steps()),
            lambda: self._steps(journal.unsettled()),
            lambda: self._steps([row for key in ("link/br0", "link/web") if (row := journal.step(key)) is not None]),
            lambda: self._sandboxes(journal.sandboxes()),
            lambda: self._transaction(journal.transaction()),
            lambda: self._let_go(journal),
            lambda: self._words(journal),
        )
        for question in questions:
            with suppress(Damaged, Unwritable):
                question()

    def _steps(self, rows: list[StepRow]) -> None:
        for row in rows:
            assert replace(row, seq=0) in [replace(good, seq=0) for good in self.steps.values()]

    def _sandboxes(self, rows: dict[str, SandboxRow]) -> None:
        for name, row in rows.items():
            assert row == self.sandboxes[name]

    def _transaction(self, transaction: Transaction | None) -> None:
        assert transaction in (None, self.transaction)

    def _let_go(self, journal: Journal) -> None:
        for names, good in self.let_go:
            wanted = {self.steps[seq].step.key for seq in good}
            assert {row.step.key for row in journal.held_only_by(names)} <= wanted, names

    def _words(self, journal: Journal) -> None:
        journal.keys()
        journal.holders("link/br0")


@pytest.fixture
def truth(healthy: bytes, state_dir: Path) -> Truth:
    assert healthy
    return Truth(state_dir)


def look(state_dir: Path, content: bytes, truth: Truth) -> None:
    """Read a store with this content in both ways, and take a sandbox down by it."""
    for readonly in (True, False):
        put(state_dir, content)
        with suppress(Damaged, Unwritable):
            journal = Journal(state_dir, readonly=readonly)
            try:
                truth.check(journal)
                if not readonly:
                    journal.best_effort = True
                    take_down(journal, "web")
            finally:
                journal.close()


def put(state_dir: Path, content: bytes) -> None:
    (state_dir / "state.db").write_bytes(content)
    (state_dir / "state.db-journal").unlink(missing_ok=True)


def test_no_flipped_bit_makes_a_wrong_row(state_dir: Path, healthy: bytes, truth: Truth) -> None:
    chance = random.Random(20261123)  # noqa: S311 - the same bits each time
    used = [n for n, byte in enumerate(healthy) if byte]  # most of the file is empty
    for _ in range(FLIPS):
        flipped = bytearray(healthy)
        flipped[chance.choice(used)] ^= 1 << chance.randrange(8)
        look(state_dir, bytes(flipped), truth)


def test_no_zeroed_block_makes_a_wrong_row(state_dir: Path, healthy: bytes, truth: Truth) -> None:
    for start in range(0, len(healthy), 512):
        look(state_dir, healthy[:start] + bytes(512) + healthy[start + 512 :], truth)


def test_no_cut_makes_a_wrong_row(state_dir: Path, healthy: bytes, truth: Truth) -> None:
    for n in range(CUTS):
        look(state_dir, healthy[: len(healthy) * n // CUTS], truth)


def test_no_damaged_rollback_journal_makes_a_wrong_row(state_dir: Path, healthy: bytes, truth: Truth) -> None:
    chance = random.Random(7)  # noqa: S311 - the same bytes each time
    for size in (0, 1, 28, 511, 512, 513, 5000):
        for magic in (b"", bytes.fromhex("d9d505f920a163d7")):
            put(state_dir, healthy)
            (state_dir / "state.db-journal").write_bytes((magic + chance.randbytes(size))[: size + len(magic)])
            with suppress(Damaged, Unwritable):
                journal = Journal(state_dir)
                truth.check(journal)
                journal.close()


@pytest.mark.parametrize("content", [b"junk", b"junk" * 5000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_what_is_no_store_is_damaged_and_can_be_set_aside(state_dir: Path, content: bytes) -> None:
    put(state_dir, content)
    with pytest.raises(Damaged):
        Journal(state_dir)
    kept = quarantine.set_aside(state_dir)
    assert kept.read_bytes() == content
    assert kept.parent == state_dir
    Journal(state_dir).close()


def test_setting_aside_what_is_not_there_is_an_error_and_no_traceback(state_dir: Path) -> None:
    with pytest.raises(Unwritable, match="can't be set aside"):
        quarantine.set_aside(state_dir)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE steps SET data = replace(data, 'br0', 'br9')",
        "UPDATE steps SET key = 'link/eth0' WHERE key = 'link/web'",
        "UPDATE steps SET identity = '{\"index\":8}'",
        'UPDATE steps SET tools = \'{"iptables":"legacy"}\'',
        "UPDATE steps SET state = 'gone'",
        "UPDATE steps SET data = 7",
        "UPDATE steps SET crc = 'x'",
        "DELETE FROM holders WHERE name = 'db'",
        "UPDATE holders SET key = 'link/web' WHERE key = 'link/br0' AND name = 'db'",
    ],
)
def test_a_step_row_that_nsctl_did_not_write_is_damaged(state_dir: Path, healthy: bytes, sql: str) -> None:
    put(state_dir, healthy)
    journal = Journal(state_dir)
    with journal._db.writing() as conn:
        conn.execute(sql)
    with pytest.raises(Damaged):
        journal.held_only_by(["web", "db"])
    journal.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE sandboxes SET data = replace(data, 'bridge', 'host')",
        "UPDATE sandboxes SET data = '{}'",
        "UPDATE sandboxes SET name = 'wec' WHERE name = 'web'",
        "UPDATE sandboxes SET state = 'upp'",
        "UPDATE sandboxes SET confirm_by = 1.0",
    ],
)
def test_a_sandbox_row_that_nsctl_did_not_write_is_damaged(state_dir: Path, healthy: bytes, sql: str) -> None:
    put(state_dir, healthy)
    journal = Journal(state_dir)
    with journal._db.writing() as conn:
        conn.execute(sql)
    with pytest.raises(Damaged):
        journal.sandboxes()
    journal.close()


def test_a_transaction_that_nsctl_did_not_write_is_damaged(state_dir: Path, healthy: bytes) -> None:
    put(state_dir, healthy)
    journal = Journal(state_dir)
    with journal._db.writing() as conn:
        conn.execute("UPDATE transactions SET restore = '[]'")
    with pytest.raises(Damaged):
        journal.transaction()
    journal.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE meta SET value = 'another boot' WHERE key = 'boot_id'",
        "DELETE FROM meta WHERE key = 'boot_id'",
        "DELETE FROM meta WHERE key = 'crc'",
        "DELETE FROM meta",
    ],
)
def test_a_store_that_lost_its_boot_is_damaged_rather_than_void(state_dir: Path, healthy: bytes, sql: str) -> None:
    put(state_dir, healthy)
    journal = Journal(state_dir)
    with journal._db.writing() as conn:
        conn.execute(sql)
    journal.close()
    for readonly in (True, False):
        with pytest.raises(Damaged):
            Journal(state_dir, readonly=readonly)


def test_a_store_that_may_not_be_read_is_refused(state_dir: Path) -> None:
    (state_dir / "state.db").mkdir()
    with pytest.raises(Unwritable):
        Journal(state_dir)


def test_a_symbolic_link_is_not_followed(state_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "state.db"
    elsewhere.touch()
    (state_dir / "state.db").symlink_to(elsewhere)
    with pytest.raises(Unwritable):
        Journal(state_dir)
    assert elsewhere.read_bytes() == b""
