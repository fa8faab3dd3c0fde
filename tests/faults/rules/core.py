"""
The rules of transactions, store, signals and privilege.
"""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_TRANSACTIONS = "tests/engine/executor/test_transactions.py"
_SESSION = "tests/engine/executor/test_session.py"
_LATE = "tests/system/test_late_signals.py"
_OBSERVE = "tests/engine/probe/test_observe.py"

RULES = (
    # Before anything is changed.
    Rule(
        "what is there already is refused",
        "engine/executor/forward.py",
        "    _nothing_in_the_way(ctx, work, going)\n    taken",
        "    taken",
        f"{_TRANSACTIONS}::test_what_is_there_already_is_refused_before_anything_is_changed"
        "[ip netns add web-netns/web]",
    ),
    Rule(
        "a missing tool is refused",
        "engine/executor/forward.py",
        "if find_tool(tool) is None:",
        "if False:",
        f"{_TRANSACTIONS}::test_a_missing_tool_is_refused_before_anything_is_changed",
    ),
    Rule(
        "other work under a key that is held is refused",
        "engine/executor/forward.py",
        "if not first.same_work(step):",
        "if False:",
        f"{_TRANSACTIONS}::test_other_work_for_a_step_that_is_held_is_refused",
    ),
    Rule(
        "a plan is checked as data",
        "engine/planner.py",
        "for fault in faults:\n        raise",
        "for fault in ():\n        raise",
        "tests/engine/test_planner.py::test_a_step_that_can_not_be_carried_out_is_refused_with_its_number",
    ),
    Rule(
        "a bridge gets no more sandboxes than it has ports",
        "engine/kit/choosing.py",
        "if len(facts.taken) >= PORTS and",
        "if False and",
        "tests/modes/test_bridge_ports.py::test_the_1024th_sandbox_of_a_bridge_is_refused",
    ),
    Rule(
        "recovery comes before a command",
        "engine/executor/session.py",
        "if recover:",
        "if False:",
        f"{_TRANSACTIONS}::test_down_killed_at_any_write_is_completed_by_the_next_nsctl[after]",
    ),
    # The journal.
    Rule(
        "intents are journalled before the first effect",
        "engine/executor/transaction.py",
        "begin(opened, rows, _written(work), work.held, ())",
        "begin(opened, rows, [], [], ())",
        f"{_TRANSACTIONS}::test_up_killed_at_any_write_is_cleaned_up_by_the_next_nsctl[after-fused]",
    ),
    Rule(
        "a step is journalled as started before its command",
        "engine/executor/forward.py",
        "ctx.journal.started(",
        "tuple(",
        f"{_TRANSACTIONS}::test_up_killed_at_any_write_is_cleaned_up_by_the_next_nsctl[before-fused]",
    ),
    Rule(
        "a write is all or nothing",
        "engine/store/database.py",
        'self._conn.execute("ROLLBACK")',
        'self._conn.execute("COMMIT")',
        "tests/engine/store/test_journal.py::test_a_write_is_all_or_nothing",
    ),
    Rule(
        "rows have a checksum",
        "engine/store/rows.py",
        "return crc in {found, str(found)}",
        "return True",
        "tests/engine/store/test_damage.py::test_no_flipped_bit_makes_a_wrong_row",
    ),
    Rule(
        "rows of another boot are void",
        "engine/store/reading.py",
        'same_boot = there.get("boot_id") == boot',
        "same_boot = bool(there)",
        "tests/engine/store/test_journal.py::test_after_a_reboot_rows_are_void_and_only_remembered",
    ),
    Rule(
        "rows of another network namespace are refused",
        "engine/store/home.py",
        'sight = ("net", "pid", "time")',
        'sight = ("pid", "time")\n    now |= {"cookie": home.get("cookie", "")}',
        "tests/engine/store/test_journal.py::test_rows_of_another_network_namespace_are_refused_while_there_are_any",
    ),
    Rule(
        "a store that can't be written stops no undoing",
        "engine/store/journal.py",
        "if not self.lenient:",
        "if True:",
        "tests/engine/store/test_journal.py::"
        "test_backward_a_write_that_fails_is_tried_with_the_ballast_and_then_only_noted",
    ),
    Rule(
        "a rollback is lenient",
        "engine/executor/backward.py",
        "ctx.journal.lenient = True",
        "pass",
        "tests/faults/test_full_disk.py::test_recover_works_with_no_byte_free[bridge]",
    ),
    Rule(
        "room is kept back for a full disk",
        "engine/store/files.py",
        'os.truncate(state_dir / "ballast", 0)',
        "pass",
        "tests/engine/store/test_full_disk.py::test_ballast_is_real_room_and_comes_back",
    ),
    # The lock.
    Rule(
        "one nsctl at a time",
        "engine/store/lock.py",
        "fcntl.flock(LOCK_FD, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        "tests/engine/store/test_lock.py::test_only_one_holds_the_lock_and_the_next_one_gets_it",
    ),
    Rule(
        "steps inherit the lock",
        "engine/runner/process.py",
        "pass_fds=() if self.lock is None else (self.lock,)",
        "pass_fds=()",
        "tests/engine/store/test_lock.py::test_an_orphaned_step_of_a_killed_nsctl_keeps_the_lock_until_it_ends",
    ),
    Rule(
        "what outlives nsctl closes the lock",
        "engine/plan.py",
        "9>&-",
        "",
        "tests/engine/store/test_lock.py::test_a_detached_process_does_not_keep_the_lock",
    ),
    Rule(
        "what nsctl made is marked before anything can stay in it",
        "engine/executor/forward.py",
        "if any(run.kind in {SOLO, SPAWN} for run in runs):",
        "if False:",
        f"{_TRANSACTIONS}::test_a_namespace_is_marked_before_a_process_can_stay_in_it",
    ),
    # Effects and marks: only what is nsctl's is undone.
    Rule(
        "an undo runs only where its effect is ours",
        "engine/executor/backward.py",
        "if step.undo and sight.state is State.OURS and not sight.taken:",
        "if step.undo and not sight.taken:",
        f"{_TRANSACTIONS}::test_a_strangers_replacement_is_left_alone_by_down",
    ),
    Rule(
        "a link is known by its hardware address",
        "engine/probe/observe.py",
        "if link is None or link.mac != effect.mac:",
        "if link is None:",
        f"{_OBSERVE}::test_a_link_of_the_name_with_another_address_or_type_is_foreign",
    ),
    Rule(
        "a link that was renamed is known by its index",
        "engine/probe/observe.py",
        "if marked is not None and marked.mac == effect.mac:",
        "if False:",
        f"{_TRANSACTIONS}::test_a_renamed_link_is_found_and_taken_away",
    ),
    Rule(
        "a namespace is known by its inode",
        "engine/probe/observe.py",
        "ours() if inode == expected and",
        "ours() if expected and",
        f"{_OBSERVE}::test_a_namespace_is_ours_by_its_inode",
    ),
    Rule(
        "a namespace that was just being made is ours only if nobody uses it",
        "engine/probe/observe.py",
        "return _pristine(effect.name, kernel, known.own_macs)",
        "return ours()",
        f"{_OBSERVE}::test_a_namespace_made_just_before_nsctl_died_is_ours_only_if_nobody_uses_it",
    ),
    Rule(
        "a half-written file is ours",
        "engine/probe/observe.py",
        "if known.in_flight and content is not None and",
        "if False and content is not None and",
        f"{_OBSERVE}::test_a_file_that_nsctl_died_over_is_ours_to_finish_or_remove[]",
    ),
    Rule(
        "a process is known by its start time",
        "engine/probe/observe.py",
        'if kernel.process(pid) == mark["start"] else',
        "if kernel.process(pid) else",
        f"{_OBSERVE}::test_a_process_is_ours_by_its_pid_and_start_time",
    ),
    Rule(
        "a process is known by its PID, whatever its pidfile says by now",
        "engine/executor/backward.py",
        'for pid in {mark["pid"] if "pid" in mark else pid_in(step.effect.pidfile)}:\n'
        '                if pid is not None and ("start" not in mark or ctx.kernel.process(pid) == mark["start"]):',
        "for pid in {pid_in(step.effect.pidfile)}:\n                if pid is not None:",
        f"{_SESSION}::test_a_pidfile_that_somebody_else_wrote_to_does_not_make_nsctl_kill_a_stranger",
    ),
    Rule(
        "a rule is removed by its own words",
        "engine/kit/firewall.py",
        '"-D", chain_name, *words)',
        '"-D", chain_name, "1")',
        "tests/engine/test_kit.py::test_the_undo_of_a_rule_deletes_exactly_this_rule",
    ),
    Rule(
        "only nsctl's own chains are flushed",
        "engine/kit/firewall.py",
        "\\n-F {name}\\n",
        "\\n-F\\n",
        "tests/system/test_bridge_shared.py::test_the_last_one_down_removes_bridge_rules_and_sysctls",
    ),
    Rule(
        "steps that others hold stay",
        "engine/store/reading.py",
        "AND holders.name NOT IN (SELECT value FROM json_each(?))",
        "AND holders.name NOT IN (SELECT value FROM json_each(?)) AND 0",
        f"{_TRANSACTIONS}::test_two_sandboxes_share_steps_and_the_last_one_undoes_them",
    ),
    Rule(
        "repair overwrites no stranger's",
        "engine/executor/checking.py",
        "later = {s.key for s in renamed} | {k for k in foreign if",
        "later = {s.key for s in renamed} or {k for k in () if",
        f"{_TRANSACTIONS}::test_repair_never_overwrites_a_strangers_thing",
    ),
    Rule(
        "a target that ended meanwhile is found out",
        "engine/executor/forward.py",
        "if sight.state is not State.OURS:",
        "if False:",
        "tests/system/test_container.py::test_a_pid_that_is_gone_or_anothers_by_the_time_of_the_step_is_found_out",
    ),
    # Undoing.
    Rule(
        "undone in reverse order",
        "engine/store/reading.py",
        "ORDER BY seq DESC",
        "ORDER BY seq",
        f"{_TRANSACTIONS}::test_up_and_down_leave_the_host_as_it_was",
    ),
    Rule(
        "undos that fail are named and kept",
        "engine/executor/backward.py",
        "result.left.append((row, error))",
        "over.append(key)",
        f"{_TRANSACTIONS}::test_an_undo_that_fails_is_named_kept_and_tried_again[fused]",
    ),
    Rule(
        "an undo that fails does not stop the others",
        "engine/executor/backward.py",
        "force=True",
        "force=False",
        f"{_TRANSACTIONS}::test_an_undo_that_ip_cannot_parse_does_not_keep_the_others_from_being_undone",
    ),
    Rule(
        "what a replacement took down is brought back",
        "engine/executor/transaction.py",
        "if opened.restore and not left:",
        "if False:",
        f"{_TRANSACTIONS}::test_a_replacement_that_fails_anywhere_brings_the_old_one_back",
    ),
    Rule(
        "what a killed replacement took down is brought back",
        "engine/executor/recovery.py",
        "if opened is not None and opened.restore and not left:",
        "if False:",
        f"{_TRANSACTIONS}::test_a_replacement_killed_anywhere_brings_the_old_one_back[before]",
    ),
    Rule(
        "what nobody confirmed is taken down",
        "engine/executor/recovery.py",
        "boot_time() >= row.confirm_by",
        "False",
        f"{_SESSION}::test_what_was_not_confirmed_in_time_goes_with_the_next_command",
    ),
    # Signals and deadlines.
    Rule(
        "signals are held",
        "engine/executor/signals.py",
        "            self.caught = signum",
        "            raise KeyboardInterrupt",
        f"{_TRANSACTIONS}::test_a_signal_at_any_event_rolls_back_and_a_second_one_does_not_stop_that",
    ),
    Rule(
        "a second signal is held too",
        "engine/executor/signals.py",
        "        if self.caught is None:\n",
        "        if self.caught is not None:\n            raise KeyboardInterrupt\n        else:\n",
        f"{_TRANSACTIONS}::test_a_signal_at_any_event_rolls_back_and_a_second_one_does_not_stop_that",
    ),
    Rule(
        "a rollback is deaf to signals",
        "engine/executor/transaction.py",
        "ctx.signals.deaf = True",
        "pass",
        f"{_TRANSACTIONS}::test_a_replacement_that_is_signalled_brings_the_old_one_back",
    ),
    Rule(
        "a signal is heard up to the last write",
        "engine/executor/transaction.py",
        "    if ctx.signals.caught is not None:  # the last chance: once it is up, signals change nothing\n"
        "        raise interrupted(ctx.signals.caught)\n",
        "",
        "tests/faults/test_signals.py::test_a_signal_is_heard_up_to_the_moment_when_it_is_up",
    ),
    Rule(
        "signals stay held when it is settled what came of it",
        "engine/cli/world.py",
        "session.to_the_end = True",
        "session.to_the_end = False",
        f"{_LATE}::test_a_result_that_waits_for_its_reader_is_still_told[SIGTERM]",
    ),
    Rule(
        "signals stay held to the end of the process",
        "src/nsctl/__main__.py",
        "    os._exit(status)",
        "    sys.exit(status)",
        f"{_LATE}::test_from_its_first_line_on_signals_change_nothing",
    ),
    Rule(
        "plugins that are told afterwards end with a signal",
        "engine/cli/world.py",
        "with session.ctx.signals.at_once(afresh=True):",
        "if True:",
        "tests/cli/test_in_a_lab.py::test_a_plugin_that_never_ends_afterwards_ends_with_a_signal",
    ),
    Rule(
        "a step has a deadline",
        "engine/runner/process.py",
        "self._finished(process, begun + timeout)",
        "self._finished(process, begun + timeout + 4)",
        "tests/engine/runner/test_process.py::"
        "test_a_child_in_a_session_of_its_own_keeps_nobody_waiting_past_the_deadline",
    ),
    Rule(
        "what a step started dies with it",
        "engine/runner/process.py",
        "os.killpg(pid, signal.SIGKILL)",
        "os.kill(pid, signal.SIGKILL)",
        "tests/engine/runner/test_process.py::"
        "test_a_command_that_hangs_is_killed_at_its_deadline_with_all_that_it_started",
    ),
    Rule(
        "a failure in a batch is blamed on its own step",
        "engine/runner/crew.py",
        "outcome.failed = bad[0] if bad else run.items[0]",
        "outcome.failed = run.items[0]",
        "tests/engine/runner/test_crew.py::test_a_batch_names_the_line_that_failed",
    ),
    Rule(
        "where a batch ended without a word, the kernel says how far it came",
        "engine/executor/forward.py",
        "if outcome.guessed:",
        "if False:",
        f"{_TRANSACTIONS}::test_a_line_that_ip_cannot_parse_is_blamed_on_its_own_step",
    ),
    # The audit trail.
    Rule(
        "a change that can't be recorded does not start",
        "engine/executor/transaction.py",
        "ctx.emit(PlanStarted(opened.id",
        "ctx.tell(PlanStarted(opened.id",
        "tests/cli/test_in_a_lab.py::test_a_trail_that_cannot_be_written_stops_up_but_not_down",
    ),
    Rule(
        "records are chained",
        "hooks/trail.py",
        'if number == seq + 1 and record["prev_hash"] == last:',
        "if number == seq + 1:",
        "tests/hooks/test_audit.py::test_whatever_is_done_to_a_trail_shows",
    ),
    Rule(
        "records are sealed",
        "hooks/trail.py",
        'sha256(found[1] + b"}").hexdigest().encode() != found[2]',
        "False",
        "tests/hooks/test_audit.py::test_whatever_is_done_to_a_trail_shows",
    ),
    # Who can choose what root runs, and where it writes.
    Rule(
        "PATH is fixed",
        "engine/runner/tools.py",
        "for directory in TOOL_PATH:",
        'for directory in os.environ["PATH"].split(":"):',
        "tests/engine/runner/test_tools.py::test_a_tool_is_found_in_the_fixed_directories_only",
    ),
    Rule(
        "tools are root's",
        "engine/runner/tools.py",
        "if os.geteuid() == 0 and (",
        "if False and (",
        "tests/engine/runner/test_tools.py::test_what_somebody_else_could_have_put_there_is_refused",
    ),
    Rule(
        "the environment is an allow-list",
        "engine/runner/process.py",
        "env.clear()",
        "env",
        "tests/engine/runner/test_process.py::test_nothing_of_the_environment_reaches_a_command[run]",
    ),
    Rule(
        "Python's variables choose nothing for root",
        "engine/cli/__init__.py",
        "        _isolate(words)\n",
        "        pass\n",
        "tests/cli/test_command_line.py::test_the_environment_cannot_choose_what_root_runs",
    ),
    Rule(
        "a plugin that others could have written is not run by root",
        "hooks/manager.py",
        "if self._as_root and not point.built_in:",
        "if False:",
        "tests/hooks/test_manager.py::test_root_refuses_a_plugin_that_somebody_else_could_have_written",
    ),
    Rule(
        "files are made for root alone",
        "engine/cli/__init__.py",
        "os.umask(0o077)",
        "pass",
        "tests/system/test_privilege.py::test_whatever_the_callers_umask_is_others_can_not_write_or_look",
    ),
    Rule(
        "the state directory is closed to others",
        "engine/store/files.py",
        "if st.st_mode & 0o077:",
        "if False:",
        "tests/engine/store/test_files.py::test_a_directory_that_is_open_to_others_is_closed",
    ),
    Rule(
        "a state directory of somebody else's is refused",
        "engine/store/files.py",
        "if st.st_uid != os.geteuid():",
        "if False:",
        "tests/engine/store/test_files.py::test_somebody_elses_directory_is_refused",
    ),
    Rule(
        "no symbolic link is followed to the store",
        "engine/store/database.py",
        "os.O_CREAT | os.O_NOFOLLOW",
        "os.O_CREAT",
        "tests/engine/store/test_damage.py::test_a_symbolic_link_is_not_followed",
    ),
    # What a process in a sandbox may do.
    Rule(
        "no new privileges",
        "engine/enter.py",
        '"--no-new-privs", ',
        "",
        "tests/system/test_exec.py::test_a_command_may_do_only_what_a_sandbox_may",
    ),
    Rule(
        "capabilities are bounded",
        "engine/enter.py",
        '("-all", *(',
        '("+all", *(',
        "tests/system/test_exec.py::test_a_command_may_do_only_what_a_sandbox_may",
    ),
    Rule(
        "other sandboxes' networks are masked",
        "engine/init.py",
        "dict.fromkeys((_NAMES, HOST_DIR, *facts.hidden, facts.state_dir))",
        "dict.fromkeys((HOST_DIR, *facts.hidden, facts.state_dir))",
        "tests/system/test_sandbox.py::test_state_and_other_sandboxes_networks_are_not_seen_inside",
    ),
    Rule(
        "the state directory is masked",
        "engine/init.py",
        "(_NAMES, HOST_DIR, *facts.hidden, facts.state_dir))",
        "(_NAMES, *facts.hidden))",
        "tests/system/test_sandbox.py::test_state_and_other_sandboxes_networks_are_not_seen_inside",
    ),
    Rule(
        "a command can't type into its terminal",
        "engine/cli/foreground.py",
        "if not typing:",
        "if False:",
        "tests/faults/test_escapes.py::test_it_types_nothing_into_the_callers_terminal[exec-TIOCSTI]",
    ),
)
