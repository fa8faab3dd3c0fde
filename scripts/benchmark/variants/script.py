"""The same commands in a plain shell script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark.cost import Work
from scripts.benchmark.variant import Variant

__all__ = ["Script"]


class Script(Variant):
    """`attach.sh`: what the dry run shows, in a loop; it keeps no record and undoes nothing where a command fails."""

    key = "script"
    title = "shell script"
    note = "the same commands one by one; no journal, no undo"
    strangers = False
    _script = str(Path(__file__).with_name("attach.sh"))

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """One shell for all of them."""
        work.run("sh", self._script, "up", str(numbers[0]), str(numbers[-1]))

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """The same."""
        work.run("sh", self._script, "down", str(numbers[0]), str(numbers[-1]))
