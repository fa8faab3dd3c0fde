"""What is kept for the sandboxes of a lab file that are still to be planned."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from typing import cast

from nsctl.engine.model.claims import Claims

__all__ = ["Reserved"]


class Reserved(Mapping[str, Mapping[str, str]]):
    """
    What is claimed, and what sandboxes to come have chosen, wherever that will be.

    A view: it costs nothing to make, and what is released is no longer in it.

    Args:
        claims: What is claimed.
        kind: What the places begin with where the chosen things are: `address`.
        chosen: Thing → the sandbox to come.
    """

    __slots__ = ("_chosen", "_claims", "_kind")

    def __init__(self, claims: Claims, kind: str, chosen: dict[str, str]) -> None:
        self._claims = claims
        self._kind = kind
        self._chosen = chosen

    def __getitem__(self, place: str) -> Mapping[str, str]:
        if place.partition("/")[0] != self._kind:
            return self._claims[place]
        claimed = cast("MutableMapping[str, str]", self._claims.get(place, {}))  # only read
        return ChainMap(claimed, self._chosen)

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)
