"""`iptables-restore --noflush`: the rules that one process adds or deletes, table by table."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from nsctl.engine.model.commands import AnyCommand, Chain, Command, RestoreRules, Rule, is_quotable, quoted_line
from nsctl.engine.runner.batch import BatchItem, Blame, TextBatch
from nsctl.engine.runner.result import Result

__all__ = ["Ip6tablesRestore", "IptablesRestore", "restorer"]

_LINE = 8192
"""A longer line, and `iptables-restore` reads what it has no room for (10,239 bytes) as the next one."""


def restorer(command: Chain | Rule | RestoreRules) -> type[IptablesRestore] | None:
    """The kind of restore that does what a command does; None where its words can't be on a line."""
    _, lines = _lines(command)
    if not all(is_quotable(*words) and len(" ".join(words)) < _LINE for words in lines):
        return None
    return Ip6tablesRestore if command.family == 6 else IptablesRestore  # noqa: PLR2004 - the family's name


class IptablesRestore(TextBatch):
    """Rules and chains of IPv4, a line each; each table is changed as a whole or not at all."""

    __slots__ = ()
    tool: ClassVar[str] = "iptables-restore"

    def joins(self, item: BatchItem) -> bool:
        """A restore commits one table after the other: what waits for a rule of another table can't be in it."""
        before = {_lines(i.command)[0] for i in self.items if item.after is None or i.key in item.after}
        return before <= {_lines(item.command)[0]}

    def text(self) -> tuple[str, list[str]]:
        """What the process reads, and for each line the key of its step."""
        tables: dict[str, list[tuple[str, str]]] = {}
        for item in self.items:
            table, words = _lines(item.command)
            tables.setdefault(table, []).extend((quoted_line(*line), item.key) for line in words)
        text: list[str] = []
        owner: list[str] = []
        for table, lines in tables.items():
            text += [f"*{table}", *(line for line, _ in lines), "COMMIT"]
            owner += [lines[0][1], *(key for _, key in lines), lines[-1][1]]
        return "\n".join(text) + "\n", owner

    def process(self, *, force: bool, group: int | None) -> Command:  # noqa: ARG002 - it stops at the first failure
        """The command that carries out all of them."""
        return Command((self.tool, "-w", "--noflush"), stdin=self.text()[0])

    def blame(self, result: Result, *, force: bool, group: int | None) -> Blame:  # noqa: ARG002 - as above
        """Who failed, by the line that the tool named."""
        text, owner = self.text()
        number = _named_line(result.stderr)
        key = owner[number - 1] if 0 < number <= len(owner) else self.items[0].key
        failed = next(i for i in self.items if i.key == key)
        if not force or result.timed_out:
            return Blame(failed, number == 0, [], [])
        # Atomic per table: one rule that is gone already spoils the rest of its table, not the tables before it.
        lines = text.split("\n")
        over = next((n for n in range(number - 1, 0, -1) if lines[n - 1] == "COMMIT"), 0)
        unsure = {key for key, line in zip(owner[over:], lines[over:], strict=False) if line[:1] == "-"}
        done = [i for i in self.items if i.key not in unsure]
        return Blame(failed, number == 0, done, [i for i in self.items if i.key in unsure])


class Ip6tablesRestore(IptablesRestore):
    """The same of IPv6."""

    __slots__ = ()
    tool = "ip6tables-restore"


def _lines(command: AnyCommand) -> tuple[str, tuple[tuple[str, ...], ...]]:
    # The table, and the words of each line.
    if isinstance(command, RestoreRules):
        return command.table, command.lines
    if isinstance(command, Chain | Rule):
        # `-N` stays as it is: the usual `:CHAIN - [0:0]` would flush a chain of that name, whoever made it.
        return command.table, (command.line,)
    raise TypeError(f"nothing that a restore does: {command.argv}")


def _named_line(stderr: str) -> int:
    # Both back ends name the line: "iptables-restore: line 3 failed", "iptables-nft-restore … line 3: …".
    tokens = stderr.replace(":", " ").split()
    for before, number in pairwise(tokens):
        if before == "line" and number.isdigit():
            return int(number)
    return 0
