"""Adopting: whose it is, what a script has made."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_FILE = "engine/executor/adopting.py"
_TESTS = "tests/system/test_adopt.py"

RULES = (
    Rule(
        "what is taken over is there as a whole",
        _FILE,
        "    if not stock.wrong and not stock.absent:\n",
        "    if True:\n",
        f"{_TESTS}::test_half_of_a_lab_is_not_taken_over",
    ),
    Rule(
        "a namespace with others' processes is theirs",
        _FILE,
        "        if init is None or not is_descendant(pid, init):\n",
        "        if False:\n",
        f"{_TESTS}::test_a_namespace_in_which_a_stranger_is_at_work_is_not_adopted",
    ),
    Rule(
        "a namespace with others' links is theirs",
        _FILE,
        'if link.name != "lo" and link.mac not in macs:',
        "if False:",
        f"{_TESTS}::test_a_namespace_with_a_strangers_link_is_not_adopted",
    ),
    Rule(
        "a namespace is that in which the plan's init lives",
        _FILE,
        "    if init is not None and netns_inode_of(init) != inode:\n",
        "    if False:\n",
        f"{_TESTS}::test_a_namespace_that_the_init_does_not_live_in_is_not_adopted",
    ),
    Rule(
        "what nothing tells of is not taken over",
        _FILE,
        "            if step.undo and step.removed_with is None:\n",
        "            if False:\n",
        f"{_TESTS}::test_what_nothing_tells_of_is_not_adopted",
    ),
    Rule(
        "what is taken over is written down at once, or not at all",
        "engine/store/journal.py",
        "self._write(*built, (_STATE, _states(DONE, done)), (_META, self._first_place()))",
        "self._write(*built); self._write((_STATE, _states(DONE, done)))",
        f"{_TESTS}::test_an_adoption_that_is_killed_is_whole_or_is_not",
    ),
    Rule(
        "a plan that has been taken over is nothing that a file of others says",
        "engine/app/saved.py",
        "        validate(ctx, plan)\n",
        "        pass\n",
        f"{_TESTS}::test_a_plan_that_holds_what_no_mode_plans_is_not_adopted",
    ),
)
