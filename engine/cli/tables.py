"""The table of `ls`, and tables in general. It does without typer: see `nsctl.engine.cli.plain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsctl.engine.app import sandboxes
from nsctl.engine.cli import out
from nsctl.engine.model.errors import Invalid

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

__all__ = ["age", "show", "table"]


def show(context: AppContext, *, as_json: bool = False, quiet: bool = False) -> int:
    """
    Print the sandboxes.

    Raises:
        Invalid: It is asked for in two forms.
    """
    if quiet and as_json:
        raise Invalid("--quiet and --json are two forms", hint="leave one of them out")
    found = sandboxes.ls(context)
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
