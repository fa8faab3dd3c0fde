"""`apply` of a lab file, and `schema`: lab files in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsctl.engine.app import labs
from nsctl.engine.cli import out
from nsctl.engine.cli.common_options import RESERVED
from nsctl.engine.cli.complete import choices
from nsctl.engine.cli.present import made_and_ended
from nsctl.engine.labfiles import Difference, Lab
from nsctl.engine.labfiles import schema as lab_schema
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning.carried import Carried
from nsctl.hooks.manager import Plugins

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.app.labs import PlannedLab
    from nsctl.engine.app.requests import Execution

__all__ = ["apply_lab", "schema", "show_lab"]

_BEFORE = """\
# What goes first does so one by one; the first command of these that fails ends the script.
# What they take down is not brought back by it (nsctl apply would), whatever fails and when."""


def apply_lab(context: AppContext, path: str, text: str, *, as_json: bool, how: Execution) -> int:
    """Bring the host to what the file says."""
    lab, plugins = _read(path, text)
    done = labs.apply(context, lab, labs.source_of(path), plugins, how)
    for name in done.ended:
        out.note(f"note: {made_and_ended(name)}")
    out.data(_as_json(done.change) if as_json else _summary(done.change))
    for diagnostic in done.diagnostics:
        out.diagnostic(diagnostic)
    return 0


def show_lab(context: AppContext, path: str, text: str, *, as_json: bool, form: str) -> int:
    """Show how the host would be brought to what the file says."""
    lab, plugins = _read(path, text)
    source = labs.source_of(path)
    planned = labs.plan(context, lab, source, plugins)
    if as_json:
        out.data(_as_json(planned.change))
    else:
        _show(planned, source, form)
    for diagnostic in planned.diagnostics:
        out.diagnostic(diagnostic)
    return 0


def _read(path: str, text: str) -> tuple[Lab, Plugins]:
    plugins = Plugins.load(reserved=RESERVED)
    lab = labs.read(path, text, plugins)
    out.warnings_of(plugins)
    return lab, plugins


def schema(
    what: Annotated[str, typer.Argument(metavar="lab", help="Of what: lab.", autocompletion=choices("lab"))],
) -> int:
    """Print the JSON schema of lab files, for editors."""
    import json

    if what != "lab":
        raise Invalid(f"there is no schema of '{display(what)}'", hint="nsctl schema lab")
    found = Plugins.load(reserved=RESERVED).modes()
    out.data(json.dumps(lab_schema(m.mode for m in found.values()), indent=2))
    return 0


def _renderer(form: str) -> Any:
    from nsctl.engine.planning import render

    return render.FORMS[form]


def _show(planned: PlannedLab, source: str, form: str) -> None:
    from nsctl.engine.planning.render import expecting, shell_of

    change = planned.change
    undo = [(expecting if form == "sh" else shell_of)(command) for command in labs.undo_commands(planned.undone)]
    if form == "json":
        import json

        made = {"undo": undo, "plans": [one.plan.to_json() for one in planned.plans]}
        out.data(json.dumps(_difference(change) | made, indent=2))
        return
    lines = [f"+ {w.request.name} ({w.mode.name})" for w in change.new]
    lines += [f"~ {w.request.name} ({why}; restarts it)" for w, why in change.changed]
    lines += [f"- {name}" for name in change.gone]
    if form == "sh":
        out.data(_script(lines, undo, planned, source), exact=True)
        return
    out.data("\n".join(lines) if lines else f"nothing to do: {len(change.same)} as the file says")
    if undo:
        out.data("\nTo be undone, last applied first:")
        out.data("\n".join(f"  {command}" for command in undo))
    for plan, present in planned.plans:
        out.data("\n" + str(_renderer(form)(plan, present)).removesuffix("\n"))


def _script(lines: list[str], undo: list[str], planned: PlannedLab, source: str) -> str:
    # All plans as one: what two of them share is made once, and a failure undoes all of it.
    parts = ["#!/bin/sh", *(f"# {display(line)}" for line in lines or ["nothing to do"])]
    if undo:
        parts += [_BEFORE, 'if [ "${1-}" != down ]; then', "set -e", *undo, "fi"]
    if planned.plans:
        steps = tuple(planned.steps.values())
        # What is taken down first is still in nsctl's books afterwards, and its name with it.
        carried = Carried((), "") if undo else Carried(tuple(one.plan for one in planned.plans), source)
        parts.append(_renderer("sh")(Plan("lab", "lab", {}, steps, (), (), {}), planned.present, carried))
    return "\n".join(parts).removesuffix("\n")


def _summary(change: Difference) -> str:
    if change.nothing:
        return f"nothing to do: {len(change.same)} as the file says"
    parts = [
        f"{len(names)} {what}"
        for names, what in (
            (change.new, "made"),
            (change.changed, "restarted with changes"),
            (change.gone, "taken down"),
            (change.same, "left as they were"),
        )
        if names
    ]
    return "done: " + ", ".join(parts)


def _as_json(change: Difference) -> str:
    import json

    return json.dumps(_difference(change), indent=2)


def _difference(change: Difference) -> dict[str, Any]:
    return {
        "new": [w.request.name for w in change.new],
        "changed": {w.request.name: why for w, why in change.changed},
        "gone": change.gone,
        "same": change.same,
    }
