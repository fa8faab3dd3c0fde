"""`completion`: the scripts by which shells complete nsctl's command lines; what they ask is answered in `complete`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.complete import choices
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display

__all__ = ["SCRIPTS", "completion"]

SCRIPTS = {"bash": "bash/nsctl", "zsh": "zsh/_nsctl", "fish": "fish/nsctl.fish"}
"""Shell → its script, in the folder `shells` beside this file."""


def completion(
    shell: Annotated[
        str, typer.Argument(metavar="|".join(SCRIPTS), help="The shell.", autocompletion=choices(*SCRIPTS))
    ],
) -> int:
    """Print the script by which a shell completes nsctl's command lines."""
    if shell not in SCRIPTS:
        raise Invalid(f"there is no completion for '{display(shell)}'", hint=f"it is one of: {', '.join(SCRIPTS)}")
    with open(os.path.join(os.path.dirname(__file__), "shells", SCRIPTS[shell]), encoding="utf-8") as file:
        out.data(file.read().rstrip("\n"), exact=True)
    return 0
