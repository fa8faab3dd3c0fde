"""What surrounds an operation, with a fake in place of the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nsctl.engine.app import down, maintenance, plan_down
from nsctl.engine.app.context import AppContext
from nsctl.engine.app.requests import DownRequest, Execution
from nsctl.engine.model.diagnostics import Diagnostic
from nsctl.engine.model.errors import Busy, Invalid, Refused


class FakeSession:
    """A store with some sandboxes, and no host."""

    made: list[FakeSession]

    def __init__(self, rows: dict[str, Any], *_: Any, **options: Any) -> None:
        self.rows = rows
        self.options = options
        self.recovered = ["web: rolled back"]
        self.warnings = ["the disk is nearly full", "the disk is nearly full"]
        self.hidden: tuple[str, ...] = ()
        self.to_the_end = False
        self.downs: list[tuple[tuple[str, ...], bool]] = []
        self.unfinished = False

    @contextmanager
    def locked(self) -> Iterator[FakeSession]:
        yield self

    def sandboxes(self) -> dict[str, Any]:
        return self.rows

    def down(self, names: list[str], *, force: bool) -> list[str]:
        self.downs.append((tuple(names), force))
        return names

    def confirm(self, name: str) -> bool:
        raise Busy(f"another nsctl is at work: {name}", hint="wait")


ROWS = {
    "a": SimpleNamespace(name="a", source="/srv/lab.toml", state="up"),
    "b": SimpleNamespace(name="b", source="", state="up"),
}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[AppContext, FakeSession]]:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def make(**options: Any) -> tuple[AppContext, FakeSession]:
        session = FakeSession(ROWS)

        def opened(*_: Any, **given: Any) -> FakeSession:
            session.options = given
            return session

        (tmp_path / "audit").mkdir(exist_ok=True)
        ctx = AppContext(tmp_path / "state", tmp_path / "audit" / "audit.jsonl", session_type=lambda: opened, **options)
        return ctx, session

    return make


@pytest.mark.parametrize(
    ("request_", "downs"),
    [
        (DownRequest(), []),
        (DownRequest(("a",)), [(("a",), False)]),
        (DownRequest(("a",), force=True), [(("a",), True)]),
        (DownRequest(every=True), [(("a", "b"), True)]),
        (DownRequest(source="/srv/lab.toml"), [(("a",), False)]),
        (DownRequest(source="/srv/other.toml"), []),
    ],
)
def test_down_takes_what_the_request_says_and_nothing_else(
    fake: Callable[..., tuple[AppContext, FakeSession]], request_: DownRequest, downs: list[Any]
) -> None:
    ctx, session = fake()
    assert down(ctx, request_, Execution(5.0, batch=False)) == [name for names, _ in downs for name in names]
    assert session.downs == downs
    assert session.options == {"step_timeout": 5.0, "fuse": False, "operation": "down"}


def test_what_comes_up_on_the_way_is_kept_for_who_asks(fake: Callable[..., tuple[AppContext, FakeSession]]) -> None:
    ctx, _ = fake()
    down(ctx, DownRequest(("a",)))
    assert ctx.diagnostics == [
        Diagnostic("recovered", "web: rolled back"),
        Diagnostic("warning", "the disk is nearly full"),
    ]


def test_or_told_at_once_to_whom_was_named(fake: Callable[..., tuple[AppContext, FakeSession]]) -> None:
    heard: list[Diagnostic] = []
    ctx, _ = fake(report=heard.append)
    ctx.warn("once")
    ctx.warn("once")
    ctx.note("twice")
    ctx.note("twice")
    assert [d.message for d in heard] == ["once", "twice", "twice"]
    assert ctx.diagnostics == []


def test_an_error_comes_through_as_it_is_and_the_observers_are_closed(
    fake: Callable[..., tuple[AppContext, FakeSession]],
) -> None:
    closed = []
    ctx, _ = fake(observers=lambda: {"test": SimpleNamespace(close=lambda: closed.append(1))})
    with pytest.raises(Busy) as raised:
        maintenance.confirm(ctx, "a")
    assert raised.value.hint == "wait"
    assert closed == [1]
    assert ctx.diagnostics[0].level == "recovered"


@pytest.mark.parametrize(("ends", "held"), [(False, False), (True, True)])
def test_signals_stay_held_only_where_the_process_ends(
    fake: Callable[..., tuple[AppContext, FakeSession]], ends: object, held: object
) -> None:
    ctx, session = fake(ends_process=ends)
    down(ctx, DownRequest(("a",)))
    assert session.to_the_end is held


def test_without_root_it_is_refused_with_the_command_line_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for words, hint in (([], ""), (["down", "a b"], "sudo nsctl down 'a b'")):
        ctx = AppContext(tmp_path / "state", tmp_path / "audit.jsonl", words=words)
        with pytest.raises(Refused, match="this needs root") as raised:
            down(ctx, DownRequest(("a",)))
        assert raised.value.hint == hint


def test_where_there_is_no_store_nothing_is_up(tmp_path: Path) -> None:
    ctx = AppContext(tmp_path / "state", tmp_path / "audit.jsonl")
    assert plan_down(ctx, DownRequest(every=True)) == ([], [])
    with pytest.raises(Invalid, match="there is no sandbox 'a'"):
        plan_down(ctx, DownRequest(("a",)))


def test_the_places_come_from_the_environment_and_have_to_be_absolute() -> None:
    ctx = AppContext.from_environment({"NSCTL_STATE_DIR": "/run//x/"})
    assert (str(ctx.state_dir), str(ctx.audit_log)) == ("/run/x", "/var/log/nsctl/audit.jsonl")
    for wrong in ("here", "/run/../x", "/run/\n"):
        with pytest.raises(Invalid, match="not an absolute path"):
            AppContext.from_environment({"NSCTL_AUDIT_LOG": wrong})
