from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from nsctl.engine.model.plan import Plan
from nsctl.engine.store import Damaged, Journal, SandboxRow, Transaction, Unwritable, files, home
from nsctl.engine.store.rows import DONE, INTENT, STARTED
from tests.engine.store.conftest import bring_up, sandbox, step, take_down


def keys(rows: object) -> list[str]:
    assert isinstance(rows, list)
    return [row.step.key for row in rows]


def test_a_step_goes_from_intent_to_started_to_done(state_dir: Path) -> None:
    journal = Journal(state_dir)
    journal.begin(Transaction("t", "up"), [sandbox("web")], [step("link/br0")], [("link/br0", "web")], ())
    states = [journal.steps()[0].state]
    journal.started([("link/br0", None, {})])
    states.append(journal.steps()[0].state)
    journal.done([("link/br0", {"index": 7}, {"iptables": "nft"})])
    states.append(journal.steps()[0].state)
    assert states == [INTENT, STARTED, DONE]
    row = journal.step("link/br0")
    assert row is not None
    assert (row.step, row.identity, row.tools) == (step("link/br0"), {"index": 7}, {"iptables": "nft"})
    journal.close()


def test_a_step_that_is_made_again_loses_its_mark_until_it_is_done(state_dir: Path) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.started([("link/br0", None, {})])
    row = journal.step("link/br0")
    assert row is not None
    assert (row.state, row.identity, row.tools) == (STARTED, None, {})
    assert keys(journal.unsettled()) == ["link/br0"]
    journal.close()


def test_everything_that_was_written_is_read_by_the_next_nsctl(state_dir: Path) -> None:
    journal = Journal(state_dir)
    row = SandboxRow(
        "web",
        "bridge",
        {"subnet": "10.0.0.0/24", "ports": ["80:80"]},
        ("net", "pid"),
        ("sh", "-c", "echo 'ü\n'"),
        {"env": {"A": "\udcff"}},
        netns=True,
        shares="db",
        init="init/web",
        log="/run/nsctl/sandboxes/web/log",
        bounds=True,
        created="2026-01-01T00:00:00Z",
        created_boot=12.5,
        owner=(17, 4711),
        confirm_by=99.25,
        source="/lab.yaml",
    )
    kept = [{"plan": json.loads(json.dumps(Plan("bridge", "old", {}, (step("link/old"),)).to_json()))}]
    journal.begin(Transaction("t", "apply", kept), [row], [step("link/br0")], [("link/br0", "web")], ())
    journal.close()
    again = Journal(state_dir)
    assert again.sandboxes() == {"web": row}
    assert again.transaction() == Transaction("t", "apply", kept)
    assert again.keys() == ["link/br0"]
    assert again.holders("link/br0") == ["web"]
    again.close()


def test_a_step_is_let_go_by_its_last_holder_only(state_dir: Path) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    bring_up(journal, "db")
    assert keys(journal.held_only_by(["web"])) == ["link/web"]
    assert keys(journal.held_only_by(["web", "db"])) == ["link/db", "link/web", "link/br0"]
    take_down(journal, "web")
    assert keys(journal.steps("db")) == ["link/br0", "link/db"]
    assert keys(journal.held_only_by(["db"])) == ["link/db", "link/br0"]
    take_down(journal, "db")
    assert (journal.sandboxes(), journal.steps(), journal.transaction()) == ({}, [], None)
    journal.close()


def test_steps_that_nobody_holds_any_more_go_with_the_next_one(state_dir: Path) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.removed(["web"])  # the rows of its steps were never deleted: that write was lost
    assert keys(journal.held_only_by([])) == ["link/web", "link/br0"]
    journal.close()


def test_confirming_keeps_a_sandbox(state_dir: Path) -> None:
    journal = Journal(state_dir)
    row = sandbox("web")
    row.confirm_by = 5
    journal.begin(Transaction("t", "up"), [row], [], [], ())
    assert journal.sandboxes()["web"].confirm_by == 5
    journal.confirm("web")
    assert journal.sandboxes()["web"].confirm_by is None
    journal.close()


def test_a_write_is_all_or_nothing(state_dir: Path) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    with pytest.raises(Damaged):
        journal.begin(Transaction("t", "up"), [sandbox("db")], [step("link/db"), step("link/web")], [], ())
    assert list(journal.sandboxes()) == ["web"]
    assert journal.keys() == ["link/br0", "link/web"]
    assert journal.transaction() is None
    journal.close()


# Other boots, other hosts.


def elsewhere(monkeypatch: pytest.MonkeyPatch, *, boot: str = "", netns: int = 0) -> None:
    if boot:
        monkeypatch.setattr(files, "boot_id", lambda: boot)
    if netns:
        there = home.here() | {"net": str(netns)}
        monkeypatch.setattr(home, "here", lambda: there)


def test_after_a_reboot_rows_are_void_and_only_remembered(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.close()
    elsewhere(monkeypatch, boot="another")
    after = Journal(state_dir)
    assert (after.sandboxes(), after.steps(), after.transaction()) == ({}, [], None)
    assert keys(after.stale) == ["link/br0", "link/web"]
    bring_up(after, "web")
    after.close()
    again = Journal(state_dir)
    assert list(again.sandboxes()) == ["web"]
    assert again.stale == []
    again.close()


def test_whoever_only_looks_after_a_reboot_sees_nothing_and_changes_nothing(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.close()
    before = (state_dir / "state.db").read_bytes()
    elsewhere(monkeypatch, boot="another")
    looking = Journal(state_dir, readonly=True)
    assert (looking.sandboxes(), looking.steps(), looking.keys(), looking.holders("link/br0")) == ({}, [], [], [])
    assert (looking.transaction(), looking.step("link/br0"), looking.held_only_by(["web"])) == (None, None, [])
    looking.close()
    assert (state_dir / "state.db").read_bytes() == before


def test_rows_of_another_network_namespace_are_refused_while_there_are_any(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.close()
    elsewhere(monkeypatch, netns=7)
    with pytest.raises(Unwritable, match="another network namespace"):
        Journal(state_dir)
    monkeypatch.undo()
    journal = Journal(state_dir)
    take_down(journal, "web")
    journal.close()
    elsewhere(monkeypatch, netns=7)
    Journal(state_dir).close()


def test_left_over_steps_keep_another_network_namespace_out_too(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.removed(["web"])
    journal.close()
    elsewhere(monkeypatch, netns=7)
    with pytest.raises(Unwritable, match="another network namespace"):
        Journal(state_dir)


def test_the_store_of_another_version_is_neither_used_nor_set_aside(state_dir: Path) -> None:
    journal = Journal(state_dir)
    with journal._db.writing() as conn:
        conn.execute("PRAGMA user_version=77")
    journal.close()
    for readonly in (True, False):
        with pytest.raises(Unwritable, match="has version 77"):
            Journal(state_dir, readonly=readonly)


# Only looking.


def test_looking_makes_no_file(state_dir: Path) -> None:
    with pytest.raises(Unwritable):
        Journal(state_dir, readonly=True)
    assert list(state_dir.iterdir()) == []


def test_a_store_that_was_only_just_made_is_empty(state_dir: Path) -> None:
    (state_dir / "state.db").touch()
    looking = Journal(state_dir, readonly=True)
    assert (looking.sandboxes(), looking.steps(), looking.transaction()) == ({}, [], None)
    looking.close()


def test_looking_works_while_another_nsctl_writes(state_dir: Path) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    with journal._db.writing() as conn:
        conn.execute("DELETE FROM sandboxes")
        looking = Journal(state_dir, readonly=True)
        assert list(looking.sandboxes()) == ["web"]
        looking.close()
    assert journal.sandboxes() == {}
    journal.close()


def killed_in_mid_write(state_dir: Path) -> None:
    """A process is killed when its pages are in the file, and the journal that takes them back is still hot."""
    child = os.fork()
    if child == 0:
        journal = Journal(state_dir)
        conn = journal._db._conn
        conn.execute("PRAGMA cache_size=1")
        conn.execute("PRAGMA cache_spill=1")
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("DELETE FROM sandboxes")
        conn.executemany("INSERT INTO meta VALUES(?, ?)", [(f"junk{n}", "x" * 3000) for n in range(50)])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert b"junk1" in (state_dir / "state.db").read_bytes()


@pytest.mark.parametrize("readonly", [True, False])
def test_a_write_that_was_killed_half_way_is_taken_back(state_dir: Path, *, readonly: bool) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.close()
    killed_in_mid_write(state_dir)
    again = Journal(state_dir, readonly=readonly)
    assert list(again.sandboxes()) == ["web"]
    assert keys(again.steps()) == ["link/br0", "link/web"]
    again.close()


def test_a_write_that_is_killed_while_somebody_looks_is_taken_back(state_dir: Path) -> None:
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.close()
    looking = Journal(state_dir, readonly=True)
    killed_in_mid_write(state_dir)
    assert list(looking.sandboxes()) == ["web"]
    assert keys(looking.steps()) == ["link/br0", "link/web"]
    looking.close()


# Writes that fail.


def failing_writes(journal: Journal, times: int) -> Callable[[], int]:
    """The next writes fail as on a full disk; how often one was tried."""
    tried = 0
    write = journal._write_once

    def fail(*args: object) -> None:
        nonlocal tried
        tried += 1
        if tried <= times:
            raise Unwritable("the disk is full")
        write(*args)  # type: ignore[arg-type]

    journal._write_once = fail  # type: ignore[assignment, method-assign]
    return lambda: tried


def test_forward_a_write_that_fails_is_an_error(state_dir: Path) -> None:
    journal = Journal(state_dir)
    tried = failing_writes(journal, 1)
    with pytest.raises(Unwritable):
        journal.begin(Transaction("t", "up"), [], [], [], ())
    assert tried() == 1
    journal.close()


def test_backward_a_write_that_fails_is_tried_with_the_ballast_and_then_only_noted(state_dir: Path) -> None:
    files.ensure_ballast(state_dir)
    journal = Journal(state_dir)
    bring_up(journal, "web")
    journal.best_effort = True
    tried = failing_writes(journal, 3)
    journal.removing(["web"])
    assert (tried(), journal.failures) == (2, ["the disk is full"])
    assert (state_dir / "ballast").stat().st_size == 0
    journal.removing(["web"])
    assert (tried(), journal.failures) == (4, ["the disk is full"])
    assert journal.sandboxes()["web"].state == "removing"
    journal.close()
