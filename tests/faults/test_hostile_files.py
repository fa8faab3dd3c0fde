"""11. Hostile files, through the pure part: lab files and plans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nsctl.engine.app.settings import of_lab_file
from nsctl.engine.labfiles import read_lab
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_name
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning import render
from nsctl.engine.planning.planner import validate
from nsctl.modes import bridge
from tests.faults.corpus import MUTATIONS
from tests.faults.tally import Tally
from tests.faults.test_hostile_words import HOSTILE, MODES, clean, hunt, made


def test_a_lab_file_is_read_or_refused_with_its_line(tally: Tally) -> None:
    keys = st.sampled_from("mode network count isolate command env cap_add privileged subnet ip mtu target x".split())
    plain = st.none() | st.booleans() | st.integers() | st.floats() | HOSTILE
    values = st.recursive(
        plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(HOSTILE, inner, max_size=2)
    )
    tables = st.dictionaries(keys, values | st.sampled_from(["bridge", "none", "container", "a", "b"]), max_size=4)

    names = st.sampled_from(["a", "b", "a-1"]) | HOSTILE

    @given(st.dictionaries(names, tables, max_size=3), st.integers(0, 400), HOSTILE)
    def test(sandboxes: dict[str, dict[str, Any]], at: int, junk: str) -> None:
        text = ""
        for name, table in sandboxes.items():
            text += f"[sandbox.{json.dumps(name)}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items())
        for tried in (text, text[:at] + junk + text[at:]):
            try:
                for one in read_lab("lab.toml", tried, MODES.get, lambda: list(MODES), of_lab_file).sandboxes:
                    assert check_name(one.request.name)
            except Invalid as e:
                clean(e, r"lab\.toml, line [0-9]+: .+")

    hunt(tally, test, "lab files", 700)


def toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return "''" if value is None else json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*at, key))


def test_a_plan_that_was_changed_anywhere_is_refused_or_can_be_shown(tally: Tally) -> None:
    whole = json.dumps(made(bridge.MODE, {}, "web", ("sleep", "9"), ["A=b"]).to_json())
    every = list(places(json.loads(whole)))

    @given(st.sampled_from(every), st.sampled_from(MUTATIONS))
    def test(at: tuple[Any, ...], value: object) -> None:
        data = json.loads(whole)
        place = data
        for key in at[:-1]:
            place = place[key]
        place[at[-1]] = value
        try:
            changed = Plan.from_json(data)
            validate(changed)
        except Invalid as e:
            clean(e)
            return
        assert all(c.isprintable() or c in "\n\t" for c in render.json(changed))
        assert all((s.key + s.why).isprintable() for s in changed.steps)

    hunt(tally, test, "plans", 800)
