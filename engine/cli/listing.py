"""
`ls` and `inspect`.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.world import need_root, no_sandbox
from nsctl.engine.errors import Invalid
from nsctl.engine.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.cli.world import World
    from nsctl.engine.executor.reading import Reading
    from nsctl.engine.store import SandboxRow

__all__ = ["age", "inspect", "ls", "natural", "table"]


def ls(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.", show_default=False)] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only the names, one a line.", show_default=False)
    ] = False,
) -> int:
    """
    List the sandboxes: name, mode, address, network, init's PID, state, age.
    """
    world: World = ctx.obj
    if quiet and as_json:
        raise Invalid("--quiet and --json are two forms", hint="leave one of them out")
    need_root(world)
    with world.read() as session:
        rows = [] if session is None else sorted(session.sandboxes().values(), key=lambda row: natural(row.name))
        found = [_summary(session, row) for row in rows if session is not None]
    if as_json:
        out.data(json.dumps(found, indent=2))
        return 0
    if quiet:
        for one in found:
            out.data(one["name"])
        return 0
    if not found:
        out.note("no sandbox is up; make one: nsctl up bridge")
        return 0
    lines = [
        [
            s["name"],
            s["mode"],
            ",".join(s["addresses"]) or "-",
            s["network"] or "-",
            str(s["pid"] or "-"),
            s["state"],
            age(s["age_seconds"]),
        ]
        for s in found
    ]
    out.data(table([["NAME", "MODE", "ADDRESS", "NETWORK", "PID", "STATE", "AGE"], *lines]))
    return 0


def natural(name: str) -> list[tuple[int, str]]:
    """
    What to sort names by, so that client-2 stands before client-10.
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split("([0-9]+)", name)]


def inspect(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The sandbox.", autocompletion=sandbox_names)],
) -> int:
    """
    Show everything known of a sandbox, as JSON: options, processes, log, and each step with its undo.
    """
    from nsctl.engine.plan import step_to_json

    world: World = ctx.obj
    check_name(name)
    need_root(world)
    with world.read() as session:
        rows = {} if session is None else session.sandboxes()
        if session is None or name not in rows:
            raise no_sandbox(name, rows)
        row = rows[name]
        found = _summary(session, row)
        found |= {
            "isolate": list(row.isolate),
            "options": row.options,
            "command": list(row.command),
            # Values of variables may be secrets, and what `inspect` prints is pasted into reports.
            "settings": row.settings | {"env": sorted(row.settings.get("env", ()))},
            "gateway": row.info.get("gateway"),
            "shares": row.info.get("shares"),
            "log": row.info.get("log"),
            "lab": row.source or None,
            "steps": [
                step_to_json(s.step) | {"state": s.state, "mark": s.mark, "tools": s.tools} for s in session.steps(name)
            ],
        }
    out.data(json.dumps(found, indent=2))
    return 0


def _summary(session: Reading, row: SandboxRow) -> dict[str, Any]:
    pid = session.pid(row)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    state = row.state
    if state == "up" and row.info.get("init") and pid is None:
        state = "dead"
    elif state == "up" and row.confirm_by is not None:
        state = f"unconfirmed ({max(0, row.confirm_by - now):.0f}s left)"
    return {
        "name": row.name,
        "mode": row.mode,
        "addresses": list(row.info.get("addresses", ())),
        "network": row.info.get("network"),
        "bridge": row.info.get("link"),
        "pid": pid,
        "state": state,
        "created": row.created,
        "age_seconds": round(max(0.0, now - row.created_boot), 1),
    }


def age(seconds: float) -> str:
    """
    A span of time in its largest unit.
    """
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def table(rows: list[list[str]]) -> str:
    """
    Aligned columns.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
