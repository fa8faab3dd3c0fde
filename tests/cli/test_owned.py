"""Plan and lab files that others than root could have written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nsctl.engine.app.owned import check_owned
from nsctl.engine.cli.apply import read_text
from nsctl.engine.model.errors import Refused
from tests.lab import Lab
from tests.system.support import said

STRANGER = 4711
LAB = '[sandbox.box]\nmode = "none"\nisolate = ["net"]\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which everything is root's."""
    if os.geteuid() != 0:
        pytest.skip("only root's files are looked at")
    monkeypatch.delenv("SUDO_UID", raising=False)
    folder = tmp_path / "safe"
    folder.mkdir(mode=0o755)
    (folder / "plan").write_text("{}")
    return folder


def test_what_only_root_can_write_is_read(place: Path) -> None:
    assert read_text(str(place / "plan")) == "{}"
    (place / "link").symlink_to("plan")
    assert read_text(str(place / "link")) == "{}"
    place.chmod(0o1777)  # as /tmp is
    assert read_text(str(place / "plan")) == "{}"


def _theirs(place: Path) -> Path:
    os.chown(place / "plan", STRANGER, 0)
    return place / "plan"


def _group(place: Path) -> Path:
    (place / "plan").chmod(0o664)
    return place / "plan"


def _open_folder(place: Path) -> Path:
    place.chmod(0o777)
    return place / "plan"


def _their_folder(place: Path) -> Path:
    (place / "sub").mkdir()
    os.rename(place / "plan", place / "sub/plan")
    os.chown(place / "sub", STRANGER, 0)
    return place / "sub/plan"


def _link_in_an_open_folder(place: Path) -> Path:
    open_folder = place / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    (open_folder / "link").symlink_to("../plan")
    return open_folder / "link"


def _their_link(place: Path) -> Path:
    place.chmod(0o1777)
    (place / "link").symlink_to("plan")
    os.lchown(place / "link", STRANGER, 0)
    return place / "link"


def _by_way_of_a_link_to_an_open_folder(place: Path) -> Path:
    made = _link_in_an_open_folder(place)
    (place / "alias").symlink_to(made.parent)
    return place / "alias/link"


@pytest.mark.parametrize(
    "make",
    [
        _theirs,
        _group,
        _open_folder,
        _their_folder,
        _link_in_an_open_folder,
        _their_link,
        _by_way_of_a_link_to_an_open_folder,
    ],
)
def test_what_others_could_have_written_is_refused(make: Callable[[Path], Path], place: Path) -> None:
    file = make(place)
    # By another path: where fs.protected_symlinks is on, the kernel itself follows no link of theirs in such a folder.
    fd = os.open(os.path.realpath(file), os.O_RDONLY)
    try:
        with pytest.raises(Refused, match="says what root runs") as caught:
            check_owned(str(file), fd)
    finally:
        os.close(fd)
    assert caught.value.hint
    with pytest.raises(Refused):
        read_text(str(file))


def test_the_files_of_whoever_uses_sudo_are_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _theirs(place)
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    assert read_text(str(file)) == "{}"
    monkeypatch.setenv("SUDO_UID", "")
    with pytest.raises(Refused):
        read_text(str(file))


def test_what_a_caller_has_opened_is_read(place: Path) -> None:
    file = _theirs(place)
    with open(file, encoding="utf-8") as opened:
        assert read_text(f"/dev/fd/{opened.fileno()}") == "{}"
    read, write = os.pipe()
    os.write(write, b"{}")
    os.close(write)
    try:
        assert read_text(f"/proc/self/fd/{read}") == "{}"
    finally:
        os.close(read)


@pytest.mark.parametrize("words", [("apply",), ("apply", "--dry-run")])
def test_a_lab_file_that_others_could_write_changes_nothing(words: tuple[str, ...], lab: Lab) -> None:
    lab.write("/var/log/lab.toml", LAB, mode=0o666)
    done = lab.nsctl(*words, "/var/log/lab.toml")
    assert (done.returncode, done.stdout) == (2, "")
    first, hint = done.stderr.splitlines()
    assert first == "nsctl: /var/log/lab.toml says what root runs, and is writable to others"
    assert hint == "hint: chmod go-w /var/log/lab.toml"
    lab.run(["chmod", "go-w", "/var/log/lab.toml"], check=True)
    said(lab, "apply", "/var/log/lab.toml")
    said(lab, "down", "--file", "/var/log/lab.toml")
