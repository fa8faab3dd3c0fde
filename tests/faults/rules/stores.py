"""Visibility and instances: other namespaces, other state directories, whose sandbox a name means."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_STORES = "tests/system/test_stores.py"
_HALF_DONE = "test_what_a_killed_nsctl_left_half_done_in_another_store_is_told_with_what_finishes_it"

RULES = (
    Rule(
        "sandboxes that can't be seen from here are not acted on",
        "engine/store/home.py",
        "    if away:\n",
        "    if False:\n",
        "tests/faults/test_elsewhere.py::test_from_where_sandboxes_cannot_be_seen_everything_is_refused",
    ),
    Rule(
        "another mount namespace is one from where they can't be seen",
        "engine/store/home.py",
        'home["mnt"] != now.get("mnt") and not shared:',
        "False:",
        "tests/faults/test_elsewhere.py::test_from_where_sandboxes_cannot_be_seen_everything_is_refused",
    ),
    Rule(
        "names that are covered are not gone",
        "engine/store/home.py",
        'if "dir" in home and netns_place()',
        "if False and netns_place()",
        f"{_STORES}::test_names_under_a_mount_that_covers_them_do_not_count_as_gone",
    ),
    Rule(
        "what another store holds is let go without being undone",
        "engine/executor/decide.py",
        "    if shared:\n",
        "    if False:\n",
        f"{_STORES}::test_two_stores_share_chains_and_settings_and_the_last_one_undoes_them",
    ),
    Rule(
        "what another store holds is no stray",
        "engine/executor/orphans.py",
        "*(held.row.step for held in ctx.others.everything())",
        "*()",
        f"{_STORES}::test_two_stores_share_chains_and_settings_and_the_last_one_undoes_them",
    ),
    Rule(
        "a stray is known by what it is, not by its key",
        "engine/executor/orphans.py",
        "if _identity(row.step) not in held]",
        "if ctx.journal.step(row.step.key) is None]",
        f"{_STORES}::test_scan_finds_nothing_in_a_healthy_sandbox",
    ),
    Rule(
        "a store that can't be read may hold anything",
        "engine/store/others.py",
        "if self._unreadable:",
        "if False:",
        f"{_STORES}::test_scan_refuses_where_another_store_cannot_be_read",
    ),
    Rule(
        "a run takes down only what it made",
        "engine/app/running.py",
        "if there is not None and (there.owner, there.created_boot) == (row.owner, row.created_boot):",
        "if there is not None:",
        f"{_STORES}::test_a_run_takes_down_what_it_made_and_no_namesake",
    ),
    Rule(
        "rows are sealed with a secret",
        "engine/store/seals.py",
        "    return crc in {found, str(found)}",
        "    from binascii import crc32\n\n    return crc in {found, str(found), crc32(chr(0).join(texts).encode())}",
        f"{_STORES}::test_rows_that_nsctl_did_not_write_are_never_acted_on",
    ),
    Rule(
        "a store whose key is gone is not taken for another",
        "engine/store/sandboxes.py",
        "if not self._has_key and same_boot:",
        "if False:",
        f"{_STORES}::test_a_store_whose_key_is_gone_is_refused_and_not_forgotten",
    ),
    Rule(
        "the back end of rules is known before they are made",
        "engine/executor/apply.py",
        "(step.key, self._ctx.identity_before(step), self._ctx.tools(step.tool, self._backend))",
        "(step.key, self._ctx.identity_before(step), {})",
        "tests/faults/test_backends.py::test_rules_are_found_wherever_iptables_leads_by_now",
    ),
    Rule(
        "a link is deleted by its index, whatever has its name by then",
        "engine/executor/undo.py",
        "new = _by_index(ctx, row) or new",
        "pass",
        "tests/faults/test_strangers.py::test_a_link_is_deleted_by_its_index",
    ),
    Rule(
        "a rule of others' in a chain of nsctl's is told when it is up",
        "engine/executor/results.py",
        "if isinstance(step.effect, ChainIs):",
        "if False:",
        "tests/faults/test_strangers.py::test_a_rule_of_others_is_told",
    ),
    Rule(
        "what is half done in another store is told by check",
        "engine/app/maintenance.py",
        "    if not elsewhere:\n",
        "    if elsewhere is not None:\n",
        f"{_STORES}::{_HALF_DONE}",
    ),
    Rule(
        "what is half done in another store is told by recover",
        "engine/cli/maintenance.py",
        "    for one in done.elsewhere:\n",
        "    for one in ():\n",
        f"{_STORES}::{_HALF_DONE}",
    ),
    Rule(
        "what is half done in another store and in the way is told with what finishes it",
        "engine/app/context.py",
        "raise named(e, self.state_dir) from",
        "raise e from",
        f"{_STORES}::{_HALF_DONE}",
    ),
    Rule(
        "what another nsctl is just at is not half done",
        "engine/executor/elsewhere.py",
        "return others.half_done() if over else []",
        "return others.half_done()",
        f"{_STORES}::test_what_another_nsctl_is_just_at_is_not_told_as_half_done",
    ),
)
