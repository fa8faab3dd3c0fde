from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from nsctl.engine.cli.labs import _settings
from nsctl.engine.errors import Conflict
from nsctl.engine.lab import Difference, Lab, compare, read_lab
from nsctl.engine.plan import NAMESPACES
from nsctl.modes import bridge, container, none

MODES = {m.name: m for m in (none.MODE, bridge.MODE, container.MODE)}
HERE, ELSEWHERE = "/srv/lab.toml", "/srv/other.toml"


@dataclass
class Row:
    """
    A sandbox that is up, as the store has it.
    """

    name: str
    mode: str
    options: dict[str, Any]
    isolate: tuple[str, ...] = NAMESPACES
    command: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    source: str = HERE


def read(text: str) -> Lab:
    return read_lab("lab.toml", text, MODES.get, lambda: list(MODES), _settings)


def made(text: str, source: str = HERE) -> dict[str, Row]:
    """
    What is up once a file has been applied; through JSON, as in the store.
    """
    rows = {}
    for wanted in read(text).sandboxes:
        request = wanted.request
        options, settings = json.loads(json.dumps([wanted.options, request.settings]))
        info = {"shares": options["target"]} if wanted.mode.name == "container" else {}
        rows[request.name] = Row(
            request.name, wanted.mode.name, options, request.isolate, request.command, settings, info, source
        )
    return rows


def told(change: Difference) -> tuple[list[str], dict[str, str], list[str], list[str]]:
    new = [w.request.name for w in change.new]
    return new, {w.request.name: why for w, why in change.changed}, change.gone, change.same


LAB = """\
[sandbox.web]
mode = "bridge"
subnet = "10.0.3.0/24"
env = { LANG = "C" }
cap_add = ["kill"]

[sandbox.client]
mode = "bridge"
subnet = "10.0.3.0/24"
count = 3

[sandbox.probe]
mode = "container"
target = "web"

[sandbox.inner]
mode = "container"
target = "probe"
"""


def test_on_an_empty_host_everything_is_new() -> None:
    change = compare(read(LAB), {}, HERE)
    names = ["web", "client-1", "client-2", "client-3", "probe", "inner"]
    assert told(change) == (names, {}, [], [])
    assert not change.nothing
    assert [w.request.name for w in change.make(read(LAB))] == names
    assert change.take_down() == []


def test_what_is_as_the_file_says_is_left() -> None:
    change = compare(read(LAB), made(LAB), HERE)
    assert change.nothing
    assert set(change.same) == set(made(LAB))
    assert (change.make(read(LAB)), change.take_down()) == ([], [])


def test_what_the_file_made_and_no_longer_names_goes() -> None:
    change = compare(read(LAB.replace("count = 3", "count = 1")), made(LAB), HERE)
    assert told(change)[2] == ["client-2", "client-3"]
    assert change.take_down() == ["client-2", "client-3"]
    assert told(change)[:2] == ([], {})
    assert compare(read(""), made(LAB), HERE).gone == list(made(LAB))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('mode = "bridge"\nsubnet = "10.0.3.0/24"\nenv', 'mode = "none"\nenv', "mode (bridge → none)"),
        ('/24"\nenv', '/24"\nmtu = 1400\nenv', "mtu (unset → 1400)"),
        ('/24"\nenv', '/24"\ninternal = true\nenv', "internal (false → true)"),
        ('/24"\nenv', '/24"\nmtu = 1400\nifname = "eth1"\nenv', "ifname (eth0 → eth1), mtu (unset → 1400)"),
        ('/24"\nenv', '/24"\nisolate = ["net"]\nenv', "isolate"),
        ('/24"\nenv', '/24"\ncommand = ["true"]\nenv', "command"),
        ('LANG = "C"', 'LANG = "de"', "settings"),
        ('["kill"]', '["kill", "mknod"]', "settings"),
        ('/24"\nenv', '/24"\nprivileged = true\ncommand = ["true"]\nenv', "command, settings"),
    ],
)
def test_what_differs_is_replaced_and_the_reason_told(old: str, new: str, why: str) -> None:
    assert LAB.count(old) == 1
    change = compare(read(LAB.replace(old, new)), made(LAB), HERE)
    reasons = {"probe": "web, whose network it shares", "inner": "probe, whose network it shares"}
    assert {w.request.name: reason for w, reason in change.changed} == {"web": why, **reasons}
    assert change.same == ["client-1", "client-2", "client-3"]
    assert [w.request.name for w in change.make(read(LAB))] == ["web", "probe", "inner"]
    assert set(change.take_down()) == {"web", "probe", "inner"}


def test_a_variables_value_is_never_told() -> None:
    change = compare(read(LAB.replace('LANG = "C"', 'LANG = "s3cret"')), made(LAB), HERE)
    assert "s3cret" not in str(told(change))


def test_a_sharer_goes_with_its_target_only_once_if_both_change() -> None:
    text = LAB.replace('LANG = "C"', 'LANG = "de"').replace('target = "web"\n', 'target = "web"\nisolate = ["net"]\n')
    change = compare(read(text), made(LAB), HERE)
    assert [w.request.name for w, _ in change.changed] == ["web", "probe", "inner"]
    assert [why for w, why in change.changed if w.request.name == "probe"] == ["isolate"]


def test_a_sharer_that_goes_for_good_holds_nothing_up() -> None:
    assert compare(read(""), made(LAB), HERE).changed == []


def test_a_sharer_that_the_file_does_not_name_stops_a_replacement() -> None:
    present = made(LAB)
    present["mine"] = Row("mine", "container", {"target": "web"}, info={"shares": "web"}, source="")
    with pytest.raises(Conflict) as caught:
        compare(read(LAB.replace('LANG = "C"', 'LANG = "de"')), present, HERE)
    assert "'web' is shared by 'mine', which this file does not name" in caught.value.message
    assert caught.value.hint == "take it down first: nsctl down mine"
    assert compare(read(LAB), present, HERE).nothing


@pytest.mark.parametrize("source", ["", ELSEWHERE])
def test_a_name_that_another_made_is_refused_if_it_differs_and_left_if_it_is_the_same(source: str) -> None:
    assert compare(read(LAB), made(LAB, source), HERE).nothing
    with pytest.raises(Conflict) as caught:
        compare(read(LAB.replace("count = 3", 'count = 3\nisolate = ["net"]')), made(LAB, source), HERE)
    assert caught.value.message == "'client-1' is up already, was not made by this file, and differs in isolate"
    assert caught.value.hint == "take it down first: nsctl down client-1"


def test_what_others_made_never_goes() -> None:
    present = made(LAB, ELSEWHERE)
    assert told(compare(read(""), present, HERE)) == ([], {}, [], [])
    assert told(compare(read('[sandbox.own]\nmode = "none"\n'), present, HERE)) == (["own"], {}, [], [])
