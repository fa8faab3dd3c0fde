"""Who shares whose network: what goes along when one goes, and in which order they are made."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Protocol

__all__ = ["Sharing", "in_order"]


class _Row(Protocol):
    shares: str | None


class Sharing:
    """
    Sandboxes, each with the one whose network namespace it is in, if it has none of its own.

    Args:
        rows: The sandboxes by name, as the store has them; a target need not be among them.
    """

    def __init__(self, rows: Mapping[str, _Row]) -> None:
        self.targets: dict[str, str] = {name: row.shares for name, row in rows.items() if row.shares is not None}
        self._rows = rows
        self._sharers: dict[str, list[str]] = {}
        for name, target in sorted(self.targets.items()):
            self._sharers.setdefault(target, []).append(name)

    def sharers(self, name: str) -> list[str]:
        """Those that are in its network namespace by its own name."""
        return self._sharers.get(name, [])

    def dependents(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Those that can't stay when these go, sharers of sharers too, each with its target."""
        order = list(dict.fromkeys(names))
        known = set(order)
        for target in order:  # it grows while it is walked
            for name in self.sharers(target):
                if name not in known:
                    known.add(name)
                    order.append(name)
                    yield name, target

    def owner(self, name: str) -> str:
        """Whose network namespace it is in; empty, if that one is not there."""
        seen = set()
        while name in self.targets and name not in seen:
            seen.add(name)
            name = self.targets[name]
        return name if name in self._rows else ""

    def owners_first(self, names: Iterable[str]) -> list[str]:
        """The names, each behind those whose network it shares."""
        wanted = dict.fromkeys(names)
        return [name for name in in_order(wanted | dict.fromkeys(self._rows), self.targets, ())[0] if name in wanted]


def in_order(names: Mapping[str, object], targets: Mapping[str, str], firm: Container[str]) -> tuple[list[str], str]:
    """
    The names in their own order, but each behind its target.

    Args:
        names: The names.
        targets: For some of them another name, of these or not.
        firm: Those that can't do without their target; for the others, a circle is no order and no fault.

    Returns:
        The order, and a name of a circle of firm ones, if there is one.
    """
    out: dict[str, None] = {}
    for first in names:
        chain: dict[str, None] = {}
        name = first
        while name in names and name not in out:
            if name in chain:
                turned = _turned(list(chain), name, firm)
                if not turned:
                    return [], name
                chain = dict.fromkeys(turned)
                break
            chain[name] = None
            name = targets.get(name, "")
        out |= dict.fromkeys(reversed(chain))
    return list(out), ""


def _turned(chain: list[str], start: str, firm: Container[str]) -> list[str]:
    # The chain ends in a circle: one that can do without its target comes last in it, and is thus planned first.
    at = chain.index(start)
    circle = chain[at:]
    last = next((n for n, name in enumerate(circle, 1) if name not in firm), 0)
    return [*chain[:at], *circle[last:], *circle[:last]] if last else []
