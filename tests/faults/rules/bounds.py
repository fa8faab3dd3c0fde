"""Bounds, files, workloads, and what root reads."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    # Files that root reads commands from.
    Rule(
        "a plan or lab file that others could have written is refused",
        "engine/cli/apply.py",
        "                check_owned(file, opened.fileno())\n",
        "",
        "tests/cli/test_owned.py::test_what_others_could_have_written_is_refused[_theirs]",
    ),
    Rule(
        "so is one below a folder that others can write to",
        "engine/app/owned.py",
        "if kinds and status.st_mode & 0o022",
        "if False and status.st_mode & 0o022",
        "tests/cli/test_owned.py::test_what_others_could_have_written_is_refused[_open_folder]",
    ),
    Rule(
        "and one by way of another's symbolic link",
        "engine/app/owned.py",
        "status = os.lstat(place)",
        "status = os.stat(place)",
        "tests/cli/test_owned.py::test_what_others_could_have_written_is_refused[_their_link]",
    ),
    # Workloads.
    Rule(
        "a command that can't be executed fails",
        "engine/runner/process.py",
        "status = not_executed or status",
        "status = 0",
        "tests/system/test_workload.py::test_a_command_that_cannot_be_executed_is_a_failure_and_all_is_undone"
        "[nosuchprogram-mount,net]",
    ),
    Rule(
        "a workload is ready when its program runs",
        "engine/runner/process.py",
        "if _size(spawn.ready) and (spawn.program is None or _is_executed(process.pid)):",
        "if _size(spawn.ready):",
        "tests/engine/runner/test_process.py::test_a_program_is_waited_for",
    ),
    Rule(
        "one that ran and has ended is no failure",
        "engine/runner/process.py",
        "                    process.wait()\n                    return 0, False\n",
        "                    return process.wait(), False\n",
        "tests/engine/runner/test_process.py::test_a_program_that_ended_by_itself_is_no_failure",
    ),
    # Out of reach, whatever is isolated.
    Rule(
        "an init without mounts of its own hides nsctl's files",
        "engine/planning/init.py",
        'yield f"[ ! -d {path} ] || mount -t tmpfs -o {_EMPTY} {mask_of(name)} {path}"',
        'yield "true"',
        "tests/system/test_bounds.py::test_nsctls_own_files_are_hidden_and_can_not_be_written[uts,net]",
    ),
    Rule(
        "so does a command that enters a sandbox without an init",
        "engine/app/entering.py",
        "    return masks(row.name, hidden, ",
        '    return "exec \\"$@\\"" or masks(row.name, hidden, ',
        "tests/system/test_bounds.py::test_nsctls_own_files_are_hidden_and_can_not_be_written[net]",
    ),
    Rule(
        "the kernel's settings are read-only without mounts of its own",
        "engine/planning/init.py",
        "    if bounded:\n        yield from _sys()\n        yield from _settings()",
        "    if bounded:\n        yield from _sys()",
        "tests/system/test_bounds.py::test_the_kernels_settings_are_read_only_but_for_the_networks[net]",
    ),
    Rule(
        "the trail's directory is hidden wherever it is",
        "engine/planning/init.py",
        "(_NAMES, HOST_DIR, *facts.hidden, facts.state_dir)",
        "(_NAMES, HOST_DIR, facts.state_dir)",
        "tests/system/test_bounds.py::test_state_and_trail_are_hidden_wherever_they_lie[mount,ipc,pid,uts,net]",
    ),
    Rule(
        "a trail that is not alone in its directory is refused",
        "engine/app/context.py",
        "            self.check_trail()\n",
        "            pass\n",
        "tests/system/test_bounds.py::test_a_trail_that_is_not_alone_in_its_directory_is_refused[words0]",
    ),
    Rule(
        "a command that can't be bounded does not run",
        "engine/planning/init.py",
        '"set -e", f"path=',
        '"set +e", f"path=',
        "tests/system/test_bounds.py::test_a_command_that_can_not_be_bounded_does_not_run",
    ),
    # The journal is data.
    Rule(
        "an undo that nsctl would not plan is not run",
        "engine/executor/undo.py",
        'refusal=lambda step: "" if planned else refused(ctx, step, step.undo),',
        'refusal=lambda step: "",',
        "tests/system/test_authority.py::test_down_does_not_run_what_nsctl_would_not_plan[options0]",
    ),
    Rule(
        "nor does repair run such a step",
        "engine/executor/repair.py",
        "    todo = [s for s in todo if s.key not in refusals]\n",
        "    refusals.clear()\n",
        "tests/system/test_authority.py::test_repair_does_not_either",
    ),
    Rule(
        "a saved plan of a built-in mode holds nothing else",
        "engine/app/saved.py",
        "    check_kept(plan, str(ctx.state_dir))",
        "    str(ctx.state_dir)",
        "tests/system/test_authority.py::test_a_saved_plan_of_a_built_in_mode_holds_nothing_else",
    ),
)
