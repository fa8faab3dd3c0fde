"""`ls` and `inspect`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from nsctl.engine.app import sandboxes
from nsctl.engine.cli import out
from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.tables import show
from nsctl.engine.model.names import check_name

__all__ = ["inspect", "ls"]


def ls(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.", show_default=False)] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only the names, one a line.", show_default=False)
    ] = False,
) -> int:
    """List the sandboxes: name, mode, address, network, init's PID, state, age."""
    return show(ctx.obj, as_json=as_json, quiet=quiet)


def inspect(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The sandbox.", autocompletion=sandbox_names)],
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Each step with its commands, its undo and all it writes.", show_default=False
        ),
    ] = False,
) -> int:
    """
    Show what is known of a sandbox, as JSON: addresses, attachments, options, PID, log, and the steps that made it.

    Its attachments are its interfaces; one that shares a network has those of the sandbox that it shares it with.

    With --verbose, values of variables are among what steps write: read it before you pass it on.
    """
    found = sandboxes.inspect(ctx.obj, check_name(name), verbose=verbose)
    out.data(json.dumps(found, indent=2) if verbose else _short(found))
    return 0


def _short(found: dict[str, Any]) -> str:
    """An object as JSON in few lines: one for each list, each attachment, and each step."""
    lines = []
    for key, value in found.items():
        if key in {"attachments", "steps"} and value:
            shown = "[\n" + ",\n".join(f"    {json.dumps(each)}" for each in value) + "\n  ]"
        elif isinstance(value, dict):
            shown = json.dumps(value, indent=2).replace("\n", "\n  ")
        else:
            shown = json.dumps(value)
        lines.append(f"  {json.dumps(key)}: {shown}")
    return "{\n" + ",\n".join(lines) + "\n}"
