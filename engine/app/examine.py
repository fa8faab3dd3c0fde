"""`doctor`: what nsctl depends on, looked at before anything is made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.doctor.finding import Finding
    from nsctl.engine.model.facts import Facts

__all__ = ["examine"]


def examine(ctx: AppContext) -> list[tuple[str, Finding]]:
    """Each check by its name, with what was found; nothing is changed."""
    from nsctl.engine.app.resident import finding
    from nsctl.engine.doctor.examine import examine as examined
    from nsctl.engine.doctor.finding import Scene
    from nsctl.engine.host.kernel import Kernel
    from nsctl.engine.host.snapshot import read_host
    from nsctl.engine.runner import Runner

    with ctx.open_readonly() as session:
        runner = Runner()
        facts = ctx.facts(session)
        scene = Scene(
            run=runner.read,
            root=os.geteuid() == 0,
            facts=facts,
            host=read_host(Kernel(runner.read)),
            state_dir=str(ctx.state_dir),
            audit_log=str(ctx.audit_log),
            trail=lambda: _trail(ctx),
            bridge=lambda: _bridge(facts),
            resident=finding,
        )
        return list(examined(scene))


def _trail(ctx: AppContext) -> tuple[str, str] | None:
    from nsctl.engine.model.errors import Invalid

    try:
        ctx.check_trail()
    except Invalid as e:
        return e.message, e.hint
    return None


def _bridge(facts: Facts) -> Finding:
    """Plan a bridge network, and judge its way out."""
    from nsctl.engine.app.free_names import first_free
    from nsctl.engine.app.promises import forecast
    from nsctl.engine.app.ways_out import no_further
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
