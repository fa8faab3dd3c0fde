"""Claims: a step that says what nobody else may have from then on."""

from __future__ import annotations

from collections.abc import Mapping

from nsctl.engine.model.claims import claim_key, is_claim_key
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import said_by
from nsctl.engine.model.plan import Step

__all__ = ["claim", "claimed"]


def claim(place: str, thing: object, *, why: str = "") -> Step:
    """
    Claim what only one sandbox may have.

    There is nothing to run and nothing to undo: the claim is written down, held, and let go with the sandbox. Another
    one that claims the same is refused before anything is changed: "10.0.3.2 on nsbr0 is web's".
    What is free, `facts.claims` says; see `claimed`.

    Args:
        place: Where there is one of it: `address/nsbr0`, `port/tcp/0.0.0.0`.
        thing: What: `10.0.3.2`, `8080`.
        why: What the refusal of another one calls it; by default `THING on PLACE` without the place's kind.

    Raises:
        Invalid: One of the two is not text that can be part of a key.
    """
    key = claim_key(place, str(thing))
    if not key.isprintable() or "/" in str(thing) or not is_claim_key(key):
        raise Invalid(f"{said_by(key)} is no key of a claim", hint="it is made of words between slashes, all printable")
    kind, _, rest = place.partition("/")
    return Step(key=key, why=why or f"{thing} on {rest or kind}", do=None)


def claimed(place: str, facts: Facts) -> Mapping[str, str]:
    """What is claimed in a place: thing → the sandbox that has it."""
    return facts.claims.get(place, {})
