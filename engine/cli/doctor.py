"""`doctor`: what of this host nsctl depends on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.cli import out

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.doctor.finding import Finding, Scene
    from nsctl.engine.executor import Session
    from nsctl.engine.model.facts import Facts

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
    from nsctl.engine.doctor.examine import examine

    world: AppContext = ctx.obj
    with world.open_readonly() as session:
        found = list(examine(_scene(world, session)))
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


def _scene(world: AppContext, session: Session | None) -> Scene:
    from nsctl.engine.doctor.finding import Scene
    from nsctl.engine.host.kernel import Kernel
    from nsctl.engine.host.snapshot import read_host
    from nsctl.engine.runner import Runner

    runner = Runner()
    facts = world.facts(session)
    host = read_host(Kernel(runner.read))
    return Scene(
        run=runner.read,
        root=os.geteuid() == 0,
        facts=facts,
        host=host,
        state_dir=str(world.state_dir),
        audit_log=str(world.audit_log),
        trail=lambda: _trail(world),
        bridge=lambda: _bridge(facts),
    )


def _trail(world: AppContext) -> tuple[str, str] | None:
    from nsctl.engine.model.errors import Invalid

    try:
        world.check_trail()
    except Invalid as e:
        return e.message, e.hint
    return None


def _bridge(facts: Facts) -> Finding:
    """Plan a bridge network, and judge its way out."""
    from nsctl.engine.cli.free_names import first_free
    from nsctl.engine.cli.warnings import forecast
    from nsctl.engine.cli.ways_out import no_further
    from nsctl.engine.doctor.finding import FAIL, OK, WARN, Finding
    from nsctl.engine.model.errors import NsctlError
    from nsctl.engine.model.mode import Request
    from nsctl.engine.planning import planner
    from nsctl.hooks.manager import Plugins

    loaded = Plugins.load("bridge").modes().get("bridge")
    if loaded is None:
        return Finding(FAIL, "the mode 'bridge' can't be loaded", "see: nsctl modes")
    mode = loaded.mode
    request = Request(first_free("doctor", facts.netns), mode.options(), mode.isolate, (), {})
    try:
        plan = planner.plan(mode, request, facts)
        [verdict] = forecast({step.key: step for step in plan.steps}, facts, facts.steps).values()
    except NsctlError as e:
        return Finding(FAIL, f"a bridge network can't be made: {e.message}", e.hint)
    if verdict.broken:
        cause = verdict.broken[0]
        return Finding(FAIL, f"a sandbox on a bridge would have no way out: {cause.what}", cause.hint)
    if verdict.causes:
        return Finding(WARN, no_further(verdict.causes[0]), verdict.causes[0].hint)
    if verdict.reached is None:
        what = f"whether a sandbox on a bridge would have a way out can't be told: {'; '.join(verdict.doubts)}"
        return Finding(WARN, what, "see: iptables-save; ip rule" if os.geteuid() == 0 else "sudo nsctl doctor")
    return Finding(OK, "a sandbox on a bridge would have a way out")
