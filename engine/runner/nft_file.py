"""`nft -f -`: the tables and elements that one process adds or deletes, as a whole or not at all."""

from __future__ import annotations

import re

from nsctl.engine.model.commands import Command, Nft
from nsctl.engine.runner.batch import BatchItem, Blame, TextBatch
from nsctl.engine.runner.result import Result

__all__ = ["NftFile"]

_NAMED_LINE = re.compile(r"^/dev/stdin:([0-9]+):", re.MULTILINE)


class NftFile(TextBatch):
    """Statements of nft, a line or several each; the kernel takes all of them or none."""

    __slots__ = ()

    def text(self) -> tuple[str, list[BatchItem]]:
        """What the process reads, and for each of its lines the item."""
        lines = [(line, i) for i in self.items if isinstance(i.command, Nft) for line in i.command.text.splitlines()]
        return "".join(f"{line}\n" for line, _ in lines), [item for _, item in lines]

    def process(self, *, force: bool, group: int | None) -> Command:  # noqa: ARG002 - it is one transaction
        """The command that carries out all of them."""
        return Command(("nft", "-f", "-"), stdin=self.text()[0])

    def blame(self, result: Result, *, force: bool, group: int | None) -> Blame:  # noqa: ARG002 - as above
        """Who failed, by the first line that nft named."""
        owner = self.text()[1]
        found = _NAMED_LINE.search(result.stderr)
        number = int(found[1]) if found else 0
        guessed = not 0 < number <= len(owner)
        failed = self.items[0] if guessed else owner[number - 1]
        return Blame(failed, guessed, [], self.items if force and not result.timed_out else [])
