"""The plans that a script carries in a comment, so that `nsctl adopt` knows what the script has made."""

from __future__ import annotations

import json
from typing import NamedTuple

from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.plan import Plan

__all__ = ["Carried", "carried_by", "comment_with"]

_MARK = "# nsctl-carried: "
_HOW = "the script that nsctl up MODE --dry-run --format sh printed, as it was, or the plan that --format json did"


class Carried(NamedTuple):
    """
    What a script carries.

    Args:
        plans: The plans of what it makes.
        source: The lab file that they are from, or nothing.
    """

    plans: tuple[Plan, ...]
    source: str = ""


def comment_with(carried: Carried) -> str:
    """One line of comment; it is ASCII, whatever the plans hold."""
    data = {"plans": [plan.to_json() for plan in carried.plans], "source": carried.source}
    return f"{_MARK}{json.dumps(data, separators=(',', ':'))}\n"


def carried_by(text: str) -> Carried:
    """
    What a script, or the JSON of one plan, carries.

    Raises:
        Invalid: Nothing, or something else.
    """
    lines = [line for line in text.splitlines() if line.startswith(_MARK)]
    script = text.startswith("#!")
    if len(lines) != 1 and script:
        raise Invalid("this script carries no plan", hint=f"it takes {_HOW}")
    try:
        data = json.loads(lines[0].removeprefix(_MARK) if script else text)
    except (ValueError, RecursionError) as e:
        raise Invalid("this is neither a script nor a plan of nsctl's", hint=f"it takes {_HOW}") from e
    if not script:
        return Carried((Plan.from_json(data),))
    plans, source = (data.get("plans"), data.get("source")) if isinstance(data, dict) else (None, None)
    if not isinstance(plans, list) or not plans or not isinstance(source, str) or not source.isprintable():
        raise Invalid("the plan that this script carries is damaged", hint=f"it takes {_HOW}")
    return Carried(tuple(Plan.from_json(plan) for plan in plans), source)
