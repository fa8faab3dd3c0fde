"""Identity, postconditions: whose a thing is by now, and whether what is said is so."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_IDENTITY = "tests/system/test_identity.py"
_POST = "tests/system/test_postconditions.py"

RULES = (
    Rule(
        "a setting that others rely on by now is left",
        "engine/executor/decide.py",
        "    if observed.taken:\n",
        "    if False:\n",
        f"{_IDENTITY}::test_forwarding_that_others_switched_on_since_is_left_on",
    ),
    Rule(
        "others rely on it only if they switched it on since",
        "engine/model/effects/settings.py",
        'self.globally.split() == self.value.split():\n            return ""',
        'False:\n            return ""',
        f"{_IDENTITY}::test_forwarding_that_was_on_for_all_links_before_is_no_reason_to_leave_ours",
    ),
    Rule(
        "a setting is known by the index of its link",
        "engine/model/effects/base.py",
        'if not known.identity or "index" not in known.identity or (name',
        "if True or (name",
        f"{_IDENTITY}::test_a_link_that_is_gone_and_made_anew_by_others_keeps_its_setting",
    ),
    Rule(
        "a setting is undone under its link's new name",
        "engine/executor/undo.py",
        "new = observed.renamed or observed.link",
        "new = observed.renamed",
        f"{_IDENTITY}::test_an_uplink_that_was_renamed_gets_its_setting_back_under_its_new_name",
    ),
    Rule(
        "a hardware address alone makes no link nsctl's",
        "engine/model/effects/links.py",
        "elif self.netns is None and index is not None and link.index != index:",
        "elif False:",
        f"{_IDENTITY}::test_a_bridge_of_the_same_name_and_hardware_address_is_a_strangers_all_the_same",
    ),
    Rule(
        "of a command, only the link's name is replaced",
        "engine/model/commands/changes.py",
        "return replace(known, name=new)",
        'return Ip("link", "del", (new, new))',
        f"{_IDENTITY}::test_a_bridge_may_be_called_what_ip_calls_something_else[dev]",
    ),
    Rule(
        "rules are looked for in the back end that made them",
        "engine/executor/context.py",
        'own_macs, row.tools.get("iptables", ""))',
        'own_macs, "")',
        f"{_IDENTITY}::test_rules_are_removed_with_the_back_end_that_made_them[-legacy-nft]",
    ),
    Rule(
        "rules of two back ends are not mixed",
        "engine/executor/pending.py",
        "if not made_with or made_with == iptables_backend():",
        "if True:",
        f"{_IDENTITY}::test_rules_of_two_back_ends_are_not_mixed[nft-legacy]",
    ),
    Rule(
        "a back end whose tool is missing is not one without rules",
        "engine/host/firewall.py",
        'if not any(os.access(f"{directory}/{tool}", os.X_OK) for directory in TOOL_PATH):',
        "if False:",
        f"{_IDENTITY}::test_rules_whose_back_end_has_no_tool_any_more_do_not_count_as_gone",
    ),
    Rule(
        "a namespace is known by its cookie",
        "engine/model/effects/namespaces.py",
        "inode == expected and self._same(host, identity) else",
        "inode == expected else",
        "tests/engine/host/test_observe.py::test_a_namespace_of_the_same_number_with_another_cookie_is_foreign",
    ),
    Rule(
        "a namespace outlives its name as long as a process is in it",
        "engine/executor/inhabitants.py",
        "return ctx.kernel.someone_in_inode(",
        "return (lambda *_: None)(",
        f"{_IDENTITY}::test_what_runs_in_a_namespace_whose_name_others_took_away_ends_with_down",
    ),
    Rule(
        "what is said to be up is in place",
        "engine/executor/transaction.py",
        "        all_in_place(ctx, plans, pending)\n        _finish",
        "        _finish",
        f"{_POST}::test_what_others_change_before_the_end_is_noticed_and_all_of_it_undone[iptables -F NSCTL-T]",
    ),
    Rule(
        "what the store could not take is remembered for the rollback",
        "engine/executor/undo.py",
        "row.identity = ctx.identities.get(row.step.key)",
        "pass",
        f"{_POST}::test_where_the_store_is_spoilt_half_way_what_was_made_is_known_from_memory",
    ),
    Rule(
        "who goes on forking is ended, too",
        "engine/executor/inhabitants.py",
        "        watched = living(ctx, {p for",
        "        watched = {} and living(ctx, {p for",
        f"{_POST}::test_nothing_that_goes_on_forking_outlives_down[net]",
    ),
    Rule(
        "what a dead init has left is ended",
        "engine/executor/inhabitants.py",
        'if f"{hideout.source}:".startswith(f"{source}:") and',
        "if not source and",
        "tests/system/test_orphans.py::test_what_a_dead_init_has_left_goes_with_down[mount-fused]",
    ),
    Rule(
        "who lives in a namespace that others took the name of is ended",
        "engine/executor/decide.py",
        "if observed.state is not State.OURS and inhabited(row):",
        "if observed.state is State.ABSENT and inhabited(row):",
        "tests/system/test_orphans.py::test_who_lives_in_a_namespace_whose_name_others_took_is_ended"
        "[ip netns add web-fused]",
    ),
    Rule(
        "what is up already is looked at",
        "engine/app/existing.py",
        "    if not drifts:\n",
        "    if drifts is not None:\n",
        "tests/system/test_already.py::test_up_again_says_what_is_not_as_it_was_made[ip link del nsbr0]",
    ),
    Rule(
        "a setting's identity is its link's from before it was made",
        "engine/executor/context.py",
        "if of_others and step.key in self.identities:",
        "if False:",
        "tests/engine/executor/test_identities.py::test_it_is_known_before_and_stays_whatever_becomes_of_the_name",
    ),
)
