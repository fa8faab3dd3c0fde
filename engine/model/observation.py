"""What was found where an effect should be, and what is known of a step besides its effect."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from msgspec import Struct

__all__ = ["Identity", "Known", "Observation", "State", "absent", "foreign", "ours"]

Identity = Mapping[str, int]


class State(Enum):
    """What the kernel says of an effect."""

    OURS = "ours"
    """In place, and made by nsctl."""
    ABSENT = "absent"
    """Not there."""
    FOREIGN = "foreign"
    """Something else is in its place."""


class Observation(Struct, frozen=True):
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


class Known(NamedTuple):
    """
    What is known of a step besides its effect.

    Args:
        identity: What the effect's `identity` was right after the step.
        in_flight: The step had started when nsctl died, so nobody knows whether it ran.
        own_macs: With `in_flight`: the hardware addresses of links that nsctl may have put into the namespace by then.
        backend: The iptables back end that a rule or chain was made with; the one in use, if empty.
    """

    identity: Identity | None = None
    in_flight: bool = False
    own_macs: frozenset[str] = frozenset()
    backend: str = ""


_IN_PLACE, _MISSING = Observation(State.OURS, "in place"), Observation(State.ABSENT, "missing")


def ours(found: str = "in place", drift: str = "", renamed: str | None = None) -> Observation:
    """It is in place, perhaps with a difference."""
    return Observation(State.OURS, found, drift, renamed) if found != "in place" or drift or renamed else _IN_PLACE


def absent(found: str = "missing", *, gone: bool = False) -> Observation:
    """It is not there."""
    return Observation(State.ABSENT, found, gone=gone) if found != "missing" or gone else _MISSING


def foreign(found: str) -> Observation:
    """Something else is in its place."""
    return Observation(State.FOREIGN, found)
