"""`iptables-restore --noflush`: the rules that one process adds or deletes, table by table."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from nsctl.engine.model.plan import Command, Spawn
from nsctl.engine.runner.batch import BatchItem, Blame, TextBatch
from nsctl.engine.runner.lines import quoted_line
from nsctl.engine.runner.result import Result

__all__ = ["Ip6tablesRestore", "IptablesRestore"]

_RESTORERS = ("iptables-restore", "ip6tables-restore")


class IptablesRestore(TextBatch):
    """Rules and chains of IPv4, a line each; each table is changed as a whole or not at all."""

    __slots__ = ()
    tool: ClassVar[str] = "iptables-restore"

    def joins(self, item: BatchItem) -> bool:
        """A restore commits one table after the other: what waits for a rule of another table can't be in it."""
        before = {t for i in self.items if item.after is None or i.key in item.after for t in _tables(i.command)}
        return before <= set(_tables(item.command))

    def text(self) -> tuple[str, list[str]]:
        """What the process reads, and for each line the key of its step."""
        tables: dict[str, list[tuple[str, str]]] = {}
        for item in self.items:
            argv = item.command.argv
            if argv[0] in _RESTORERS:
                table = ""
                for line in (getattr(item.command, "stdin", "") or "").split("\n"):
                    if line.startswith("*"):
                        table = line[1:]
                    elif line and line != "COMMIT" and not line.startswith("#"):
                        tables.setdefault(table, []).append((line, item.key))
                continue
            # `-N` stays as it is: the usual `:CHAIN - [0:0]` would flush a chain of that name, whoever made it.
            tables.setdefault(argv[3], []).append((quoted_line(*argv[4:]), item.key))
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


def _tables(command: Command | Spawn) -> list[str]:
    if command.argv[0] not in _RESTORERS:
        return [command.argv[3]]
    return [line[1:] for line in (getattr(command, "stdin", "") or "").split("\n") if line.startswith("*")]


def _named_line(stderr: str) -> int:
    # Both back ends name the line: "iptables-restore: line 3 failed", "iptables-nft-restore … line 3: …".
    tokens = stderr.replace(":", " ").split()
    for before, number in pairwise(tokens):
        if before == "line" and number.isdigit():
            return int(number)
    return 0
