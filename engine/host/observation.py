"""What was found where an effect should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from nsctl.engine.model.effect import State

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = ["Identity", "Known", "Observation", "absent", "foreign", "ours"]

Identity = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Observation:
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


_IN_PLACE = Observation(State.OURS, "in place")


class Known(NamedTuple):
    """What is known of a step besides its effect; see `observe`."""

    identity: Identity | None
    in_flight: bool
    own_macs: frozenset[str]
    backend: str


def ours(found: str = "in place", drift: str = "", renamed: str | None = None) -> Observation:
    """It is in place, perhaps with a difference."""
    return Observation(State.OURS, found, drift, renamed) if found != "in place" or drift or renamed else _IN_PLACE


def absent(found: str = "missing", *, gone: bool = False) -> Observation:
    """It is not there."""
    return Observation(State.ABSENT, found, gone=gone)


def foreign(found: str) -> Observation:
    """Something else is in its place."""
    return Observation(State.FOREIGN, found)
