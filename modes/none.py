"""No network: a namespace with nothing but a loopback that is down."""

from __future__ import annotations

from dataclasses import dataclass

from nsctl import Facts, Mode, Request, Steps, hookimpl, kit

__all__ = ["MODE", "Options", "steps"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


def steps(request: Request, facts: Facts) -> Steps:  # noqa: ARG001 - every mode is given facts
    """Plan."""
    yield kit.netns(request.name)


MODE = Mode(
    "none",
    "no network at all: only lo, and that is down",
    Options,
    steps,
    example="nsctl run none -- ping -c 1 127.0.0.1",
)


@hookimpl
def nsctl_modes() -> list[Mode]:
    """The mode."""
    return [MODE]
