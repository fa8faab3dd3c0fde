"""Verdicts on ways out as text: `check`, `up` and dry runs say the same of the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nsctl.engine.model.diagnostics import Diagnostic
from nsctl.engine.model.names import listed

if TYPE_CHECKING:
    from nsctl.engine.reach.model import Cause
    from nsctl.engine.reach.promise import Verdict

__all__ = ["SHOWN", "as_json", "broken", "details", "diagnostics", "lacking", "no_further", "sentence"]

SHOWN = 3
"""Sandboxes that a sentence names."""


def sentence(names: Sequence[str], cause: Cause, *, future: bool = False) -> str:
    """
    Who has no way out, and what is to blame.

    Args:
        names: The sandboxes.
        cause: What is to blame.
        future: It is about what a plan would make.
    """
    has = "would have" if future else "has" if len(names) == 1 else "have"
    return f"{listed(names, SHOWN)} {has} no way out: {cause.what}"


def broken(verdicts: Mapping[str, Verdict]) -> dict[Cause, list[str]]:
    """The causes of missing ways out, each with the sandboxes that it affects."""
    found: dict[Cause, list[str]] = {}
    for name, verdict in verdicts.items():
        for cause in verdict.broken:
            found.setdefault(cause, []).append(name)
    return found


def lacking(verdicts: Mapping[str, Verdict]) -> Iterator[Cause]:
    """Why the host itself has no way out, if so, and sandboxes therefore have none; once."""
    causes = (cause for verdict in verdicts.values() for cause in verdict.causes if cause.kind == "host")
    yield from dict.fromkeys(causes)


def no_further(cause: Cause) -> str:
    """The consequence for sandboxes of a host that itself has no way out."""
    return f"{cause.what}: sandboxes get no further than the host itself"


def details(verdicts: Mapping[str, Verdict]) -> Iterator[Diagnostic]:
    """A detail for each sandbox of which it is not known whether it has a way out."""
    for name, verdict in verdicts.items():
        if verdict.doubts:
            what = "can't be told" if verdict.reached is None else "is there, as far as can be told"
            yield Diagnostic("detail", f"the way out of {name} {what}: {'; '.join(verdict.doubts)}")


def diagnostics(verdicts: Mapping[str, Verdict], *, future: bool = False) -> Iterator[Diagnostic]:
    """Why sandboxes just made, or planned, have no way out: one warning for each cause."""
    for cause, names in broken(verdicts).items():
        yield Diagnostic("warning", sentence(names, cause, future=future), cause.hint)
    for cause in lacking(verdicts):
        yield Diagnostic("note", no_further(cause))
    yield from details(verdicts)


def as_json(verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    """The verdicts, for programs."""
    return {
        name: {
            "reached": verdict.reached,
            "protocols": dict(verdict.protocols),
            "causes": [cause._asdict() for cause in verdict.causes],
            "doubts": list(verdict.doubts),
        }
        for name, verdict in verdicts.items()
    }
