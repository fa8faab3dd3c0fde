"""The help in groups: everything built in has its group, and a plugin's own options have theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import pytest

from nsctl import Mode, opt
from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.cli.common_options import UpCommon
from nsctl.engine.cli.groups import COMMAND_GROUPS, OPTION_GROUPS, grouped
from nsctl.engine.cli.loading import load
from nsctl.engine.cli.root import command_of
from nsctl.engine.model.options import fields_of
from nsctl.hooks.manager import LoadedMode, Plugins, entry_points
from tests.cli.conftest import Nsctl

MODES = sorted(p.name for p in entry_points() if p.built_in)
GROUPED = {name for names in OPTION_GROUPS.values() for name in names}


def headings(text: str) -> dict[str, list[str]]:
    """Heading → the names under it, of a help page."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\w.*):", line):
            found[heading[1]] = []
        inside = bool(line) and (inside or heading is not None)
        if inside and (name := re.match(r"  (?:-\w, )?(\S+)", line)):
            found[list(found)[-1]].append(name[1])
    return found


def test_every_command_is_in_exactly_one_group() -> None:
    names = [name for members in COMMAND_GROUPS.values() for name in members]
    assert sorted(set(COMMANDS) - set(names)) == []
    assert len(names) == len(set(names))


def test_every_option_is_in_exactly_one_group() -> None:
    names = [name for members in OPTION_GROUPS.values() for name in members]
    assert len(names) == len(set(names))
    there = {f.flag for f in fields_of(UpCommon)}
    there |= {f.flag for name in MODES for f in fields_of(load(name)[1].options)}
    for name, (place, summary) in COMMANDS.items():
        module, _, attribute = place.partition(":")
        made = command_of(getattr(import_module(f"nsctl.engine.cli.{module}"), attribute), name, summary)
        for one in (made, *getattr(made, "commands", {}).values()):
            there |= {max(p.opts, key=len) for p in one.params if p.param_type_name == "option"}
    assert sorted(there - GROUPED) == []


def test_the_help_lists_the_commands_in_groups(nsctl: Nsctl) -> None:
    found = headings(nsctl("--help").stdout)
    expected = {head: [n for n in names if n in COMMANDS] for head, names in COMMAND_GROUPS.items()}
    assert {head: names for head, names in found.items() if head != "Options"} == {
        h: n for h, n in expected.items() if n
    }


@pytest.mark.parametrize("mode", MODES)
def test_the_help_of_a_mode_has_its_options_in_groups(nsctl: Nsctl, mode: str) -> None:
    found = headings(nsctl("up", mode, "--help").stdout)
    assert found.pop("Other") == ["--help"]
    assert list(found) == [head for head in OPTION_GROUPS if head in found]
    assert all(set(names) <= set(OPTION_GROUPS[head]) for head, names in found.items())
    assert len(found) >= 4


def test_few_options_need_no_groups(nsctl: Nsctl) -> None:
    assert list(headings(nsctl("check", "--help").stdout)) == ["Arguments", "Options"]


def test_texts_of_all_groups_stand_in_one_column(nsctl: Nsctl) -> None:
    text = nsctl("up", "bridge", "--help").stdout
    columns = {
        found.end() for line in text.splitlines() if (found := re.match(r"  -\S+(?:, \S+)?(?: \S+)? {2,}", line))
    }
    assert len(columns) == 1


@dataclass(frozen=True, kw_only=True)
class Own:
    """One option that no built-in mode has, and one that they have, too."""

    flavour: str = opt("plain", "of what taste")
    subnet: str | None = opt(None, "the network's subnet")


def test_the_own_options_of_a_plugins_mode_have_a_group_of_their_own(
    nsctl: Nsctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def modes(self: Plugins) -> dict[str, Any]:  # noqa: ARG001 - a method's signature
        return {"ice": LoadedMode(Mode("ice", "cold", Own, lambda *_: []), "nsctl-ice", "1.0")}

    monkeypatch.setattr(Plugins, "modes", modes)
    found = headings(nsctl("up", "ice", "--help").stdout)
    assert next(iter(found)) == "Mode ice"
    assert found["Mode ice"] == ["--flavour"]
    assert found["Network"] == ["--subnet"]
    assert found["Other"] == ["--help"]


def test_what_is_in_no_group_comes_last() -> None:
    groups = {"A": ("a", "b"), "B": ("c",)}
    plain = partial(grouped, groups=groups, other="Rest")
    assert plain(["x", "b", "a"]) == {"A": ["a", "b"], "Rest": ["x"]}
    assert list(plain(["x", "b"], order=["Rest"])) == ["Rest", "A"]
