"""
Golden cases: options and facts in a JSON file, with the exact commands that come of them, or the error.

    {
      "about": "one line: what this case shows",
      "mode": "bridge",
      "options": {"subnet": "10.0.3.0/24"},
      "facts": {"links": {"eth0": {"mtu": 1400}}, "uplinks": ["eth0"]},
      "do": ["ip netns add web", "…"],
      "undo": ["…", "ip netns del web"]
    }

What the plan claims stands in `claims`, by key.
A case that is refused has `error` and `hint` in place of `do` and `undo`.
`name`, `isolate`, `command` and `settings` may be given too.
`facts.sandboxes` is a list of sandboxes that are up already (`{"mode", "name", "options", …}`), each planned before
the next.
A line that begins with `= ` is in place already, shared with one of them.

Run with the environment variable NSCTL_UPDATE_CASES set, expectations are written into the files: review the
difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.facts import Facts, Firewall, Link, Process, Route
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.options import from_plain
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning.forecast import extend
from nsctl.engine.planning.planner import plan
from nsctl.engine.planning.render import shell_of

__all__ = ["UPDATE", "cases_in", "check_case", "facts_from_json", "plan_case"]

UPDATE = "NSCTL_UPDATE_CASES"
_EXPECTATIONS = ("claims", "do", "undo", "error", "hint")


def cases_in(folder: str | Path) -> list[Path]:
    """The cases in a folder and the folders in it, for `pytest.mark.parametrize`."""
    return sorted(Path(folder).rglob("*.json"))


def check_case(path: str | Path, *modes: Mode) -> None:
    """
    Plan a case and compare.

    Args:
        path: The file.
        modes: The modes that the case may name.

    Raises:
        AssertionError: Something else came of it; the message shows both, line by line.
    """
    path = Path(path)
    case = json.loads(path.read_text(encoding="utf-8"))
    found = _outcome(case, modes)
    if os.environ.get(UPDATE):
        kept = {key: value for key, value in case.items() if key not in _EXPECTATIONS}
        path.write_text(json.dumps(kept | found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    expected = {key: case[key] for key in _EXPECTATIONS if key in case}
    if found != expected:
        raise AssertionError(f"{path.name}: {case.get('about', '')}\n{_difference(expected, found)}")


def plan_case(case: Mapping[str, Any], modes: Iterable[Mode], facts: Facts | None = None) -> Plan:
    """
    The plan of a case.

    Args:
        case: The case, as read from its file.
        modes: The modes that it may name.
        facts: In place of the case's own.

    Raises:
        NsctlError: It is refused.
    """
    known = {mode.name: mode for mode in modes}
    mode = known[case["mode"]]
    if facts is None:
        facts = facts_from_json(case.get("facts", {}), known.values())
    options = from_plain(mode.options, case.get("options", {}))
    request = Request(
        name=case.get("name", "web"),
        options=options,
        isolate=tuple(case.get("isolate", mode.isolate)),
        command=tuple(case.get("command", ())),
        settings=case.get("settings", {}),
    )
    return plan(mode, request, facts)


def facts_from_json(data: Mapping[str, Any], modes: Iterable[Mode] = ()) -> Facts:
    """
    Facts from plain data, the fields of `Facts`; what is left out is as on a host without a network.

    Args:
        data: The fields; `sandboxes` is a list of cases without facts of their own.
        modes: The modes of these sandboxes.
    """
    plain = {"state_dir", "hosts", "resolv_conf"}
    made = Facts(
        links={name: Link(name, **fields) for name, fields in data.get("links", {}).items()},
        routes=tuple(Route(IPv4Network(r.pop("to")), **r) for r in map(dict, data.get("routes", ()))),
        uplinks=tuple(data.get("uplinks", ())),
        route_mtu=data.get("route_mtu"),
        outer=tuple(data.get("outer", ())),
        sysctls=data.get("sysctls", {}),
        lacks=data.get("lacks", {}),
        netns=frozenset(data.get("netns", ())),
        addresses=tuple((link, IPv4Interface(address)) for link, address in data.get("addresses", ())),
        fixed_macs=data.get("fixed_macs", {}),
        processes={int(pid): Process(int(pid), **fields) for pid, fields in data.get("processes", {}).items()},
        firewall=_firewall(data.get("firewall", {})),
        **{key: data[key] for key in plain if key in data},
    )
    modes = list(modes)
    for earlier in data.get("sandboxes", ()):
        made = extend(made, plan_case(earlier, modes, made))
    # What other programs have since done to nsctl's own things.
    return replace(made, links={**made.links, **{n: Link(n, **f) for n, f in data.get("links_now", {}).items()}})


def _firewall(data: Mapping[str, Any]) -> Firewall:
    chains = {name: [tuple(rule.split()) for rule in rules] for name, rules in data.get("chains", {}).items()}
    return replace(Firewall(), **{**data, "chains": chains})


def _outcome(case: Mapping[str, Any], modes: Iterable[Mode]) -> dict[str, Any]:
    modes = list(modes)
    facts = facts_from_json(case.get("facts", {}), modes)
    try:
        made = plan_case(case, modes, facts)
    except NsctlError as e:
        return {"error": e.message, "hint": e.hint}
    keys = {step.key for step in made.steps}
    new = [step for step in made.steps if step.key not in facts.steps]
    claims = [step.key for step in made.steps if step.is_claim]
    changes = [step for step in made.steps if not step.is_claim]
    return {
        **({"claims": claims} if claims else {}),
        "do": [("= " if step.key in facts.steps else "") + shell_of(step.do) for step in changes],
        "undo": [shell_of(c) for step in reversed(new) if step.removed_with not in keys for c in step.undo],
    }


def _difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    from difflib import unified_diff

    def lines(data: Mapping[str, Any]) -> list[str]:
        return json.dumps(data, indent=1, ensure_ascii=False).splitlines()

    return "\n".join(unified_diff(lines(expected), lines(found), "expected", "found", lineterm="", n=1))
