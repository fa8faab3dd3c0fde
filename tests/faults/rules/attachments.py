"""The rules of attachments: a sandbox's cables, each let go by itself."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_ATTACHMENTS = "tests/engine/executor/test_attachments.py"

RULES = (
    Rule(
        "an attachment that was being made when nsctl died is rolled back",
        "engine/executor/recovery.py",
        'if each.state != "up" and each.attachment.sandbox not in reasons:',
        "if False:",
        f"{_ATTACHMENTS}::test_adding_that_is_killed_anywhere_adds_all_of_it_or_nothing[before]",
    ),
    Rule(
        "an attachment needs a sandbox that is up, and a name that is free",
        "engine/executor/pending.py",
        "    _sandboxes_are_there(ctx, plans)\n",
        "",
        f"{_ATTACHMENTS}::test_it_needs_a_sandbox_that_is_up_and_a_name_that_is_free",
    ),
    Rule(
        "with a sandbox all of its attachments go",
        "engine/store/reading.py",
        " AND substr(name, 1, instr(name || '/', '/') - 1) NOT IN (SELECT value FROM json_each(?1))",
        "",
        f"{_ATTACHMENTS}::test_with_the_sandbox_all_of_them_go",
    ),
    Rule(
        "who is brought back holds what it held",
        "engine/executor/replaced.py",
        '            pending.held = [(key, holder) for key, holder in data["held"]]\n',
        "",
        f"{_ATTACHMENTS}::test_a_replacement_that_fails_brings_back_all_of_them",
    ),
    Rule(
        "an attachment's row that nsctl did not write is damaged",
        "engine/store/sandboxes.py",
        "if not intact(crc, name, data) or state not in _ROW_STATES:",
        "if False:",
        "tests/engine/store/test_attachments.py::test_a_row_that_nsctl_did_not_write_is_damaged",
    ),
    Rule(
        "who shares a network has its owner's addresses",
        "engine/store/sandboxes.py",
        "        with_shared(out.values(), out)\n",
        "",
        "tests/engine/store/test_attachments.py::test_who_shares_a_network_has_its_owners_and_a_circle_ends",
    ),
    Rule(
        "a step that two of one sandbox share counts both",
        "engine/store/journal.py",
        "held - (SELECT count(*) {_HOLD} AND holders.key = steps.key)",
        "held - (SELECT 1 {_HOLD})",
        f"{_ATTACHMENTS}::test_with_the_sandbox_all_of_them_go",
    ),
    Rule(
        "of an attachment that is left in part the row is kept",
        "engine/executor/undo.py",
        "for name in (holder, sandbox_of(holder))}",
        "for name in (sandbox_of(holder),)}",
        f"{_ATTACHMENTS}::test_one_that_is_left_in_part_is_kept_and_the_sandbox_is_up",
    ),
)
