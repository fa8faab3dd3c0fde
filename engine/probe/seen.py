"""
What was found where an effect should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from nsctl.engine.effect import State

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.values import dataclass

__all__ = ["Known", "Mark", "Seen", "absent", "foreign", "ours"]

Mark = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What was found where an effect should be.

    Args:
        state: What follows for `do` and `undo`.
        found: A short phrase for people.
        drift: What somebody else changed about a thing that is still ours; empty where nothing.
        renamed: The name under which our link is found now.
        link: The name that the link has now which the setting is of.
        taken: Why others rely on it by now, so that it is left as it is; empty where they don't.
        gone: It was a setting of what is gone (a link of the host's, a service that ended), which nobody misses.
    """

    state: State
    found: str
    drift: str = ""
    renamed: str | None = None
    link: str | None = None
    taken: str = ""
    gone: bool = False


_IN_PLACE = Seen(State.OURS, "in place")


class Known(NamedTuple):
    """
    What is known of a step besides its effect; see `observe`.
    """

    mark: Mark | None
    in_flight: bool
    own_macs: frozenset[str]
    backend: str


def ours(found: str = "in place", drift: str = "", renamed: str | None = None) -> Seen:
    """
    It is in place, perhaps with a difference.
    """
    return Seen(State.OURS, found, drift, renamed) if found != "in place" or drift or renamed else _IN_PLACE


def absent(found: str = "missing", *, gone: bool = False) -> Seen:
    """
    It is not there.
    """
    return Seen(State.ABSENT, found, gone=gone)


def foreign(found: str) -> Seen:
    """
    Something else is in its place.
    """
    return Seen(State.FOREIGN, found)
