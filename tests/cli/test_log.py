from __future__ import annotations

import gzip
import json
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsctl.engine.cli import trail_lines
from nsctl.engine.cli.moments import moment
from nsctl.engine.cli.trail_told import told as as_line
from nsctl.engine.model.errors import Invalid
from nsctl.hooks import logs
from tests.cli.conftest import Nsctl

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SCRIPT = "set -e\nmount -t tmpfs none /run\necho done\n"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-03-10T12:00:00Z"),
        ("10m", "2026-03-10T11:50:00Z"),
        ("-10m", "2026-03-10T11:50:00Z"),
        ("10m ago", "2026-03-10T11:50:00Z"),
        ("90s", "2026-03-10T11:58:30Z"),
        ("2h", "2026-03-10T10:00:00Z"),
        ("1h30m", "2026-03-10T10:30:00Z"),
        ("7d", "2026-03-03T12:00:00Z"),
        ("today", "2026-03-09T23:00:00Z"),
        ("yesterday", "2026-03-08T23:00:00Z"),
        ("08:15", "2026-03-10T07:15:00Z"),
        ("2026-03-01", "2026-02-28T23:00:00Z"),
        ("2026-03-01 10:00", "2026-03-01T09:00:00Z"),
        ("2026-07-01T10:00:30", "2026-07-01T08:00:30Z"),
        ("2026-03-01T10:00Z", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00.5+05:30", "2026-03-01T04:30:00.500000Z"),
    ],
)
def test_a_moment_is_read_as_journalctl_and_docker_read_it(text: str, expected: str) -> None:
    assert moment(text, "--since", NOW) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "text", ["", "soon", "10", "-", "m", "10 m", "2026-13-01", "2026-02-30", "25:00", "999999d", "\u0661m", "\x1b[2J"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="--since") as caught:
        moment(text, "--since", NOW)
    assert caught.value.message.isprintable()
    assert caught.value.hint


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        found = moment(text, "--since", NOW)
    except Invalid as e:
        found, refusal = NOW, e.message
    else:
        refusal = ""
    assert found.tzinfo is UTC
    assert refusal.isprintable()


def record(sandbox: str, event: str, minutes: int, **more: Any) -> str:
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.dumps({"time": at, "transaction": f"{sandbox}-{minutes}", "sandbox": sandbox, "event": event, **more})


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """A trail of three files, the oldest packed."""
    path = tmp_path / "audit" / "audit.jsonl"
    path.parent.mkdir()

    def text(*lines: str) -> str:
        return "".join(f"{line}\n" for line in lines)

    oldest = text(record("db", "plan_started", 300, operation="up", mode="none", steps=[]))
    Path(f"{path}.2.gz").write_bytes(gzip.compress(oldest.encode()))
    Path(f"{path}.1").write_text(
        text(
            record("web", "plan_started", 180, operation="up", mode="bridge", steps=[], uid=0),
            record("web", "step_done", 179, argv=["sh", "-c", SCRIPT, "init"], duration_ms=1.0),
            record("web", "plan_finished", 178, operation="up", outcome="done", left=[]),
        )
    )
    path.write_text(
        text(
            record("", "plan_started", 60, operation="apply", steps=[{"step": "netns/a"}, {"step": "netns/b"}], uid=0),
            record("", "plan_finished", 59, operation="apply", outcome="done", left=[], transaction="-60"),
            record("web", "plan_finished", 5, operation="down", outcome="done", left=[]),
        )
    )
    # The order of the files is that of the numbers of their records; these have none, and are taken by name.
    return path


def told(nsctl: Nsctl, *words: str) -> list[str]:
    done = nsctl("log", *words)
    assert (done.status, done.stderr) == (0, "")
    return [line.split("  ", 1)[1] for line in done.stdout.splitlines()]


@pytest.mark.usefixtures("trail")
def test_what_was_rotated_is_read_too(nsctl: Nsctl) -> None:
    lines = told(nsctl)
    assert len(lines) == 7
    assert lines[-1] == "web  plan finished  down: done"
    assert any(line.startswith("db  ") for line in lines)


@pytest.mark.usefixtures("trail")
def test_the_last_records_are_those_of_the_end_and_of_what_was_asked_for(nsctl: Nsctl) -> None:
    assert told(nsctl, "-n", "1") == told(nsctl)[-1:]
    assert told(nsctl, "-n", "4") == told(nsctl)[-4:]
    assert told(nsctl, "--lines", "1000") == told(nsctl)
    assert told(nsctl, "-n", "0") == []
    assert told(nsctl, "web", "-n", "2") == told(nsctl, "web")[-2:]
    assert [json.loads(line)["sandbox"] for line in nsctl("log", "-n", "1", "--json").stdout.splitlines()] == ["web"]


@pytest.mark.usefixtures("trail")
def test_only_what_was_between_two_moments(nsctl: Nsctl) -> None:
    assert len(told(nsctl, "--since", "10m")) == 1
    assert len(told(nsctl, "--since", "2h")) == 3
    assert len(told(nsctl, "--since", "4h", "--until", "2h")) == 3
    assert len(told(nsctl, "--until", "4h")) == 1
    assert told(nsctl, "web", "--since", "1m") == []  # the name is known, and nothing was of late
    assert told(nsctl, "a", "--until", "59m")[-1] == "-  plan finished  apply: done"  # of several, and one of them


@pytest.mark.usefixtures("trail")
def test_scripts_are_counted_and_with_v_shown(nsctl: Nsctl) -> None:
    [short] = [line for line in told(nsctl, "web") if "step done" in line]
    assert short == "web  step done  sh -c <3 lines> init  (1.0 ms)"
    for words in (["log", "-v", "web"], ["log", "web", "--verbose"], ["-v", "log", "web"]):
        text = nsctl(*words).stdout
        assert r"set -e\nmount -t tmpfs none /run\necho done\n" in text
        assert len(text.splitlines()) == 4


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("log nosuch", "nothing is recorded of a sandbox 'nosuch'", "see: nsctl log"),
        ("log wep", "nothing is recorded of a sandbox 'wep'", "did you mean 'web'?"),
        ("log wep -n 3", "nothing is recorded of a sandbox 'wep'", "did you mean 'web'?"),
        ("log -n x", "-n: 'x' is not a number of lines", "-n 20"),
        ("log -n -1", "-n: '-1' is not a number of lines", "-n 20"),
        ("log --since soon", "--since: 'soon' is not a time", "--since 10m"),
        ("log --until tomorrow", "--until: 'tomorrow' is not a time", "--until 10m"),
        ("log --since 1h --until 2h", "--until is before --since", "--since 2h --until 1h"),
        ("log -f --until 1h", "--follow goes on, --until ends", "leave one"),
        ("log --json -v", "--json is all there is of a record", "leave one"),
        ("log --verify -n 3", "--verify stands alone", "nsctl log --verify"),
        ("log --verify --since 1h", "--verify stands alone", "nsctl log --verify"),
        ("log --acknowledge -v", "--acknowledge stands alone", "nsctl log --acknowledge"),
    ],
)
def test_what_it_cannot_mean_is_refused(nsctl: Nsctl, words: str, message: str, hint: str) -> None:
    done = nsctl(*words.split())
    assert done.status == 2
    assert message in done.refusal
    assert hint in done.stderr


def test_a_rotated_log_that_is_no_gzip_is_a_warning(nsctl: Nsctl, trail: Path) -> None:
    Path(f"{trail}.2.gz").write_bytes(b"rubbish")
    done = nsctl("log")
    assert done.status == 0
    assert "can't be read" in done.stderr
    assert len(done.stdout.splitlines()) == 6


def test_a_trail_of_which_only_what_was_rotated_is_there_is_shown(nsctl: Nsctl, trail: Path) -> None:
    trail.unlink()
    assert len(told(nsctl)) == 4


def test_a_record_written_right_before_the_rotation_is_followed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_text("one\n")
    look = trail_lines._replaced

    def late(fd: int, name: str) -> bool:
        if not (tmp_path / "log.1").exists():
            path.write_text("one\ntwo\n")
            path.rename(tmp_path / "log.1")
            path.write_text("three\n")
        return look(fd, name)

    monkeypatch.setattr(trail_lines, "_replaced", late)
    found = trail_lines.trail_lines(str(path), follow=True)
    assert list(islice(found, 4)) == ["one\n", None, "two\n", "three\n"]


def test_a_log_that_is_rotated_while_it_is_read_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_text("one\n")

    def late(name: str) -> list[str]:
        os.rename(name, f"{name}.1")
        path.write_text("two\n")
        return logs.older(name)

    monkeypatch.setattr(trail_lines, "older", late)
    assert list(trail_lines.trail_lines(str(path), follow=False)) == ["one\n", None]


def test_commands_that_were_not_run_are_shown_only_where_all_is_asked_for() -> None:
    record = {"event": "step_undone", "sandbox": "web", "step": "up/eth0", "undo": [{"argv": ["ip", "link"]}]}
    alone = {
        "event": "step_undone",
        "step": "announce/eth0",
        "undo": [],
        "skipped": "an announcement can't be taken back",
    }
    skipped = record | {"skipped": "goes with netns/web"}
    assert as_line(record, full=False).endswith("up/eth0: ip link  (0.0 ms)")
    assert as_line(skipped, full=False).endswith("up/eth0  (goes with netns/web)")
    assert as_line(skipped, full=True).endswith("up/eth0: ip link  (goes with netns/web)")
    assert as_line(alone, full=True).endswith("announce/eth0  (an announcement can't be taken back)")
