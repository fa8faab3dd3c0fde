from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsctl.engine.cli.mode_first import mode_first
from tests.cli.conftest import Nsctl

COMMON = {"--name": True, "--dry-run": False, "--help": False}
MODES = {
    "bridge": {"--subnet": True, "--internal": False} | COMMON,
    "host": COMMON,
    "container": {"--target": True} | COMMON,
}


def options_of(name: str) -> Mapping[str, bool] | None:
    return MODES.get(name)


def options_of_any() -> Mapping[str, bool]:
    return {flag: takes for options in MODES.values() for flag, takes in options.items()}


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("bridge --name web", "bridge --name web"),
        ("--name web bridge", "bridge --name web"),
        ("--name bridge host", "host --name bridge"),
        ("--name host bridge --internal", "bridge --name host --internal"),
        ("--name=host bridge", "bridge --name=host"),
        ("--subnet 10.0.3.0/24 --internal bridge", "bridge --subnet 10.0.3.0/24 --internal"),
        ("--target bridge container", "container --target bridge"),
        ("--dry-run host", "host --dry-run"),
        ("--help bridge", "bridge --help"),
        # What is wrong is put where the mode's command complains of it.
        ("--subnt 10.0.3.0/24 bridge", "bridge --subnt 10.0.3.0/24"),
        ("--subnet 10.0.3.0/24 brige", "brige --subnet 10.0.3.0/24"),
        ("--name host brige", "brige --name host"),
        ("--subnet 10.0.3.0/24 host", "host --subnet 10.0.3.0/24"),
        # And where there is no mode, there is none.
        ("--name bridge", "--name bridge"),
        ("--name", "--name"),
        ("--help", "--help"),
        ("", ""),
    ],
)
def test_the_mode_comes_first_wherever_it_stood(words: str, first: str) -> None:
    assert mode_first(words.split(), options_of, options_of_any) == first.split()


values = st.sampled_from(["web", "bridge", "host", "container", "10.0.3.0/24"])


@given(mode=st.sampled_from(sorted(MODES)), data=st.data())
def test_any_options_may_stand_before_any_mode(mode: str, data: st.DataObject) -> None:
    before: list[str] = []
    for flag in data.draw(st.lists(st.sampled_from(sorted(MODES[mode])), max_size=4)):
        before += [flag, data.draw(values)] if MODES[mode][flag] else [flag]
    assert mode_first([*before, mode], options_of, options_of_any) == [mode, *before]


@pytest.mark.parametrize("command", ["up", "run"])
@pytest.mark.parametrize(
    ("before", "mode"),
    [
        ("--name host --subnet 10.9.0.0/24 --internal", "bridge"),
        ("--name bridge", "none"),
        ("--name=x --cap-add sys_time", "host"),
    ],
)
def test_options_before_the_mode_are_the_same_as_behind_it(nsctl: Nsctl, command: str, before: str, mode: str) -> None:
    form = ["--dry-run", "--format", "json"]
    words = ["--", "true"]
    ahead = nsctl(command, *before.split(), *form, mode, *words)
    assert (ahead.status, ahead.stderr) == (0, "")
    assert json.loads(ahead.stdout)["mode"] == mode
    assert ahead == nsctl(command, mode, *before.split(), *form, *words)


@pytest.mark.parametrize("words", ["--name bridge", "--name", "-x", "--dry-run", "-- bridge"])
def test_without_a_mode_it_is_asked_for(nsctl: Nsctl, words: str) -> None:
    done = nsctl("up", *words.split())
    assert (done.status, done.refusal) == (2, "nsctl: which mode?")
