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
)
