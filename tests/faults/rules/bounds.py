"""
Bounds, files, workloads, and what root reads.
"""

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
        "engine/cli/owned.py",
        "if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o022",
        "if False and status.st_mode & 0o022",
        "tests/cli/test_owned.py::test_what_others_could_have_written_is_refused[_open_folder]",
    ),
    Rule(
        "and one by way of another's symbolic link",
        "engine/cli/owned.py",
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
)
