"""`modes`: what there is, where it came from, and what is broken."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.common_options import RESERVED
from nsctl.engine.cli.complete import mode_names
from nsctl.engine.cli.tables import table
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.model.options import Field, fields_of, nearest, plain_value
from nsctl.hooks.manager import LoadedMode, Plugins

__all__ = ["modes"]


def modes(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[MODE]", help="One mode.", autocompletion=mode_names, show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.", show_default=False)] = False,
) -> int:
    """List the modes with their packages, and broken plugins with the reason; or show one mode's options."""
    del ctx
    plugins = Plugins.load(reserved=RESERVED)
    if name is not None:
        loaded = _find(plugins, name)
        out.data(json.dumps(_data(loaded, options=True), indent=2) if as_json else _page(loaded))
        return 0
    every = [loaded for _, loaded in sorted(plugins.modes().items())]
    if as_json:
        broken = [
            {"name": b.name, "package": b.distribution, "version": b.version, "broken": b.reason}
            for b in plugins.broken
        ]
        out.data(json.dumps([*(_data(loaded) for loaded in every), *broken], indent=2))
        return 0
    rows = [[loaded.mode.name, f"{loaded.distribution} {loaded.version}", loaded.mode.summary] for loaded in every]
    rows += [[display(b.name), f"{b.distribution} {b.version}", f"broken: {b.reason}"] for b in plugins.broken]
    out.data(table([["MODE", "PACKAGE", "WHAT IT DOES"], *rows]))
    return 0


def _find(plugins: Plugins, name: str) -> LoadedMode:
    found = plugins.modes().get(name)
    if found is not None:
        return found
    for broken in plugins.broken:
        if broken.name == name:
            raise Invalid(f"mode '{display(name)}' of {broken.distribution} is broken: {broken.reason}")
    meant = nearest(name, plugins.modes())
    raise Invalid(
        f"there is no mode '{display(name)}'", hint=f"did you mean '{meant}'?" if meant else "nsctl modes lists them"
    )


def _data(loaded: LoadedMode, *, options: bool = False) -> dict[str, Any]:
    mode = loaded.mode
    found: dict[str, Any] = {
        "name": mode.name,
        "summary": mode.summary,
        "package": loaded.distribution,
        "version": loaded.version,
    }
    if options:
        found["isolate"] = list(mode.isolate)
        found["example"] = mode.example
        found["options"] = [_option(f) for f in fields_of(mode.options)]
    return found


def _option(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "flag": field.flag,
        "type": "switch" if field.type is bool else getattr(field.type, "__name__", "choice"),
        "choices": list(field.choices),
        "multiple": field.multiple,
        "required": field.required,
        "default": plain_value(field.default),
        "help": field.help,
    }


def _page(loaded: LoadedMode) -> str:
    mode = loaded.mode
    lines = [f"{mode.name} - {mode.summary}", f"from {loaded.distribution} {loaded.version}"]
    lines += [f"isolates {','.join(mode.isolate)}"]
    rows = [[f"  {f.flag} {f.metavar}".rstrip(), f.text] for f in fields_of(mode.options)]
    if rows:
        lines += ["", "options:", table(rows)]
    lines += ["", f"example: {mode.example or f'nsctl up {mode.name} --dry-run'}"]
    return "\n".join(lines)
