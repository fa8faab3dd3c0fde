from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from nsctl.engine.app.settings import of_lab_file
from nsctl.engine.labfiles import Difference, Lab, compare, read_lab
from nsctl.engine.labfiles.difference import STDIN
from nsctl.engine.model.errors import Conflict
from nsctl.engine.model.plan import NAMESPACES
from nsctl.modes import bridge, container, none

MODES = {m.name: m for m in (none.MODE, bridge.MODE, container.MODE)}
HERE, ELSEWHERE = "/srv/lab.toml", "/srv/other.toml"
ISOLATE = "isolate is mount,ipc,pid,uts,net, not net"


@dataclass
class Row:
    """A sandbox that is up, as the store has it."""

    name: str
    mode: str
    options: dict[str, Any]
    isolate: tuple[str, ...] = NAMESPACES
    command: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    shares: str | None = None
    init: str | None = None
    addresses: tuple[str, ...] = ()
    source: str = HERE
    owner: tuple[int, int] | None = None
    confirm_by: float | None = None


def read(text: str) -> Lab:
    return read_lab("lab.toml", text, MODES.get, lambda: list(MODES), of_lab_file)


def made(text: str, source: str = HERE) -> dict[str, Row]:
    """What is up once a file has been applied; through JSON, as in the store."""
    rows = {}
    for wanted in read(text).sandboxes:
        request = wanted.request
        options, settings = json.loads(json.dumps([wanted.options, request.settings]))
        shares = options["target"] if wanted.mode.name == "container" else None
        rows[request.name] = Row(
            name=request.name,
            mode=wanted.mode.name,
            options=options,
            isolate=request.isolate,
            command=request.command,
            settings=settings,
            shares=shares,
            source=source,
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
        ('mode = "bridge"\nsubnet = "10.0.3.0/24"\nenv', 'mode = "none"\nenv', "mode is bridge, not none"),
        ('/24"\nenv', '/24"\nmtu = 1400\nenv', "mtu is unset, not 1400"),
        ('/24"\nenv', '/24"\ninternal = true\nenv', "internal is off, not on"),
        ('/24"\nenv', '/24"\nmtu = 1400\nifname = "eth1"\nenv', "ifname is eth0, not eth1; mtu is unset, not 1400"),
        ('/24"\nenv', '/24"\nisolate = ["net"]\nenv', ISOLATE),
        ('/24"\nenv', '/24"\ncommand = ["true"]\nenv', "command is unset, not true"),
        ('LANG = "C"', 'LANG = "de"', "other variables"),
        ('["kill"]', '["kill", "mknod"]', "cap-add is kill, not kill mknod"),
        (
            '/24"\nenv',
            '/24"\ncap_drop = ["chown"]\ncommand = ["true"]\nenv',
            "command is unset, not true; cap-drop is unset, not chown",
        ),
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
    assert [why for w, why in change.changed if w.request.name == "probe"] == [ISOLATE]


def test_a_sharer_that_goes_for_good_holds_nothing_up() -> None:
    assert compare(read(""), made(LAB), HERE).changed == []


def test_a_sharer_that_the_file_does_not_name_stops_a_replacement() -> None:
    present = made(LAB)
    present["mine"] = Row("mine", "container", {"target": "web"}, shares="web", source="")
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
    assert caught.value.message == f"'client-1' is up already, was not made by this file, and differs: {ISOLATE}"
    assert caught.value.hint == "take it down first: nsctl down client-1"


def test_what_others_made_never_goes() -> None:
    present = made(LAB, ELSEWHERE)
    assert told(compare(read(""), present, HERE)) == ([], {}, [], [])
    assert told(compare(read('[sandbox.own]\nmode = "none"\n'), present, HERE)) == (["own"], {}, [], [])


NEIGHBOURS = """\
[sandbox.a]
mode = "bridge"
subnet = "10.0.3.0/24"

[sandbox.probe]
mode = "container"
target = "a"

[sandbox.b]
mode = "bridge"
subnet = "10.0.3.0/24"
"""


def neighbours(source: str = HERE) -> dict[str, Row]:
    """Two on a network that were given an address each."""
    present = made(NEIGHBOURS, source)
    present["a"].addresses = ("10.0.3.2/24",)
    present["b"].addresses = ("10.0.3.3/24",)
    return present


def test_who_was_given_an_address_that_another_asks_for_makes_room_and_so_do_its_sharers() -> None:
    change = compare(read(NEIGHBOURS + 'ip = "10.0.3.2"\n'), neighbours(), HERE)
    assert {w.request.name: why for w, why in change.changed} == {
        "b": "ip is unset, not 10.0.3.2",
        "a": "b asks for its address",
        "probe": "a, whose network it shares",
    }
    assert change.same == []
    present = neighbours()
    del present["b"]
    change = compare(read(NEIGHBOURS + 'ip = "10.0.3.2"\n'), present, HERE)
    assert told(change)[:2] == (["b"], {"a": "b asks for its address", "probe": "a, whose network it shares"})


def test_nobody_makes_room_who_chose_the_address_or_is_not_of_this_file() -> None:
    text = NEIGHBOURS.replace('/24"\n\n[', '/24"\nip = "10.0.3.2"\n\n[')
    present = made(text) | {"b": neighbours()["b"]}
    present["a"].addresses = ("10.0.3.2/24",)
    assert [w.request.name for w, _ in compare(read(text + 'ip = "10.0.3.2"\n'), present, HERE).changed] == ["b"]
    present = neighbours(ELSEWHERE) | {"b": neighbours()["b"]}
    change = compare(read(NEIGHBOURS + 'ip = "10.0.3.2"\n'), present, HERE)
    assert told(change)[1] == {"b": "ip is unset, not 10.0.3.2"}


def test_one_whose_init_has_ended_is_replaced() -> None:
    asked = []

    def ended(row: Row) -> bool:
        asked.append(row.name)
        return row.name == "web"

    present = made(LAB)
    for name in ("web", "client-1", "client-2"):
        present[name].init = f"init/{name}"
    text = LAB.replace("count = 3", 'count = 3\nisolate = ["net"]')
    present["client-2"].isolate = ("net",)
    change = compare(read(text), present, HERE, ended)
    assert {w.request.name: why for w, why in change.changed}["web"] == "its init has ended"
    assert asked == ["web", "client-2"]
    present["web"].source = ELSEWHERE
    with pytest.raises(Conflict) as caught:
        compare(read(LAB), present, HERE, ended)
    assert caught.value.message == "'web' is up already, was not made by this file, and its init has ended"


@pytest.mark.parametrize(
    ("key", "value", "says", "hint"),
    [
        ("owner", (17, 4), "belongs to a running nsctl run", "wait for it to end"),
        ("confirm_by", 12.5, "waits for its confirmation", "nsctl confirm web"),
    ],
)
def test_one_that_will_not_stay_is_not_as_the_file_says(key: str, value: Any, says: str, hint: str) -> None:
    present = made(LAB, "")
    setattr(present["web"], key, value)
    with pytest.raises(Conflict) as caught:
        compare(read(LAB), present, HERE)
    assert f"'web' is up already, and {says}" in caught.value.message
    assert hint in caught.value.hint


def test_what_came_through_standard_input_takes_nothing_away_and_can_be_replaced() -> None:
    present = made(LAB, STDIN)
    assert told(compare(read('[sandbox.own]\nmode = "none"\n'), present, STDIN)) == (["own"], {}, [], [])
    change = compare(read(LAB.replace("count = 3", 'count = 1\nisolate = ["net"]')), present, STDIN)
    assert told(change)[1:3] == ({"client-1": ISOLATE}, [])
