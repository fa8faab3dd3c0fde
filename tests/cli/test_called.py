from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nsctl.engine.cli import called

Setting = Callable[..., None]


@pytest.fixture
def calling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Setting:
    """Sets by which word, with which path and by whom nsctl was called."""

    def setting(path: str, *, uid: int = 1000, sudo: bool = False, folders: str = "/usr/bin:/bin", x: str = "") -> None:
        called.program.cache_clear()
        monkeypatch.setattr(sys, "argv", [path])
        monkeypatch.setattr(sys, "_xoptions", {"nsctl": x} if x else {})
        monkeypatch.setenv("PATH", folders)
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        monkeypatch.setattr(called, "_SUDOS", (str(tmp_path / "sbin"),))
        monkeypatch.delenv("SUDO_UID", raising=False)
        if sudo:
            monkeypatch.setenv("SUDO_UID", "1000")

    return setting


def installed(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nsctl").write_text("#!/bin/sh\n")
    (folder / "nsctl").chmod(0o755)
    return str(folder / "nsctl")


@pytest.fixture(autouse=True)
def afterwards() -> object:
    yield
    called.program.cache_clear()


def test_in_a_clone_it_is_the_script_as_it_was_called(calling: Setting) -> None:
    calling("/clone/.venv/bin/nsctl", x="scripts/nsctl")
    assert called.spoken("see: nsctl ls") == "see: sudo scripts/nsctl ls"
    calling("/clone/.venv/bin/nsctl", x="./nsctl", uid=0)
    assert called.spoken("see: nsctl ls") == "see: ./nsctl ls"
    calling("/clone/.venv/bin/nsctl", x="scripts/nsctl", uid=0, sudo=True)
    assert called.spoken("nsctl down a; nsctl ls") == "sudo scripts/nsctl down a; sudo scripts/nsctl ls"


def test_on_a_path_that_sudo_has_it_is_the_name(calling: Setting, tmp_path: Path) -> None:
    path = installed(tmp_path / "sbin")
    calling(path, folders=str(tmp_path / "sbin"))
    assert called.spoken("hint: sudo nsctl up none") == "hint: sudo nsctl up none"
    calling(path, folders=str(tmp_path / "sbin"), uid=0)
    assert called.spoken("nsctl repair web") == "nsctl repair web"


def test_on_a_path_that_sudo_has_not_it_is_the_whole_path_for_root(calling: Setting, tmp_path: Path) -> None:
    path = installed(tmp_path / "home" / ".local" / "bin")
    calling(path, folders=str(Path(path).parent))
    assert called.spoken("this needs root: sudo nsctl down web") == f"this needs root: sudo {path} down web"
    assert called.spoken("see nsctl up bridge --help") == "see nsctl up bridge --help"
    # And so it is what root sees whose path has it nowhere.
    calling(path, folders="/usr/bin", uid=0, sudo=True)
    assert called.spoken("see: nsctl ls") == f"see: sudo {path} ls"


def test_another_one_on_the_path_is_not_taken_for_it(calling: Setting, tmp_path: Path) -> None:
    installed(tmp_path / "other")
    path = installed(tmp_path / "venv")
    calling(path, folders=str(tmp_path / "other"), uid=0)
    assert called.spoken("nsctl ls") == f"{path} ls"


def test_as_a_module_it_is_called_as_one(calling: Setting) -> None:
    calling("/somewhere/nsctl/__main__.py", folders="/nowhere", uid=0)
    assert called.spoken("nsctl ls") == f"{sys.executable} -m nsctl ls"


def test_within_another_program_it_has_its_name(calling: Setting) -> None:
    calling("/usr/bin/pytest", uid=0)
    assert called.spoken("nsctl ls") == "nsctl ls"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("another nsctl is at work", "another nsctl is at work"),
        ("not nsctl's", "not nsctl's"),
        ("/run/nsctl ls", "/run/nsctl ls"),
        ("nsctl modes lists them", "scripts/nsctl modes lists them"),
        ("nsctl --help lists the commands", "scripts/nsctl --help lists the commands"),
        ("nsctl up none --dry-run", "scripts/nsctl up none --dry-run"),
        ("nsctl -v up none", "sudo scripts/nsctl -v up none"),
        ("NSCTL_STATE_DIR=/run/a nsctl recover", "sudo NSCTL_STATE_DIR=/run/a scripts/nsctl recover"),
        ("see: nsctl up --help; nsctl up none", "see: scripts/nsctl up --help; sudo scripts/nsctl up none"),
        ("nothing", "nothing"),
    ],
)
def test_only_commands_are_changed_and_root_is_asked_for_where_it_is_needed(
    calling: Setting, text: str, expected: str
) -> None:
    calling("/clone/.venv/bin/nsctl", x="scripts/nsctl")
    assert called.spoken(text) == expected


def test_what_a_caller_chose_as_a_name_is_no_instruction_to_the_terminal_or_a_shell(calling: Setting) -> None:
    calling("/a/nsctl", x="/opt/a b\x1b[2J/nsctl", uid=0)
    assert called.spoken("nsctl ls") == "'/opt/a b\\x1b[2J/nsctl' ls"
