"""What `ls` shows, and how tables look. It does without typer: see `nsctl.engine.cli.plain`."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from nsctl.engine.cli import out
from nsctl.engine.cli.context import need_root
from nsctl.engine.model.errors import Invalid

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.executor.reading import Reading
    from nsctl.engine.store import SandboxRow

__all__ = ["age", "natural", "show", "summary", "table"]


def show(world: AppContext, *, as_json: bool = False, quiet: bool = False) -> int:
    """
    Print the sandboxes.

    Raises:
        Invalid: It is asked for in two forms.
    """
    if quiet and as_json:
        raise Invalid("--quiet and --json are two forms", hint="leave one of them out")
    need_root(world)
    with world.read() as session:
        rows = [] if session is None else sorted(session.sandboxes().values(), key=lambda row: natural(row.name))
        found = [summary(session, row) for row in rows if session is not None]
    if as_json:
        import json

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
    """What to sort names by, so that client-2 stands before client-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split("([0-9]+)", name)]


def summary(session: Reading, row: SandboxRow) -> dict[str, Any]:
    """What `ls` shows of a sandbox."""
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
    """A span of time in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def table(rows: list[list[str]]) -> str:
    """Aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
