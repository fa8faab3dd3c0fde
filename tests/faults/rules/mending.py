"""Repair, confirmation, and what has ended."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_MENDING = "tests/system/test_mending.py"
_GUESTS = "test_what_others_put_on_a_bridge_or_into_a_namespace_is_named_when_that_goes"
_ORDER = "tests/system/test_order.py"
_WIRING = "tests/system/test_wiring.py"
_NAME = f"{_MENDING}::test_a_lost_name_is_put_back_and_nothing_else_is_touched"

RULES = (
    Rule(
        "a default route comes back behind the route of its subnet",
        "engine/executor/mending.py",
        "*subnets)) if isinstance(s.effect, RouteVia) else s",
        ")) if isinstance(s.effect, RouteVia) else s",
        f"{_WIRING}::test_all_routes_inside_are_put_back_at_once_the_subnets_first",
    ),
    Rule(
        "a watcher tries until it has worked",
        "engine/executor/confirm_timer.py",
        'n=1; until "$@"; do',
        'n=1; "$@"; until true; do',
        f"{_MENDING}::test_the_watcher_tries_until_it_has_worked",
    ),
    Rule(
        "a watcher that ended is started again",
        "engine/executor/recovery.py",
        "        _watch_again(ctx, rows.values())\n",
        "        pass\n",
        f"{_MENDING}::test_a_watcher_that_was_killed_is_missed_and_started_again",
    ),
    Rule(
        "a watcher is known by its words",
        "engine/executor/confirm_timer.py",
        'start_of(pid) is not None and f"',
        'start_of(pid) is not None or f"',
        f"{_MENDING}::test_a_process_with_the_pid_of_a_dead_watcher_is_none",
    ),
    Rule(
        "what has ended is not up",
        "engine/app/existing.py",
        "if row is None or row.init is None or session.pid(row) is not None:",
        "if True:",
        f"{_MENDING}::test_up_over_a_sandbox_that_has_ended_makes_it_anew[other0]",
    ),
    Rule(
        "what had ended is not started again by a rollback",
        "engine/executor/replaced.py",
        "if row.init is not None and pid_of(ctx.journal, row) is None:",
        "if False:",
        f"{_MENDING}::test_what_had_ended_is_not_started_again_by_a_replacement_that_fails",
    ),
    Rule(
        "a lost name is put back",
        "engine/executor/repair.py",
        "    if named:\n",
        "    if False:\n",
        f"{_NAME}[options0-ip netns del web]",
    ),
    Rule(
        "flows that began without rules are dropped",
        "engine/executor/repair.py",
        "        drop_flows(ctx, todo)\n",
        "",
        f"{_MENDING}::test_flows_that_began_without_rules_are_dropped_by_repair",
    ),
    Rule(
        "rules of others in own chains are reported",
        "engine/executor/chains.py",
        "return [spec for spec in rules if spec not in own]",
        "return []",
        f"{_MENDING}::test_rules_of_others_in_own_chains_are_named_and_reported_when_they_go",
    ),
    Rule(
        "a comment alone makes no rule nsctl's",
        "engine/executor/chains.py",
        "return [spec for spec in rules if spec not in own]",
        'return [spec for spec in rules if spec not in own and not any(w.startswith("nsctl:") for w in spec)]',
        f"{_ORDER}::test_a_comment_alone_makes_no_rule_nsctls",
    ),
    Rule(
        "rules stand in their order, or are named and put back",
        "engine/executor/chains.py",
        'for spec in rules[appended:] if _verb(own.get(spec)) == "-I"}',
        'for spec in rules[appended:] if _verb(own.get(spec)) == ""}',
        f"{_ORDER}::test_rules_that_stand_in_another_order_are_named_and_put_back[forward]",
    ),
    Rule(
        "up puts in order what it relies on",
        "engine/executor/pending.py",
        "    pending.mend += [s for row",
        "    _ = [s for row",
        f"{_ORDER}::test_up_puts_in_order_what_it_relies_on[option0]",
    ),
    Rule(
        "what is said to be up is in order",
        "engine/executor/results.py",
        "if not found and (behind := self._own",
        "if False and (behind := self._own",
        "tests/system/test_postconditions.py::test_a_rule_that_others_move_behind_what_it_has_to_precede_is_noticed",
    ),
    Rule(
        "down removes a rule as often as it is there",
        "engine/executor/undo.py",
        "steps[n] = own.removing_all(steps[n], backend)",
        "pass",
        f"{_ORDER}::test_what_is_there_twice_is_named_and_goes_with_down[option0-nft]",
    ),
    Rule(
        "a copy of a rule of nsctl's is named",
        "engine/executor/drift.py",
        "elif (copies := own.copies(step, backend)) > 1:",
        "elif (copies := own.copies(step, backend)) > 99:",
        f"{_ORDER}::test_a_copy_that_accepts_first_is_no_way_in",
    ),
    Rule(
        "an end inside is known by what it is bound to",
        "engine/executor/wiring.py",
        "if self._kernel.far_end(effect.name) != inner.index or",
        "if False and",
        f"{_WIRING}::test_another_link_under_the_name_of_the_inner_end_is_a_strangers",
    ),
    Rule(
        "an end inside keeps its hardware address",
        "engine/executor/wiring.py",
        "if end.mac is not None and inner.mac != end.mac:",
        "if False:",
        f"{_WIRING}::test_it_is_named_and_put_back[the hardware address inside]",
    ),
    Rule(
        "an end inside is looked at before it is said to be up",
        "engine/executor/results.py",
        "if not found and (fault := self._wiring.inside(step)):",
        "if False and (fault := self._wiring.inside(step)):",
        "tests/system/test_postconditions.py::test_what_others_change_before_the_end_is_noticed_and_all_of_it_undone"
        "[ip -n web link set eth0 address 02:00:00:00:00:99]",
    ),
    Rule(
        "a port forwards",
        "engine/executor/wiring.py",
        "if self._kernel.port_state(name) != _DISABLED:",
        "if True:",
        f"{_WIRING}::test_it_is_named_and_put_back[a port]",
    ),
    Rule(
        "an address has the route to its subnet",
        "engine/executor/wiring.py",
        "if (subnet, link.index) in self._connected[effect.netns]:",
        "if True:",
        f"{_WIRING}::test_it_is_named_and_put_back[the route of the bridge]",
    ),
    Rule(
        "a sandbox's own files are missed when the host's are seen",
        "engine/executor/own_files.py",
        'elif (seen := _inside(pid, f"/etc/{file}")) is not None and seen != content:',
        'elif (seen := _inside(pid, "")) is not None:',
        "tests/system/test_own_files.py::test_when_the_host_replaces_its_file_the_sandboxs_own_is_missed_and_put_back",
    ),
    Rule(
        "a sandbox's own name stands first in its hosts",
        "engine/planning/etc.py",
        '    return "".join(own) + ',
        '    return "".join(own[:0]) + ',
        "tests/system/test_own_files.py::test_its_own_name_comes_first_and_nowhere_else",
    ),
    Rule(
        "what is not nsctl's and goes with what is, is named",
        "engine/executor/undo.py",
        "        ctx.warnings += guests_of(ctx, rows, going)\n",
        "        pass\n",
        f"{_MENDING}::{_GUESTS}",
    ),
    Rule(
        "what is nsctl's is no guest, whatever it is called by now, and whatever address it has got",
        "engine/executor/guests.py",
        "        if not known:\n",
        "        if True:\n",
        f"{_MENDING}::{_GUESTS}",
    ),
    Rule(
        "of many namespaces that go, none is looked into for guests",
        "engine/executor/guests.py",
        "    if len(names) > MOST:\n",
        "    if False:\n",
        f"{_MENDING}::test_many_namespaces_are_not_looked_into_for_guests",
    ),
)
