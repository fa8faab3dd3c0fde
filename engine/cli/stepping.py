"""Options of commands that carry out steps: how long one may take, and whether they are fused."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["NoBatch", "StepTimeout"]

StepTimeout = Annotated[str, typer.Option("--step-timeout", metavar="TIME", help="How long one step may take.")]
NoBatch = Annotated[
    bool, typer.Option("--no-batch", help="Run the commands one by one rather than in batches.", show_default=False)
]
