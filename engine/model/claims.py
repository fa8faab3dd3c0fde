"""
Claims: what only one may have, an address on a bridge, a port of the host's, a name.

A claim is a step without a command whose key names the thing: `claim/PLACE/THING`, `claim/address/nsbr0/10.0.3.2`.
It is journalled, held and let go like any other step; but one sandbox only holds it, whoever asks for it second is
refused with the name of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nsctl.engine.model.errors import Conflict
from nsctl.engine.model.plan import Step

__all__ = ["CLAIM", "Claims", "claim_key", "claims_of", "is_anothers", "is_claim_key", "place_and_thing"]

CLAIM = "claim/"
"""What the keys of claims begin with."""

Claims = Mapping[str, Mapping[str, str]]
"""Who holds what: place → thing → sandbox (`address/nsbr0` → `10.0.3.2` → `web`)."""


def claim_key(place: str, thing: str) -> str:
    """The key of a claim."""
    return f"{CLAIM}{place}/{thing}"


def place_and_thing(key: str) -> tuple[str, str]:
    """The parts of a claim's key."""
    place, _, thing = key.removeprefix(CLAIM).rpartition("/")
    return place, thing


def is_claim_key(key: str) -> bool:
    """Whether a key is that of a claim, each part of it something."""
    return key.startswith(CLAIM) and key.count("/") > 1 and all(key.split("/"))


def claims_of(steps: Iterable[Step], holder: str) -> dict[str, dict[str, str]]:
    """What the steps of one sandbox claim."""
    found: dict[str, dict[str, str]] = {}
    for step in steps:
        if step.is_claim:
            place, thing = place_and_thing(step.key)
            found.setdefault(place, {})[thing] = holder
    return found


def is_anothers(step: Step, holder: str = "another", *, hint: str = "") -> Conflict:
    """
    The error for a claim of what another has.

    Args:
        step: The claim.
        holder: The sandbox that has it; of another store, with the store's name.
        hint: What to do about it; to choose another, if not given.
    """
    name, _, of = holder.partition(" ")
    return Conflict(f"{step.why} is {name}'s{of and f', {of}'}", hint=hint or "choose another, or take that one down")
