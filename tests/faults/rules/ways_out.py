"""What is said of ways out: only what is so, and nothing of what can't be told."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_TOLD = "tests/system/test_judged.py::test_nobody_is_blamed_for_what_cannot_be_told"
_SAID = "tests/system/test_judged.py::test_what_is_said_of_a_way_out_is_what_packets_find[{}]"
_LATE = "tests/system/test_warnings.py::test_a_host_without_a_default_route_is_a_note_until_it_has_one"
_SAME = (
    "tests/system/test_warnings.py::test_what_stops_the_way_out_is_said_beforehand_at_up_and_by_check_in_the_same_words"
)

RULES = (
    Rule(
        "nobody is blamed for a rule of which it can't be told whether it matches",
        "engine/reach/rules.py",
        "        if found is None:\n            sure = None\n",
        "        if found is None:\n            sure = True\n",
        _TOLD,
    ),
    Rule(
        "a way out that is blocked is drift",
        "engine/cli/maintenance.py",
        "    if found.drifts or found.blocked:\n",
        "    if found.drifts:\n",
        _SAME,
    ),
    Rule(
        "that the host itself has no way out is no drift",
        "engine/reach/promise.py",
        'return tuple(cause for cause in self.causes if cause.kind != "host")',
        "return self.causes",
        _LATE,
    ),
    Rule(
        "the way back to a source is looked up as if it came in by the link it goes out by",
        "engine/reach/routing.py",
        "        iif=onward,\n",
        '        iif="lo",\n',
        _SAID.format("strict-and-by-link"),
    ),
    Rule(
        "what is not tracked is not translated",
        "engine/reach/chains.py",
        "        return packet._replace(state=UNTRACKED)\n",
        "        return packet\n",
        _SAID.format("not-tracked"),
    ),
    Rule(
        "an answer is judged on its way back, too",
        "engine/reach/trace.py",
        "    go.answer(answer, packet.origin[0], packet.iif)\n",
        "",
        _SAID.format("drop-answers"),
    ),
    Rule(
        "whose address single rules are about is judged by itself",
        "engine/reach/promise.py",
        "promise.address if alone else base & mask",
        "base & mask",
        "tests/system/test_warnings.py::test_a_rule_for_one_address_is_blamed_for_that_one_only",
    ),
)
