"""The host's own network: everything else is the sandbox's own."""

from __future__ import annotations

from dataclasses import dataclass

from nsctl import Facts, Mode, Request, Steps, hookimpl

__all__ = ["MODE", "Options", "steps"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


def steps(request: Request, facts: Facts) -> Steps:  # noqa: ARG001 - every mode is given both
    """Plan: there is nothing to do but what every sandbox gets."""
    return ()


MODE = Mode(
    "host",
    "the host's own network; processes, mounts and host name are the sandbox's",
    Options,
    steps,
    isolate=("mount", "ipc", "pid", "uts"),
    example="nsctl run host -- ip address",
)


@hookimpl
def nsctl_modes() -> list[Mode]:
    """The mode."""
    return [MODE]
