"""The audit trail and plugins."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_AUDIT = "tests/hooks/test_audit.py"
_SHOWS = f"{_AUDIT}::test_what_was_done_to_a_trail_shows_for_good_until_it_is_acknowledged"
_STORES = "tests/system/test_stores.py"

RULES = (
    Rule(
        "a gap in the trail is a record",
        "hooks/writer.py",
        "            if disagree:\n",
        "            if False:\n",
        f"{_SHOWS}[head removed]",
    ),
    Rule(
        "the head of the trail is kept apart, too",
        "hooks/writer.py",
        "                    remember_apart(self._copy, text)",
        "                    pass",
        f"{_SHOWS}[head forged and tail cut]",
    ),
    Rule(
        "what a rotation may have taken is missing until it is acknowledged",
        "hooks/trail.py",
        '        verdict.problems.append(f"{where}: the records before number {number} are missing")',
        "        pass",
        f"{_AUDIT}::test_a_rotated_trail_goes_on_where_it_ended",
    ),
    Rule(
        "a command that can't be recorded is not started",
        "engine/app/entering.py",
        '    ctx.record("exec_started", name, argv=command)\n',
        "",
        f"{_STORES}::test_a_command_whose_record_cannot_be_written_is_not_started",
    ),
    Rule(
        "what scan removes is on record before",
        "engine/executor/orphans.py",
        'ctx.emit_safely(PlanStarted(ident, "", "recover", "", tuple(row.step for row in rows)))',
        "pass",
        f"{_STORES}::test_what_is_no_plan_is_on_record_too_before_it_begins",
    ),
    Rule(
        "a plugin whose hook is a wrapper is refused",
        "hooks/manager.py",
        "if impl.plugin is plugin and (impl.wrapper or impl.hookwrapper):",
        "if False:",
        "tests/hooks/test_manager.py::test_a_broken_plugin_is_one_warning_and_one_row",
    ),
    Rule(
        "a copy of the head that is gone without a reboot is missed",
        "hooks/audit.py",
        "        verdict.problems.append(MISSING)\n",
        "        pass\n",
        f"{_SHOWS}[head forged, tail cut and copy removed]",
    ),
    Rule(
        "a copy of the head that is gone is on record before there is a new one",
        "hooks/writer.py",
        " or self._missing_copy(record)",
        "",
        f"{_SHOWS}[head forged, tail cut and copy removed]",
    ),
    Rule(
        "a copy of the head is missed only where it has to be",
        "hooks/writer.py",
        'record.get("head_copy") == os.path.basename(copy) and record.get("boot_id") == _boot_id()',
        "True",
        f"{_AUDIT}::test_a_copy_that_cannot_be_there_is_not_missed",
    ),
    Rule(
        "a copy of the head that can't be looked for is not missed",
        "hooks/apart.py",
        "return e.errno in _GONE",
        "return True",
        f"{_AUDIT}::test_where_the_copy_cannot_be_looked_for_it_does_not_count_as_missing",
    ),
)
