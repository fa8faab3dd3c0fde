"""`apply` of a lab file: the host is brought to what the file says, as one plan."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.complete import choices
from nsctl.engine.cli.context import settled
from nsctl.engine.cli.parameters import RESERVED
from nsctl.engine.cli.present import all_as_made
from nsctl.engine.cli.settings import of_lab_file
from nsctl.engine.cli.up import Wish, described, has_ended, plan_of
from nsctl.engine.cli.warnings import looked_after, warn, warn_of_plans
from nsctl.engine.labfiles import STDIN, Difference, Lab, Reserved, compare, read_lab
from nsctl.engine.labfiles import schema as lab_schema
from nsctl.engine.model.errors import Conflict, Invalid, NotExecuted, Refused, StepFailed
from nsctl.engine.model.mode import Mode
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning.carried import Carried
from nsctl.engine.planning.forecast import extend
from nsctl.hooks.manager import Plugins

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.model.facts import Facts

__all__ = ["apply_lab", "load_lab", "schema", "show_lab", "source_of"]

_BEFORE = """\
# What goes first does so one by one; the first command of these that fails ends the script.
# What they take down is not brought back by it (nsctl apply would), whatever fails and when."""


def load_lab(path: str, text: str) -> tuple[Lab, Plugins]:
    """
    A lab file, read with the modes that are installed.

    Raises:
        Invalid: Something of it is wrong.
    """
    plugins = Plugins.load(reserved=RESERVED)
    found = plugins.modes()

    def mode_of(name: str) -> Mode | None:
        return found[name].mode if name in found else None

    return read_lab(path, text, mode_of, lambda: list(found), of_lab_file), plugins


def source_of(path: str) -> str:
    """What is noted of the sandboxes that a lab file makes, so that it knows them again."""
    return STDIN if path == STDIN else os.path.realpath(path)


def apply_lab(world: AppContext, path: str, text: str, *, as_json: bool, step_timeout: float, fuse: bool) -> int:
    """Bring the host to what the file says."""
    lab, plugins = _loaded(path, text)
    source = source_of(path)
    plans: list[tuple[Plan, frozenset[str]]] = []
    with world.open_for_change("apply", plugins, step_timeout=step_timeout, fuse=fuse) as session:
        change = compare(lab, session.sandboxes(), source, lambda row: session.pid(row) is None)
        if change.nothing:
            all_as_made(session, change.same)
        else:
            going = change.take_down()
            facts = session.facts(without=going)
            with session.planning():
                plans = _plans(lab, change, facts, plugins)
            try:
                made = session.up([plan for plan, _ in plans], replace=going, source=source)
            except NotExecuted as e:  # of one among several: 126 and 127 are said of a command that stands alone
                raise StepFailed(e.message, hint=e.hint) from e
            for row in made:
                if has_ended(session, row):
                    out.note(f"note: {described(row, ended=True)}")
        found = looked_after(session, [plan for plan, _ in plans])
    out.data(_as_json(change) if as_json else _summary(change))
    warn([plan for plan, _ in plans], found)
    return 0


def show_lab(world: AppContext, path: str, text: str, *, as_json: bool, form: str) -> int:
    """Show how the host would be brought to what the file says."""
    lab, plugins = _loaded(path, text)
    world.note_hidden()
    with world.open_readonly() as session:
        present = settled(session)
        if session is None:
            change = compare(lab, present, source_of(path))
            facts, undone = world.facts(None), []
        else:
            change = compare(lab, present, source_of(path), lambda row: session.pid(row) is None)
            going = change.take_down()
            facts = session.facts(without=[*going, *(n for n in session.sandboxes() if n not in present)])
            undone = session.plan_down(going, force=True) if going else []
        plans = _plans(lab, change, facts, plugins)
    _show(change, plans, undone, source_of(path), as_json=as_json, form=form)
    made: set[str] = set()
    there: set[str] = set()
    for plan, present_by_then in plans:
        there |= present_by_then - made
        made |= {step.key for step in plan.steps} - present_by_then
    warn_of_plans([plan for plan, _ in plans], facts, there)
    return 0


def _loaded(path: str, text: str) -> tuple[Lab, Plugins]:
    lab, plugins = load_lab(path, text)
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


def _plans(lab: Lab, change: Difference, facts: Facts, plugins: Plugins) -> list[tuple[Plan, frozenset[str]]]:
    # The plans, each with the keys that are in place by then. A chosen address is kept for who is still to come.
    plans = []
    wanted = change.make(lab)
    chosen: dict[str, str] = {}
    for one in wanted:
        if one.address:
            chosen.setdefault(one.address, one.request.name)
    for one in wanted:
        name = one.request.name
        if chosen.get(one.address) == name:
            del chosen[one.address]
        kept = replace(facts, claims=Reserved(facts.claims, "address", chosen)) if chosen else facts
        try:
            plan = plan_of(Wish(one.mode, one.request, one.options), kept, plugins)
            there = frozenset(s.key for s in plan.steps if s.key in facts.steps)
            _check_shared(plan, there, facts)
        except Refused as e:
            raise lab.source.wrong(f"{name}: {e.message}", one.table, None, e.hint) from e
        plans.append((plan, there))
        facts = extend(facts, plan)
    return plans


def _check_shared(plan: Plan, there: frozenset[str], facts: Facts) -> None:
    for step in plan.steps:
        if step.key in there and not step.same_work(facts.steps[step.key]):
            raise Conflict(
                f"it would make {step.key} another way than what is planned or in place",
                hint="choose another name or ifname for one of the two, or the same settings",
            )


@cache
def _renderer(form: str) -> Any:
    from nsctl.engine.planning import render

    return {"text": render.text, "sh": render.sh, "json": render.json}[form]


def _show(
    change: Difference,
    plans: list[tuple[Plan, frozenset[str]]],
    undone: list[Any],
    source: str,
    *,
    as_json: bool,
    form: str,
) -> None:
    if as_json:
        out.data(_as_json(change))
        return
    from nsctl.engine.planning.render import expecting, shell_of
    from nsctl.engine.runner.batches import undo_items

    undo = [(expecting if form == "sh" else shell_of)(item.command) for item in undo_items(undone)]
    if form == "json":
        import json

        made = {"undo": undo, "plans": [plan.to_json() for plan, _ in plans]}
        out.data(json.dumps(_difference(change) | made, indent=2))
        return
    lines = [f"+ {w.request.name} ({w.mode.name})" for w in change.new]
    lines += [f"~ {w.request.name} ({why}; restarts it)" for w, why in change.changed]
    lines += [f"- {name}" for name in change.gone]
    if form == "sh":
        out.data(_script(lines, undo, plans, source), exact=True)
        return
    out.data("\n".join(lines) if lines else f"nothing to do: {len(change.same)} as the file says")
    if undo:
        out.data("\nTo be undone, last applied first:")
        out.data("\n".join(f"  {command}" for command in undo))
    for plan, present in plans:
        out.data("\n" + str(_renderer(form)(plan, present)).removesuffix("\n"))


def _script(lines: list[str], undo: list[str], plans: list[tuple[Plan, frozenset[str]]], source: str) -> str:
    # All plans as one: what two of them share is made once, and a failure undoes all of it.
    parts = ["#!/bin/sh", *(f"# {display(line)}" for line in lines or ["nothing to do"])]
    if undo:
        parts += [_BEFORE, 'if [ "${1-}" != down ]; then', "set -e", *undo, "fi"]
    if plans:
        steps = {step.key: step for plan, _ in plans for step in plan.steps}
        there: set[str] = set()
        made: set[str] = set()
        for plan, present in plans:
            there |= present - made
            made |= {step.key for step in plan.steps} - present
        # What is taken down first is still in nsctl's books afterwards, and its name with it.
        carried = Carried((), "") if undo else Carried(tuple(plan for plan, _ in plans), source)
        parts.append(_renderer("sh")(Plan("lab", "lab", {}, tuple(steps.values()), (), (), {}), there, carried))
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
