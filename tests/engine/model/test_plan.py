from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert, to_builtins

from nsctl.engine.model.commands import AnyCommand, Command, Spawn, argv_of
from nsctl.engine.model.effects import EFFECTS, Effect, effect_from_json, effect_to_json
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.plan import Plan, Step, step_from_text, step_to_text

WORDS = st.text(min_size=1, max_size=8)
ARGV = st.lists(WORDS, min_size=1, max_size=4).map(tuple)
NAMES = st.none() | WORDS
TYPES = {
    "str": WORDS,
    "str | None": NAMES,
    "int": st.integers(0, 9999),
    "int | None": st.none() | st.integers(0, 9999),
    "tuple[str, ...]": ARGV,
}
EFFECT = st.one_of(
    [st.builds(cls, **{n: TYPES[cls.__annotations__[n]] for n in cls.__struct_fields__}) for cls in EFFECTS.values()]
)
COMMAND = st.builds(
    Command, ARGV, st.none() | st.text(max_size=20), NAMES, st.lists(st.integers(0, 255), min_size=1).map(tuple)
)
SPAWN = st.builds(Spawn, ARGV, WORDS, WORDS, NAMES, NAMES)
STEP = st.builds(
    Step,
    WORDS,
    WORDS,
    COMMAND | SPAWN,
    st.lists(COMMAND, max_size=2).map(tuple),
    st.none() | EFFECT,
    NAMES,
    st.text(max_size=5),
    st.none() | st.lists(WORDS, max_size=3).map(tuple),
)
PLAIN = st.dictionaries(WORDS, st.none() | st.booleans() | st.integers() | WORDS | st.lists(WORDS), max_size=3)
PLAN = st.builds(
    Plan, WORDS, WORDS, PLAIN, st.lists(STEP, max_size=3).map(tuple), st.lists(WORDS).map(tuple), ARGV, PLAIN
)


def through_json(data: object) -> Any:
    return json.loads(json.dumps(data))


@given(EFFECT)
def test_effects_survive_json(effect: Effect) -> None:
    assert effect_from_json(through_json(effect_to_json(effect))) == effect


@given(STEP)
def test_steps_survive_json(step: Step) -> None:
    again = step_from_text(step_to_text(step))
    assert again == step
    assert hash(again) == hash(step)


@given(PLAN)
def test_plans_survive_json(plan: Plan) -> None:
    assert Plan.from_json(through_json(plan.to_json())) == plan


GOOD: dict[str, Any] = Plan(
    "bridge",
    "web",
    {},
    (
        Step("a", "why", Command(("ip", "link")), (Command(("ip", "x")),), after=()),
        Step("b", "why", Spawn(("x",), "/p", "/l")),
    ),
).to_json()


def test_a_plan_of_an_nsctl_that_knew_no_programs_is_read() -> None:
    spawn = Spawn(("x",), "/p", "/l", "web", "/r", "prog")
    data = to_builtins(spawn)
    assert convert(data, AnyCommand) == spawn
    del data["program"]
    assert convert(data, AnyCommand) == Spawn(("x",), "/p", "/l", "web", "/r")


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        GOOD | {"nsctl_plan": 1},
        GOOD | {"nsctl_plan": None},
        {k: v for k, v in GOOD.items() if k != "steps"},
        GOOD | {"steps": 7},
        GOOD | {"steps": "abc"},
        GOOD | {"steps": [None]},
        GOOD | {"steps": [{}]},
        GOOD | {"options": "abc"},
        GOOD | {"settings": 7},
        GOOD | {"isolate": 7},
        GOOD | {"isolate": "net"},
        GOOD | {"command": "sh"},
        GOOD | {"command": [7]},
        GOOD | {"name": 7},
        GOOD | {"mode": None},
    ],
)
def test_what_is_no_plan_is_refused(data: object) -> None:
    with pytest.raises(Invalid):
        Plan.from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {"key": 7},
        {"why": None},
        {"do": 7},
        {"do": "ip link"},
        {"do": {"kind": "run", "argv": "ip link"}},
        {"do": {"kind": "run", "argv": []}},
        {"do": {"kind": "run", "argv": ["ip", 7]}},
        {"do": {"kind": "run", "argv": ["ip"], "stdin": 7}},
        {"do": {"kind": "run", "argv": ["ip"], "netns": 7}},
        {"do": {"kind": "run", "argv": ["ip"], "ok": "0"}},
        {"do": {"kind": "run", "argv": ["ip"], "ok": ["0"]}},
        {"do": {"argv": ["x"]}},
        {"do": {"kind": "walk", "argv": ["x"]}},
        {"do": {"kind": "run", "argv": ["x"], "pidfile": "/p"}},
        {"do": {"kind": "spawn", "argv": ["x"], "pidfile": "/p"}},
        {"do": {"kind": "rule", "table": "nat", "chain": "X", "spec": ["-j", "Y"], "verb": "-P"}},
        {"do": {"kind": "chain", "table": "nat", "chain": "X", "verb": "-N", "family": 5}},
        {"do": {"kind": "sysctl", "key": "net/x", "value": 1}},
        {"do": {"kind": "spawn", "argv": ["x"], "pidfile": 7, "log": "/l"}},
        {"undo": "ip"},
        {"undo": [{"kind": "spawn", "argv": ["x"], "pidfile": "/p", "log": "/l"}]},
        {"effect": {}},
        {"effect": {"kind": "nonsense"}},
        {"effect": {"kind": "link"}},
        {"effect": {"kind": "up", "name": "a", "more": 1}},
        {"effect": []},
        {"effect": {"kind": "up", "name": 7}},
        {"effect": {"kind": "up", "name": ["a"]}},
        {"effect": {"kind": "link", "name": "a", "mac": "b", "mtu": True}},
        {"effect": {"kind": "command", "argv": [7]}},
        {"effect": {"kind": ["up"], "name": "a"}},
        {"removed_with": 7},
        {"no_undo": 7},
        {"after": "a"},
        {"after": [7]},
    ],
)
def test_a_plan_with_a_damaged_step_is_refused(change: dict[str, Any]) -> None:
    step = GOOD["steps"][0] | change
    with pytest.raises(Invalid, match="the plan is damaged"):
        Plan.from_json(GOOD | {"steps": [step]})


@given(PLAN, st.data())
def test_a_plan_that_lost_a_part_is_refused_or_read_without_a_traceback(plan: Plan, data: st.DataObject) -> None:
    damaged = through_json(plan.to_json())
    place: Any = damaged
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list):
            place[key] = data.draw(st.none() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}))
            break
        place = place[key]
    with suppress(Invalid):
        Plan.from_json(damaged)


def test_words_enter_the_namespace() -> None:
    assert argv_of(Command(("ip", "link"), netns="web")) == ("ip", "-n", "web", "link")
    assert argv_of(Command(("sysctl", "-qw", "a=b"), netns="web")) == (
        *("nsenter", "--net=/run/netns/web", "--"),
        *("sysctl", "-qw", "a=b"),
    )


def test_a_detached_process_writes_its_pid_first_and_closes_the_lock() -> None:
    assert argv_of(Spawn(("dnsmasq", "-k"), "/run/x.pid", "/run/x.log", "web")) == (
        *("setsid", "sh", "-c", 'echo $$ >"$0" && exec "$@" 9>&-', "/run/x.pid"),
        *("nsenter", "--net=/run/netns/web", "--", "dnsmasq", "-k"),
    )


def test_two_sandboxes_share_a_step_that_does_the_same() -> None:
    one = Step("a", "for web", Command(("true",)), (Command(("x",)),))
    assert one.same_work(Step("a", "for db", Command(("true",))))
    assert not one.same_work(Step("a", "for web", Command(("true",), stdin="x")))
