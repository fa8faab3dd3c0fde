"""`networks`: what sandboxes share."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nsctl.engine.app import sandboxes
from nsctl.engine.cli import out
from nsctl.engine.cli.tables import table
from nsctl.engine.model.names import listed

__all__ = ["networks"]

_SHOWN = 5
"""Sandboxes of a network that the table names; --json names all."""


def networks(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.", show_default=False)] = False,
) -> int:
    """List the networks: name, bridge, subnet, gateway, whether it has no way out, whose bridge it is, sandboxes."""
    found = sandboxes.networks(ctx.obj)
    if as_json:
        out.data(json.dumps(found, indent=2))
        return 0
    if not found:
        out.note("there is no network; make one: nsctl up bridge")
        return 0
    lines = [
        [
            one["name"],
            one["bridge"],
            ",".join(one["subnets"]) or "-",
            one["gateway"] or "-",
            "-" if one["joined"] else "yes" if one["internal"] else "no",
            "host" if one["joined"] else "nsctl",
            listed(one["sandboxes"], _SHOWN),
        ]
        for one in found
    ]
    out.data(table([["NAME", "BRIDGE", "SUBNET", "GATEWAY", "INTERNAL", "OWNER", "SANDBOXES"], *lines]))
    return 0
