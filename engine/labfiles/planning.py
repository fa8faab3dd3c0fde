"""In which order the sandboxes of a lab file are planned, and which addresses are kept for those to come."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

__all__ = ["Reserved", "in_order"]


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


class Reserved(Mapping[str, str]):
    """
    The addresses that are taken, and those that sandboxes to come have chosen.

    A view: it costs nothing to make, and what is released is no longer in it.

    Args:
        taken: Address → sandbox.
        chosen: The same, of those to come.
    """

    __slots__ = ("_chosen", "_taken")

    def __init__(self, taken: Mapping[str, str], chosen: Mapping[str, str]) -> None:
        self._taken = taken
        self._chosen = chosen

    def __getitem__(self, address: str) -> str:
        return self._taken[address] if address in self._taken else self._chosen[address]

    def __contains__(self, address: object) -> bool:
        return address in self._taken or address in self._chosen

    def __iter__(self) -> Iterator[str]:
        yield from self._taken
        yield from (address for address in self._chosen if address not in self._taken)

    def __len__(self) -> int:
        return len(self._taken) + len(self._chosen)
