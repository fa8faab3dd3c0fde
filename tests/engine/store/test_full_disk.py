from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nsctl.engine.model.errors import Refused
from nsctl.engine.store import Journal, Lock, Transaction, Unwritable, files, home, quarantine
from nsctl.engine.store.files import BALLAST, ensure_ballast
from tests.engine.store.conftest import bring_up, sandbox, step, take_down
from tests.lab import Lab, full
from tests.lab.mounts import mount

pytestmark = pytest.mark.system

STATE = Path("/run/nsctl")
MS_RDONLY, MS_REMOUNT = 1, 32


@pytest.fixture
def disk(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab with a state directory on a file system of its own."""
    monkeypatch.setattr(home, "_inode", lambda *_: "7")  # the test process is in no /proc of the lab's
    lab.call(make)
    return lab


def make() -> None:
    STATE.mkdir(mode=0o700)
    mount("tmpfs", str(STATE), "tmpfs", data="size=2m,mode=0700")


@contextmanager
def opened(*, readonly: bool = False) -> Iterator[Journal]:
    journal = Journal(STATE, readonly=readonly)
    try:
        yield journal
    finally:
        journal.close()


def two_up() -> None:
    with opened() as journal:
        ensure_ballast(STATE)
        bring_up(journal, "web")
        bring_up(journal, "db")


def names(*, readonly: bool = False) -> list[str]:
    with opened(readonly=readonly) as journal:
        return list(journal.sandboxes())


def test_with_no_byte_free_the_store_can_be_read(disk: Lab) -> None:
    disk.call(two_up)
    with full(disk, str(STATE)):
        assert disk.call(names, readonly=True) == ["db", "web"]
        assert disk.call(names) == ["db", "web"]


def test_with_no_byte_free_down_is_recorded(disk: Lab) -> None:
    disk.call(two_up)

    def down() -> list[str]:
        with opened() as journal:
            ensure_ballast(STATE)
            journal.best_effort = True
            take_down(journal, "web")
            return journal.failures

    with full(disk, str(STATE)):
        assert disk.call(down) == []
        assert disk.call(names) == ["db"]
    assert disk.call(names, readonly=True) == ["db"]


def test_with_no_byte_free_and_no_ballast_down_goes_on_and_leaves_a_whole_store(disk: Lab) -> None:
    def many_up() -> None:
        with opened() as journal:
            for n in range(150):
                bring_up(journal, f"s{n}")
        os.truncate(STATE / "state.db-journal", 0)  # as small as it can be: the write has no room at all

    def down() -> tuple[int, list[str]]:
        with opened() as journal:
            journal.best_effort = True
            for n in range(150):
                take_down(journal, f"s{n}")
            return len(journal.sandboxes()), journal.failures

    disk.call(many_up)
    with full(disk, str(STATE)):
        left, failures = disk.call(down)
    assert left == 0 or failures
    assert len(disk.call(names)) == left


def test_with_no_byte_free_nothing_is_begun(disk: Lab) -> None:
    disk.call(two_up)

    def up() -> None:
        with opened() as journal:
            new = [step(f"link/n{n}") for n in range(400)]
            journal.begin(Transaction("t", "up"), [sandbox("new")], new, [(s.key, "new") for s in new], ())

    with full(disk, str(STATE)), pytest.raises(Unwritable):
        disk.call(up)
    assert disk.call(names) == ["db", "web"]


def test_with_no_byte_free_a_first_store_is_refused(disk: Lab) -> None:
    with full(disk, str(STATE)), pytest.raises(Unwritable):
        disk.call(names)


def test_with_no_byte_free_the_lock_can_be_taken(disk: Lab) -> None:
    code = "import sys; from pathlib import Path; from nsctl.engine.store import Lock\n"
    code += "lock = Lock(Path(sys.argv[1]), 1); lock.acquire(); print('held'); lock.release()"
    with full(disk, str(STATE)):
        done = disk.run([sys.executable, "-I", "-c", code, str(STATE / "lock")])
    assert (done.stdout, done.returncode) == ("held\n", 0), done.stderr


def test_a_read_only_file_system_is_refused_and_can_be_read(disk: Lab) -> None:
    disk.call(two_up)
    disk.call(mount, "tmpfs", str(STATE), flags=MS_REMOUNT | MS_RDONLY)
    assert disk.call(names, readonly=True) == ["db", "web"]
    with pytest.raises(Unwritable):
        disk.call(names)
    with pytest.raises(Unwritable, match="can't be set aside"):
        disk.call(quarantine.set_aside, STATE)
    with pytest.raises(Refused, match="can't be opened"):
        disk.call(Lock(STATE / "lock").acquire)


def test_ballast_is_real_room_and_comes_back(disk: Lab) -> None:
    def free() -> int:
        found = os.statvfs(STATE)
        return found.f_bavail * found.f_frsize

    before = disk.call(free)
    disk.call(ensure_ballast, STATE)
    assert before - disk.call(free) == BALLAST
    disk.call(ensure_ballast, STATE)
    assert before - disk.call(free) == BALLAST
    disk.call(files.drop_ballast, STATE)
    assert disk.call(free) == before
    disk.call(ensure_ballast, STATE)
    assert before - disk.call(free) == BALLAST


def test_on_a_full_disk_there_is_no_ballast_and_no_error(disk: Lab) -> None:
    with full(disk, str(STATE)):
        disk.call(ensure_ballast, STATE)
        disk.call(files.drop_ballast, STATE)
