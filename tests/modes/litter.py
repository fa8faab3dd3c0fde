"""A mode whose undo does nothing, for the test that this is found out."""

from __future__ import annotations

from dataclasses import dataclass

from nsctl import Facts, Mode, Request, Steps, kit


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


def steps(request: Request, facts: Facts) -> Steps:
    assert request.name
    assert facts.state_dir
    there = kit.succeeds("test", "-e", "/run/netns/litter")
    make = ("ip", "netns", "add", "litter")
    yield kit.command("litter", "leave something", make, undo=[("true",)], effect=there, after=())
    yield kit.command("then", "do something else", ("true",), no_undo="nothing was done", after=("litter",))


MODE = Mode("litter", "leaves a namespace", Options, steps, isolate=())
