"""Whose a command is, where it begins, and what can be asked of a network."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_SETTINGS = "tests/system/test_settings.py"

RULES = (
    Rule(
        "a command is whose it is said to be",
        "engine/planning/enter.py",
        "*bounds, *becoming,",
        "*bounds,",
        f"{_SETTINGS}::test_a_workload_is_the_users_and_keeps_no_capability[net]",
    ),
    Rule(
        "what enters a sandbox obeys none of the variables of its command",
        "engine/app/entering.py",
        "environment(there.settings, ",
        "environment(row.settings, ",
        f"{_SETTINGS}::test_what_starts_a_command_obeys_none_of_its_variables[net]",
    ),
    Rule(
        "an init obeys none of the variables of its workload",
        "engine/planning/init.py",
        'f"exec {VARIABLES}<{at}/env"',
        'f"set -a; . {at}/env; exec {VARIABLES}<{at}/env"',
        f"{_SETTINGS}::test_what_starts_a_command_obeys_none_of_its_variables[net]",
    ),
    Rule(
        "a group given comes alone",
        "engine/app/users.py",
        '"groups": entry is not None and not given',
        '"groups": entry is not None',
        f"{_SETTINGS}::test_a_user_comes_with_all_its_groups_and_with_a_group_has_no_other",
    ),
    Rule(
        "only capabilities that were asked for by name outlive becoming a user",
        "engine/planning/enter.py",
        'asked = [c for c in settings.get("cap_add", ()) if',
        "asked = [c for c in kept if",
        f"{_SETTINGS}::test_a_workload_is_the_users_and_keeps_no_capability[net]",
    ),
    Rule(
        "an idle init is root's",
        "engine/planning/sandbox.py",
        'if k != "user"}',
        'if k != "uses"}',
        f"{_SETTINGS}::test_an_idle_init_is_roots_whoever_the_user_is",
    ),
    Rule(
        "a directory that the user can't enter is refused",
        "engine/app/settings.py",
        "and not may_enter(path, user)",
        "and not path",
        f"{_SETTINGS}::test_a_directory_that_can_not_be_had_is_refused[private]",
    ),
    Rule(
        "a command begins where it was told to or not at all",
        "engine/planning/enter.py",
        'if [ -n "$2" ]; then',
        "if false; then",
        f"{_SETTINGS}::test_a_command_does_not_begin_elsewhere_than_it_was_told_to[words0-127]",
    ),
    Rule(
        "a network that is shared is not set",
        "engine/planning/settings.py",
        'if settings.get("sysctl") and (',
        'if settings.get("nothing") and (',
        f"{_SETTINGS}::test_who_shares_a_network_can_not_set_it",
    ),
    Rule(
        "what no namespace has of its own is refused beforehand",
        "engine/app/trial.py",
        "            if e.errno == errno.ENOENT:\n                return key,",
        '            if e.errno == errno.ENOENT:\n                return "",',
        f"{_SETTINGS}::test_what_is_no_setting_of_its_network_is_refused[unknown]",
    ),
    Rule(
        "names of the host's loopback are not the sandbox's",
        "engine/planning/etc.py",
        "if words and _is_elsewhere(words[0]):",
        "if words:",
        "tests/engine/planning/test_etc.py::test_names_of_the_hosts_loopback_are_not_those_of_the_sandboxs",
    ),
    Rule(
        "the host's new name servers do not replace chosen ones",
        "engine/executor/own_files.py",
        "now = etc.resolv_conf(hosts, row.settings)",
        "now = hosts",
        f"{_SETTINGS}::test_the_hosts_new_name_servers_do_not_replace_chosen_ones",
    ),
)
