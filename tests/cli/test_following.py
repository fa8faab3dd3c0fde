from __future__ import annotations

import os
from pathlib import Path

import pytest

from nsctl.engine.cli import following
from nsctl.engine.cli.following import Changes
from nsctl.engine.cli.out import OutputFailedError


@pytest.fixture(params=["inotify", "none"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "none":
        monkeypatch.setattr(following, "_watch", lambda _: None)
    return str(request.param)


@pytest.mark.usefixtures("means")
def test_a_change_before_the_wait_is_not_missed(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("")
    with Changes(str(file)) as changes:
        file.write_text("x")
        assert changes.wait()


@pytest.mark.usefixtures("means")
def test_what_ends_it_ends_the_wait(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        with Changes(str(tmp_path), reading) as changes:
            os.write(writing, b"x")
            while changes.wait():
                pass
    finally:
        os.close(reading)
        os.close(writing)


def test_a_file_that_comes_into_a_directory_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    with Changes(str(tmp_path)) as changes:
        (tmp_path / "log").rename(tmp_path / "log.1")
        (tmp_path / "log").write_text("")
        assert changes.wait()


@pytest.mark.usefixtures("means")
def test_a_reader_that_went_away_ends_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(following, "STDOUT", writing)
    try:
        with Changes(str(tmp_path)) as changes, pytest.raises(OutputFailedError) as caught:
            changes.wait()
        assert isinstance(caught.value.__cause__, BrokenPipeError)
    finally:
        os.close(writing)
