"""The host's own firewall: where nsctl's jumps stand in it."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_CLOSING = "tests/system/test_closing_rules.py"
_RACE = f"{_CLOSING}::test_rules_that_change_between_planning_and_doing_are_noticed_and_all_is_undone"
_FIREWALLD = "tests/system/test_firewalld.py"
_LATER = f"{_CLOSING}::test_a_closing_rule_that_comes_before_it_later_is_named_and_it_is_moved"

RULES = (
    Rule(
        "a jump stands before what decides for all packets",
        "engine/planning/planner.py",
        "        steps = placed(steps, facts)\n",
        "",
        f"{_CLOSING}::test_on_rhels_default_rules_a_sandbox_reaches_the_outside_and_specific_rules_win[nft-option0]",
    ),
    Rule(
        "what leaves for a chain that accepts it goes through nsctl's chains first",
        "engine/planning/jumps.py",
        '_ENDS = frozenset({"ACCEPT", "DROP",',
        '_ENDS = frozenset({"DROP",',
        "tests/engine/planning/test_jumps.py::test_what_leaves_for_a_chain_that_keeps_it_does_not_come_back",
    ),
    Rule(
        "what a rule accepts of a whole protocol goes through nsctl's chains first",
        "engine/planning/jumps.py",
        "or _opens(spec, chains, ()))",
        ")",
        "tests/system/test_ufw.py::test_a_sandbox_reaches_the_outside_and_nobody_comes_in_whatever_it_does[nft-ACCEPT]",
    ),
    Rule(
        "a jump that no packet reaches is not said to be up",
        "engine/executor/postconditions.py",
        "if not found and (ahead := ",
        "if False and (ahead := ",
        f"{_RACE}[rules went]",
    ),
    Rule(
        "a jump that took an administrator's place is not said to be up",
        "engine/executor/postconditions.py",
        "if not found and key in done and (passed := ",
        "if False and (passed := ",
        f"{_RACE}[rules came]",
    ),
    Rule(
        "a jump that no packet reaches is named by check",
        "engine/executor/drift.py",
        "elif stopped := jumps.stopped(step, backend):",
        "elif stopped := '':",
        f"{_LATER}[repair-nft-option0]",
    ),
    Rule(
        "repair moves a jump that no packet reaches",
        "engine/executor/mending.py",
        "return [*reordered, *moved, *jumps.again(todo, backend)]",
        "return [*reordered, *jumps.again(todo, backend)]",
        f"{_LATER}[repair-nft-option0]",
    ),
    Rule(
        "up moves a jump that it relies on and no packet reaches",
        "engine/executor/pending.py",
        "pending.mend = [*moved, *jumps.again(pending.mend)]",
        "pending.mend = [*jumps.again(pending.mend)]",
        f"{_LATER}[up-nft-option0]",
    ),
    Rule(
        "a jump is put back where it belongs by then",
        "engine/executor/jumps.py",
        "yield self._put(step, backend) if is_jump(step) else step",
        "yield step",
        f"{_CLOSING}::test_after_a_flush_each_is_put_back_where_it_belongs_by_then",
    ),
    Rule(
        "a saved plan whose jumps belong elsewhere by now is refused",
        "engine/planning/planner.py",
        "        if step.do != now.do:\n",
        "        if False:\n",
        f"{_CLOSING}::test_a_saved_plan_is_refused_where_its_place_is_another_by_now",
    ),
    Rule(
        "what other tables of nftables drop is named",
        "engine/host/snapshot.py",
        "    chains, more = foreign_chains(kernel)\n",
        "    chains, more = (), ()\n",
        "tests/system/test_native_chains.py::test_one_that_drops_is_named_with_what_would_let_it_pass[a policy]",
    ),
    Rule(
        "where firewalld runs, a bridge joins a zone",
        "modes/bridge.py",
        "    yield kit.zone(bridge, facts, ",
        "    (kit.zone)(bridge, facts, ",
        f"{_FIREWALLD}::test_the_bridge_joins_a_zone_and_all_is_as_before_in_the_end[nftables]",
    ),
    Rule(
        "a zone that somebody chose counts",
        "engine/kit/zones.py",
        "if zones is None or link in zones:",
        "if zones is None:",
        f"{_FIREWALLD}::test_a_zone_that_somebody_chose_for_a_bridge_counts",
    ),
    Rule(
        "a zone that somebody chose since is left alone",
        "engine/model/effects/zones.py",
        "return ours() if there == self.zone else",
        "return ours() if there else",
        f"{_FIREWALLD}::test_a_zone_that_somebody_chose_since_is_named_and_left_alone",
    ),
    Rule(
        "a zone is not missed where firewalld has ended",
        "engine/model/effects/zones.py",
        'return absent("firewalld does not run", gone=True)',
        'return absent("firewalld does not run")',
        f"{_FIREWALLD}::test_where_it_was_stopped_nobody_misses_the_zone_and_down_leaves_nothing",
    ),
    Rule(
        "a firewalld that came later is noticed",
        "engine/executor/late_zones.py",
        "    if zones is None:\n",
        "    if True:\n",
        f"{_FIREWALLD}::test_where_it_is_started_later_that_is_named_and_the_bridges_join",
    ),
    Rule(
        "a firewalld of another network namespace is none of this one's",
        "engine/host/zones.py",
        "if pid is None or not _here(pid):",
        "if pid is None:",
        f"{_FIREWALLD}::test_one_of_another_network_namespace_is_no_concern_of_this_one",
    ),
)
