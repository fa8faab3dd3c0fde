"""The watcher: what it leaves alone, what it hears, and when it is quiet."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_WATCH = "tests/system/test_watch.py"
_LOOP = "engine/cli/watching/loop.py"

RULES = (
    Rule(
        "a watcher starts nothing again that has ended",
        "engine/app/watch.py",
        "session.repair(ended=False)",
        "session.repair()",
        f"{_WATCH}::test_what_has_ended_is_not_started_again",
    ),
    Rule(
        "what went with a namespace that ended is left, too",
        "engine/executor/decide.py",
        "s.effect is not None and s.effect.can_end}",
        "isinstance(s.effect, ProcessIs)}",
        f"{_WATCH}::test_what_has_ended_is_not_started_again",
    ),
    Rule(
        "a watcher forgets what it changed itself",
        _LOOP,
        "        self._changed()\n        self._first = None\n",
        "        self._changed()\n",
        f"{_WATCH}::test_what_it_puts_back_itself_is_no_reason_to_look_for_ever",
    ),
    Rule(
        "messages that were lost are a reason to look",
        "engine/host/changes.py",
        "            found = True  # some were lost\n",
        "",
        "tests/engine/host/test_changes.py::test_what_was_lost_is_of_interest_and_what_was_not_only_if_it_is",
    ),
    Rule(
        "what is none of nsctl's is no reason to look",
        "engine/host/changes.py",
        "        if is_about(kind",
        "        if True or is_about(kind",
        f"{_WATCH}::test_changes_that_are_none_of_nsctls_have_it_take_no_look",
    ),
    Rule(
        "a watcher learns of what another nsctl made",
        _LOOP,
        "        if self._generation != generation(self._state_dir):",
        "        if False:",
        f"{_WATCH}::test_where_nothing_is_up_it_waits_for_what_comes",
    ),
    Rule(
        "whoever fights back is answered less and less",
        "engine/cli/watching/fight.py",
        "self._rounds + 1 if again else 0",
        "0",
        f"{_WATCH}::test_who_fights_back_is_named_once_and_answered_less_and_less",
    ),
    Rule(
        "what stays broken is said once",
        _LOOP,
        "        if self._failures > 1 and what != self._told:\n",
        "        if self._failures > 1:\n",
        f"{_WATCH}::test_what_stays_broken_is_said_once",
    ),
    Rule(
        "one watcher for a state directory",
        "engine/cli/watch.py",
        "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        f"{_WATCH}::test_a_second_one_is_refused_and_one_that_was_killed_is_in_nobodys_way",
    ),
    Rule(
        "a unit that was changed is not taken away",
        "engine/planning/systemd.py",
        "found is not None and sha256",
        "found is not None or sha256",
        "tests/system/test_systemd.py::test_a_unit_that_was_changed_is_left_and_named",
    ),
    Rule(
        "root runs nothing at boot that others could change",
        "engine/app/units.py",
        "    _nobody_elses()\n    there",
        "    there",
        "tests/system/test_systemd.py::test_what_others_could_change_is_not_run_by_root_at_boot",
    ),
    Rule(
        "units stay while a lab is started at boot",
        "engine/app/units.py",
        "    if labs := _labs():",
        "    if labs := []:",
        "tests/system/test_systemd.py::test_while_a_lab_is_started_at_boot_the_units_stay",
    ),
    Rule(
        "an installation that fails is undone",
        "engine/executor/unheld.py",
        "        left = _roll_back(ctx, opened, operation)\n",
        "        left = []\n",
        "tests/system/test_systemd.py::test_an_installation_that_fails_leaves_nothing",
    ),
    Rule(
        "an installation is journalled before it is begun",
        "engine/executor/unheld.py",
        "ctx.journal.begin(opened, [], steps, [], ())",
        "ctx.journal.begin(opened, [], [], [], ())",
        "tests/system/test_systemd.py::test_an_installation_that_is_killed_is_undone_by_the_next_command",
    ),
)
