"""`ip -batch`: the links, addresses, routes and names of namespaces that one process makes or takes away."""

from __future__ import annotations

from collections import Counter

from nsctl.engine.model.commands import AddLink, Announce, AnyCommand, Command, DeleteLink, Ip, is_quotable, quoted_line
from nsctl.engine.runner.batch import BatchItem, Blame, TextBatch
from nsctl.engine.runner.result import Result

__all__ = ["IpBatch", "fits", "ip_line"]

_OBJECTS = frozenset({"link", "addr", "address", "route", "rule", "netns", "neigh"})
_WORDS = 99
"""More on one line, and `ip -batch` exits."""
_DOWN_FIRST = 100
"""Links more than which are set down before they are deleted together."""


def fits(command: AnyCommand) -> bool:
    """Whether a command can be a line of a batch."""
    if isinstance(command, Ip):
        known = command.object in _OBJECTS and (command.object, command.verb) != ("netns", "exec")
    else:
        known = isinstance(command, AddLink | DeleteLink | Announce)
    return known and len(command.argv) <= _WORDS and is_quotable(*command.argv)


def ip_line(command: AnyCommand) -> str:
    """A line for `ip -batch`."""
    return quoted_line(*command.argv[1:])


class IpBatch(TextBatch):
    """Commands of `ip`, a line each."""

    __slots__ = ()

    def text(self, group: int | None = None) -> tuple[str, list[list[BatchItem]]]:
        """
        What the process reads, and for each of its lines the items it is of.

        Args:
            group: A number that no link's group has: links are then put into it and deleted all at once,
                since the kernel takes 16-20 ms for each by itself, and 74 for a hundred together.
                Many are set down first: a bridge that is up deals with each port that leaves (of 1,000, 0.2 s in 0.9);
                with a few that costs more than it saves (45 and 49 ms for two and their bridge).
        """
        plain = [(ip_line(i.command), [i]) for i in self.items]
        doomed = self._deleted_together() if group is not None and self.netns is None else []
        if len(doomed) > 1:
            going = set(map(id, doomed))
            first = next(n for n, (_, items) in enumerate(plain) if id(items[0]) in going)
            grouped = [(f"link set dev {_deleted_link(i)} group {group}", [i]) for i in doomed]
            rest = [(line, items) for line, items in plain[first:] if id(items[0]) not in going]
            down = [(f"link set group {group} down", doomed)] if len(doomed) > _DOWN_FIRST else []
            ends = [*down, (f"link del group {group}", doomed)]
            plain = [*plain[:first], *grouped, *ends, *rest]
        return "".join(f"{line}\n" for line, _ in plain), [items for _, items in plain]

    def process(self, *, force: bool, group: int | None) -> Command:
        """The command that carries out all of them."""
        argv = ("ip", "-force", "-batch", "-") if force else ("ip", "-batch", "-")
        return Command(argv, stdin=self.text(group)[0])

    def blame(self, result: Result, *, force: bool, group: int | None) -> Blame:
        """Who failed, by the lines that `ip` named."""
        owners = self.text(group)[1]
        numbers, named = _failed_lines(result.stderr)
        named = named and result.status > 0  # else a signal ended it, whatever it had said before
        failed = sorted(n for n in numbers if n <= len(owners))
        bad = [i for n in failed for i in owners[n - 1]]
        first = bad[0] if bad else self.items[0]
        guessed = not bad or not named
        if result.timed_out:
            return Blame(first, guessed, [], [])
        if not force:
            return Blame(first, guessed, self.items[: self.items.index(first)], [])
        # At a line that it can't parse, ip exits and leaves the rest undone, `-force` or not: nothing is known of what
        # comes after the last line that it named. Nor of links to be deleted together, where one of their lines failed.
        last = len(owners) if named else max(failed, default=0)
        wrong, many = set(map(id, bad)), Counter(id(i) for lines in owners for i in lines)
        beyond = {id(i) for lines in owners[last:] for i in lines}
        again = [i for i in self.items if id(i) in beyond or (id(i) in wrong and many[id(i)] > 1)]
        unsure = set(map(id, again))
        return Blame(first, guessed, [i for i in self.items if id(i) not in wrong | unsure], again)

    def _deleted_together(self) -> list[BatchItem]:
        # They all move up to the first of them: not past anything that one of them waits for, and past no barrier.
        moved: list[BatchItem] = []
        passed: set[str] = set()
        for item in self.items:
            free = item.after is not None and item.key not in passed and passed.isdisjoint(item.after)
            if free and _deleted_link(item) is not None:
                moved.append(item)
            elif moved:
                if item.after is None:
                    break
                passed.add(item.key)
        return moved


def _deleted_link(item: BatchItem) -> str | None:
    return item.command.name if isinstance(item.command, DeleteLink) else None


def _failed_lines(stderr: str) -> tuple[set[int], bool]:
    # `Command failed -:7` is what ip prints for line 7 of its standard input, in every locale, unless it exits there:
    # then the last thing it says is something else.
    found = set()
    named = False
    for line in stderr.splitlines():
        head, _, number = line.rpartition(":")
        named = head == "Command failed -" and number.isdigit()
        if named:
            found.add(int(number))
    return found, named
