"""Commands of the firewall: iptables' chains and rules, statements of nft."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from nsctl.engine.model.commands.base import Known

__all__ = ["Chain", "Nft", "RestoreRules", "Rule", "is_quotable", "quoted_line"]

Family = Literal[4, 6]
_TOOL = {4: "iptables", 6: "ip6tables"}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%!")
_UNQUOTABLE = frozenset('"\\#\n\r')
"""What no quoting gets through unharmed: `ip -batch` takes `#` for a comment even between quotes."""


def is_quotable(*words: str) -> bool:
    """Whether a line of `iptables-restore`, or of `ip -batch`, can hold these words."""
    return _UNQUOTABLE.isdisjoint("".join(words))


def quoted_line(*words: str) -> str:
    """The line, as `ip -batch` and `iptables-restore` both read it."""
    return " ".join(w if w and _PLAIN.issuperset(w) else f'"{w}"' for w in words)


class Chain(Known, frozen=True, tag="chain"):
    """
    Make a chain (`-N`), empty it (`-F`), or take it away (`-X`).

    Args:
        verb: Which of these.
        table: filter, nat, mangle or raw.
        chain: Its name.
        family: 4 or 6.
        netns: The namespace.
    """

    verb: Literal["-N", "-F", "-X"]
    table: str
    chain: str
    family: Family = 4
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return (_TOOL[self.family], "-w", "-t", self.table, *self.line)

    @property
    def line(self) -> tuple[str, ...]:
        """Its words on a line of a restore."""
        return (self.verb, self.chain)


class Rule(Known, frozen=True, tag="rule"):
    """
    Append a rule (`-A`), insert it (`-I`), or delete it (`-D`).

    Args:
        verb: Which of these.
        table: filter, nat, mangle or raw.
        chain: The chain.
        spec: The rule's words, as `iptables -S` prints them.
        number: Where it is inserted, counted from 1; at the head where not given.
        family: 4 or 6.
        netns: The namespace.
    """

    verb: Literal["-A", "-I", "-D"]
    table: str
    chain: str
    spec: tuple[str, ...]
    number: int | None = None
    family: Family = 4
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return (_TOOL[self.family], "-w", "-t", self.table, *self.line)

    @property
    def line(self) -> tuple[str, ...]:
        """Its words on a line of a restore."""
        place = () if self.number is None else (str(self.number),)
        return (self.verb, self.chain, *place, *self.spec)

    @property
    def wherever(self) -> Rule | None:
        """The same without its place, in a chain of the host's: that depends on what else is in there by then."""
        if self.verb == "-D" or self.chain.startswith("NSCTL-"):
            return None
        return replace(self, verb="-A", number=None)


class RestoreRules(Known, frozen=True, tag="restore_rules"):
    """
    Change chains and rules of one table, as a whole or not at all.

    Args:
        table: filter, nat, mangle or raw.
        lines: The words of each line: those of `Chain.line` and `Rule.line`.
        family: 4 or 6.
        netns: The namespace.
    """

    table: str
    lines: tuple[tuple[str, ...], ...]
    family: Family = 4
    netns: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return (f"{_TOOL[self.family]}-restore", "-w", "--noflush")

    @property
    def stdin(self) -> str | None:
        """What the tool reads."""
        return "".join(f"{line}\n" for line in (f"*{self.table}", *(quoted_line(*w) for w in self.lines), "COMMIT"))


class Nft(Known, frozen=True, tag="nft"):
    """
    Statements of nft, done as a whole or not at all.

    Args:
        text: A single statement, or lines.
    """

    text: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The words."""
        return ("nft", "-f", "-") if "\n" in self.text else ("nft", self.text)

    @property
    def stdin(self) -> str | None:
        """The lines."""
        return self.text if "\n" in self.text else None
