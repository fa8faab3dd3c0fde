"""
nsctl's operations on a lab host, called by a process without a terminal or a command line.

A line of JSON in, a line of JSON out: `{"call": "up", …}` with the arguments of a function below, and what it returned,
or the error that it raised; in both the diagnostics that were reported, and the events that an observer saw.
Every call comes from the same process, as from a service.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable
from functools import partial
from typing import Any

from nsctl import hookimpl
from nsctl.engine import app
from nsctl.engine.app import labs, maintenance, sandboxes, saved
from nsctl.engine.app.context import AppContext
from nsctl.engine.app.requests import DownRequest, Execution, Up, UpRequest
from nsctl.engine.labfiles import Difference, Lab
from nsctl.engine.model.diagnostics import Diagnostic
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.events import Event
from nsctl.engine.model.mode import Request
from nsctl.engine.model.options import from_plain
from nsctl.engine.model.plan import Plan
from nsctl.hooks.manager import Plugins


class Observer:
    """Notes the events of one change."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    @hookimpl
    def nsctl_event(self, event: Event) -> None:
        """Note it."""
        self._events.append(type(event).__name__)

    def close(self) -> None:
        """Note the end."""
        self._events.append("closed")


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        events: list[str] = []
        ctx = AppContext(observers=partial(_observers, events))
        answer: dict[str, Any] = {"error": "", "message": "", "hint": "", "value": None}
        try:
            answer["value"] = globals()[f"call_{request.pop('call')}"](ctx, **request)
        except NsctlError as e:
            answer |= {"error": type(e).__name__, "message": e.message, "hint": e.hint}
        answer |= {"diagnostics": plain(ctx.diagnostics), "events": events}
        answer["held"] = signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _observers(events: list[str]) -> dict[str, Observer]:
    return {"test": Observer(events)}


def plain(diagnostics: Iterable[Diagnostic]) -> list[dict[str, str]]:
    return [diagnostic._asdict() for diagnostic in diagnostics]


def asked(mode: str, name: str | None, options: dict[str, Any], more: dict[str, Any]) -> tuple[UpRequest, Plugins]:
    plugins = Plugins.load(mode)
    loaded = plugins.modes()[mode].mode
    confirm = more.pop("confirm", None)
    command = tuple(more.pop("command", ()))
    request = Request(name or mode, from_plain(loaded.options, options), loaded.isolate, command, more)
    return UpRequest(loaded, request, named=name is not None, confirm=confirm), plugins


def shown(up: Up) -> dict[str, Any]:
    return {
        "name": up.row.name,
        "state": up.row.state,
        "already": up.already,
        "ended": up.ended,
        "steps": [] if up.plan is None else [step.key for step in up.plan.steps],
        "diagnostics": plain(up.diagnostics),
    }


def call_up(
    ctx: AppContext, mode: str, name: str | None = None, options: dict[str, Any] | None = None, **more: Any
) -> Any:
    request, plugins = asked(mode, name, options or {}, more)
    return shown(app.up(ctx, request, plugins, Execution(step_timeout=10.0)))


def call_plan_up(
    ctx: AppContext, mode: str, name: str | None = None, options: dict[str, Any] | None = None, **more: Any
) -> Any:
    request, plugins = asked(mode, name, options or {}, more)
    planned = app.plan_up(ctx, request, plugins)
    present = sorted(planned.present)
    return {"plan": planned.plan.to_json(), "present": present, "diagnostics": plain(planned.diagnostics)}


def call_down(ctx: AppContext, **request: Any) -> Any:
    return app.down(ctx, _down_request(request))


def call_plan_down(ctx: AppContext, **request: Any) -> Any:
    names, steps = app.plan_down(ctx, _down_request(request))
    return {"names": names, "steps": [step.key for step in steps]}


def _down_request(request: dict[str, Any]) -> DownRequest:
    return DownRequest(tuple(request.pop("names", ())), **request)


def call_apply_plan(ctx: AppContext, plan: dict[str, Any]) -> Any:
    return shown(saved.apply(ctx, Plan.from_json(plan), Plugins.load("")))


def call_apply(ctx: AppContext, path: str) -> Any:
    lab, plugins = _lab(path)
    done = labs.apply(ctx, lab, labs.source_of(path), plugins)
    return _changed(done.change) | {"ended": list(done.ended), "lacking": plain(done.diagnostics)}


def call_plan_lab(ctx: AppContext, path: str) -> Any:
    lab, plugins = _lab(path)
    planned = labs.plan(ctx, lab, labs.source_of(path), plugins)
    plans = [one.plan.name for one in planned.plans]
    return _changed(planned.change) | {"plans": plans, "undone": len(planned.undone)}


def _lab(path: str) -> tuple[Lab, Plugins]:
    plugins = Plugins.load()
    with open(path, encoding="utf-8") as file:
        return labs.read(path, file.read(), plugins), plugins


def _changed(change: Difference) -> dict[str, Any]:
    return {
        "new": [w.request.name for w in change.new],
        "changed": [w.request.name for w, _ in change.changed],
        "gone": change.gone,
        "same": change.same,
    }


def call_check(ctx: AppContext, names: tuple[str, ...] = ()) -> Any:
    found = maintenance.check(ctx, names)
    return {
        "any_up": found.any_up,
        "drifts": [drift.key for drift in found.drifts],
        "repairable": found.repairable,
        "blocked": list(found.blocked.values()),
        "judged": list(found.verdicts),
    }


def call_repair(ctx: AppContext, names: tuple[str, ...] = ()) -> Any:
    done = maintenance.repair(ctx, names)
    return {"steps": [step.key for step in done.steps], "left": [drift.key for drift in done.left]}


def call_plan_repair(ctx: AppContext, names: tuple[str, ...] = ()) -> Any:
    return [step.key for step in maintenance.plan_repair(ctx, names)]


def call_recover(ctx: AppContext) -> Any:
    done = maintenance.recover(ctx)
    return {"lines": done.lines, "elsewhere": plain(done.elsewhere)}


def call_confirm(ctx: AppContext, name: str) -> Any:
    return maintenance.confirm(ctx, name)


def call_ls(ctx: AppContext) -> Any:
    return sandboxes.ls(ctx)


def call_inspect(ctx: AppContext, name: str) -> Any:
    return sandboxes.inspect(ctx, name)


def call_networks(ctx: AppContext) -> Any:
    return sandboxes.networks(ctx)


if __name__ == "__main__":
    main()
