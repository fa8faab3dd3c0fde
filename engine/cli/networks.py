"""`networks`: what sandboxes share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.context import need_root
from nsctl.engine.cli.tables import natural, table
from nsctl.engine.model.names import listed

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.executor.reading import Reading

__all__ = ["networks"]

_SHOWN = 5
"""Sandboxes of a network that the table names; --json names all."""


def networks(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.", show_default=False)] = False,
) -> int:
    """List the networks: name, bridge, subnet, gateway, whether it has no way out, whose bridge it is, sandboxes."""
    world: AppContext = ctx.obj
    need_root(world)
    with world.read() as session:
        found = [] if session is None else _found(session)
    found.sort(key=lambda one: natural(one["name"]))
    for one in found:
        one["sandboxes"].sort(key=natural)
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


def _found(session: Reading) -> list[dict[str, Any]]:
    from nsctl.engine.executor.inventory import networks as known

    return [one._asdict() for one in known(session.store[0])]
