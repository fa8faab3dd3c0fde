"""Which addresses are kept for the sandboxes of a lab file that are still to be planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["Reserved"]


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
