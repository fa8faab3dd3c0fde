"""
The table of decisions as JSON cases, one file a situation.

    {
      "about": "one line: what this case shows",
      "for": "up", "undo", "check" or "repair",
      "steps": [{"key": "link/nsbr0", "effect": "link", "observed": {"state": "ours"}, …}],
      "decisions": ["link/nsbr0: undo", …]
    }

Steps stand in the order in which they were applied. `effect` is one of EFFECTS, or left out; what is said besides
is in `step_of` and `Situation`. With NSCTL_UPDATE_CASES set, expectations are written into the files: review the
difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nsctl.engine.executor import decide
from nsctl.engine.executor.decide import Action, Decision
from nsctl.engine.model.commands import Command
from nsctl.engine.model.effects import Effect, FileIs, LinkIs, LinkUp, NetnsIs, NftTable, ProcessIs, RuleTagged
from nsctl.engine.model.observation import Observation, State
from nsctl.engine.model.plan import Step
from nsctl.engine.model.progress import DONE

CASES = sorted((Path(__file__).parent / "cases" / "decide").glob("*.json"))
EFFECTS: dict[str, Effect] = {
    "link": LinkIs("nsbr0", "02:00:00:00:00:01", "bridge"),
    "up": LinkUp("nsbr0"),
    "up inside": LinkUp("eth0", "web"),
    "namespace": NetnsIs("web"),
    "process": ProcessIs("/run/web.pid"),
    "file": FileIs("/run/hosts", "content"),
    "rule": RuleTagged("filter", "FORWARD", ("-j", "NSCTL")),
    "table": NftTable("bridge", "nsctl"),
}


@dataclass
class Row:
    """A step as it was journalled."""

    step: Step
    state: str


def step_of(data: dict[str, Any]) -> Step:
    """A step of a case; it has an undo unless `undo` is false, and is a claim if `do` is."""
    return Step(
        data["key"],
        "a step",
        Command(("true",), netns=data.get("netns")) if data.get("do", True) else None,
        (Command(("true",)),) if data.get("undo", data.get("do", True)) else (),
        EFFECTS[data["effect"]] if "effect" in data else None,
        data.get("removed_with"),
        data.get("no_undo", ""),
        tuple(data["after"]) if "after" in data else (),
    )


def observation_of(data: dict[str, Any]) -> Observation:
    """What a case says was found."""
    state = State(data["state"])
    found = {State.OURS: "in place", State.ABSENT: "missing", State.FOREIGN: "somebody else's"}[state]
    return replace(Observation(state, found), **{key: value for key, value in data.items() if key != "state"})


class Situation:
    """What a case says of journal and host; only what decides may be asked for."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.data = {one["key"]: one for one in case["steps"]}
        self.rows = [Row(step_of(one), one.get("row", DONE)) for one in case["steps"]]

    def observe(self, row: Row) -> Observation:
        return self.find(row.step)

    def find(self, step: Step) -> Observation:
        return observation_of(self.data[step.key]["observed"])

    def seen(self) -> list[tuple[Row, Observation | None]]:
        rows = [(row, self.data[row.step.key].get("observed")) for row in self.rows]
        return [(row, observation_of(data) if data is not None else None) for row, data in rows]

    def said(self, word: str) -> Any:
        """A function of steps or rows: what the case says of them under this word; nothing, if nothing."""
        return lambda one: self.data[one.key if isinstance(one, Step) else one.step.key].get(word, "")

    def decisions(self) -> Iterator[Decision]:
        match self.case["for"]:
            case "up":
                yield from decide.forward(
                    [row.step for row in self.rows if "row" not in self.data[row.step.key]],
                    [row for row in self.rows if "row" in self.data[row.step.key]],
                    self.case.get("going", ()),
                    self.find,
                    self.observe,
                    holder=self.said("holder"),
                    adoptable=self.said("adoptable"),
                    backend=self.said("backend"),
                )
            case "undo":
                yield from decide.backward(
                    self.rows[::-1],
                    self.observe,
                    shared=self.said("shared"),
                    inhabited=self.said("inhabited"),
                    refusal=self.said("refusal"),
                ).values()
            case "check":
                yield from decide.check(self.seen(), under_way=self.case.get("under_way", False))
            case "repair":
                ended = self.case.get("ended", True)
                yield from decide.mend(self.seen(), homeless=self.said("homeless"), ended=ended)
            case other:
                raise ValueError(f"nothing is asked for {other}")


def told(decision: Decision) -> str:
    action = f"{decision.action} {decision.state}".rstrip()
    reason = f": {decision.reason}" if decision.reason else ""
    return f"{decision.step.key}: {action}{reason}" + (f" (hint: {decision.hint})" if decision.hint else "")


def decided(case: dict[str, Any]) -> list[str]:
    return [told(decision) for decision in Situation(case).decisions()]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    found = decided(case)
    if os.environ.get("NSCTL_UPDATE_CASES"):
        path.write_text(json.dumps(case | {"decisions": found}, indent=2) + "\n", encoding="utf-8")
    else:
        assert found == case["decisions"], case["about"]


def test_every_action_of_each_question_has_a_case() -> None:
    actions: dict[str, set[Action]] = {}
    for path in CASES:
        case = json.loads(path.read_text(encoding="utf-8"))
        actions.setdefault(case["for"], set()).update(one.action for one in Situation(case).decisions())
    assert actions == {
        "up": {Action.DO, Action.ADOPT, Action.MEND, Action.SKIP, Action.REFUSE},
        "undo": {Action.UNDO, Action.END, Action.SKIP, Action.LEAVE, Action.REFUSE},
        "check": {Action.REPORT},
        "repair": {Action.MEND, Action.RENEW, Action.ALTER, Action.SKIP, Action.LEAVE},
    }
    assert set().union(*actions.values()) == set(Action)


@pytest.mark.parametrize(
    ("observed", "complaint", "inhabitant", "why"),
    [
        (None, "", None, ""),
        (None, "exit status 2", None, "exit status 2"),
        ("absent", "exit status 2", None, ""),
        ("absent", "", 17, "process 17 still runs in it"),
        ("foreign", "", None, ""),
        ("foreign", "exit status 2", None, "exit status 2"),
        ("ours", "", None, "still there: in place"),
        ("ours", "exit status 2", 17, "exit status 2"),
    ],
)
def test_what_counts_as_undone(observed: str | None, complaint: str, inhabitant: int | None, why: str) -> None:
    found = observation_of({"state": observed}) if observed is not None else None
    assert decide.still_there(found, complaint, lambda: inhabitant) == why


def test_what_others_rely_on_counts_as_undone() -> None:
    assert decide.still_there(observation_of({"state": "ours", "taken": "by Docker"}), "", lambda: None) == ""
