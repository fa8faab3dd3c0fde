"""The command lines of `up` and `run`: a group of modes each."""

from __future__ import annotations

from nsctl.engine.cli import making
from nsctl.engine.cli.common_options import Common, UpCommon
from nsctl.engine.cli.mode_group import mode_group

__all__ = ["run", "up"]

up = mode_group("up", "Make a sandbox, with CMD as its workload or with nothing but its init.", UpCommon, making.up)
run = mode_group(
    "run",
    "Make a sandbox, run CMD in it with the terminal, and take it down. The exit status is CMD's.",
    Common,
    making.run,
)
