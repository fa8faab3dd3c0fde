"""The golden cases: options and facts, and the exact commands that come of them, or the error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nsctl import Mode
from nsctl.engine.model.options import fields_of
from nsctl.modes import bridge, container, host, none
from nsctl.testing import UPDATE, cases_in, check_case

MODES = (bridge.MODE, container.MODE, host.MODE, none.MODE)
CASES = cases_in(Path(__file__).with_name("cases"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_case_plans_exactly_these_commands(path: Path) -> None:
    check_case(path, *MODES)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_case_is_refused_if_it_says_so_and_only_then(path: Path) -> None:
    case = json.loads(path.read_text())
    assert ("error" in case) == path.stem.startswith("refused-")
    assert case["mode"] == path.parent.name
    assert case["about"]
    if "error" in case:
        assert case["hint"], "a refusal says what to do next"
        assert "\n" not in case["error"] + case["hint"]
        assert case["error"].isprintable()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_every_option_of_a_mode_is_in_a_case_that_plans_and_its_refusals_too(mode: Mode) -> None:
    given = {key for path in CASES if path.parent.name == mode.name for key in json.loads(path.read_text())["options"]}
    assert {field.name for field in fields_of(mode.options)} <= given


def test_a_case_that_differs_is_shown_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(UPDATE, raising=False)
    case = {"about": "a lie", "mode": "none", "isolate": ["net"], "options": {}, "do": ["ip netns add web", "reboot"]}
    path = tmp_path / "lie.json"
    path.write_text(json.dumps(case))

    with pytest.raises(AssertionError, match="reboot") as caught:
        check_case(path, *MODES)

    assert "lie.json: a lie" in str(caught.value)


def test_expectations_are_written_into_a_case_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new.json"
    path.write_text(json.dumps({"about": "new", "mode": "none", "isolate": ["net"], "options": {}}))
    monkeypatch.setenv(UPDATE, "1")
    check_case(path, *MODES)
    monkeypatch.delenv(UPDATE)

    check_case(path, *MODES)

    assert json.loads(path.read_text())["do"][:1] == ["ip netns add web"]
