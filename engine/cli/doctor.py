"""`doctor`: what of this host nsctl depends on."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nsctl.engine.app.examine import examine
from nsctl.engine.cli import out

__all__ = ["doctor"]

FAILING = 4
"""The exit status if something is in the way."""


def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.", show_default=False)] = False,
) -> int:
    """
    Look at what nsctl depends on, before anything is made: tools, kernel, firewall, routes, name servers, places.

    Each line is ok, warn (it may be in the way) or fail (it is), with a hint; exit status 4 if something fails.
    Nothing is changed. Without root, what only root can see is left out.
    """
    found = examine(ctx.obj)
    worst = next((status for status in ("fail", "warn") if any(f.status == status for _, f in found)), "ok")
    if as_json:
        checks = [{"check": name} | finding._asdict() for name, finding in found]
        out.data(json.dumps({"status": worst, "checks": checks}, indent=2))
    else:
        width = max(len(name) for name, _ in found)
        for name, finding in found:
            out.data(f"{finding.status:4}  {name:{width}}  {finding.what}")
            if finding.hint and finding.status != "ok":
                out.data(f"{'':{width + 8}}hint: {finding.hint}")
    return FAILING if worst == "fail" else 0
