"""
What the audit trail says of an event: argument vectors, outcomes, and of output only the beginning and a hash.

Values of environment variables are left out: they may be secrets.
"""

from __future__ import annotations

from typing import Any

from nsctl.engine.model.commands import AnyCommand
from nsctl.engine.model.events import Event, PlanFinished, PlanStarted, StepDone, StepFailed, StepUndone
from nsctl.engine.model.hashing import sha256
from nsctl.engine.model.plan import Step
from nsctl.hooks.argv import argv_of

__all__ = ["UNDOING", "record_of"]

UNDOING = frozenset({"down", "recover", "systemd uninstall"})
"""Operations that undo steps: what counts then is the undo."""
OUTPUT_MAX = 2000
"""Characters of a step's output that are kept; its hash is of the whole."""


def record_of(event: Event) -> tuple[str, dict[str, Any]]:
    """An event's name in the trail, and its fields."""
    match event:
        case PlanStarted():
            undoing = event.operation in UNDOING
            steps = [_undo(s) if undoing else {"step": s.key, **_do(s.do)} for s in event.steps]
            return "plan_started", {"operation": event.operation, "mode": event.mode, "steps": steps}
        case StepDone():
            ran = {"skipped": event.skipped} if event.skipped else {"rc": 0, **_output(event.stdout, event.stderr)}
            return "step_done", {"step": event.step.key, **_do(event.step.do), **_run(event), **ran}
        case StepFailed():
            how: dict[str, Any] = {"signal": -event.status} if event.status < 0 else {"rc": event.status}
            return "step_failed", {
                "step": event.step.key,
                **_do(event.step.do),
                **_run(event),
                **how,
                **_output("", event.reason),
            }
        case StepUndone():
            how = {"skipped": event.skipped} if event.skipped else {"error": event.error} if event.error else {"rc": 0}
            return "step_undone", {**_undo(event.step), **_run(event), **how}
        case PlanFinished():
            return "plan_finished", {"operation": event.operation, "outcome": event.outcome, "left": list(event.left)}
        case _:
            return type(event).__name__, {}


def _run(event: StepDone | StepFailed | StepUndone) -> dict[str, Any]:
    return {"executable": event.executable, "duration_ms": round(event.duration * 1000, 3)}


def _do(command: AnyCommand | None) -> dict[str, Any]:
    if command is None:
        return {}
    found: dict[str, Any] = {"argv": argv_of(command.argv)}
    if command.netns is not None:
        found["netns"] = command.netns
    if command.stdin is not None:
        found["stdin_sha256"] = sha256(command.stdin.encode("utf-8", "backslashreplace")).hexdigest()
    return found


def _undo(step: Step) -> dict[str, Any]:
    return {
        "step": step.key,
        "undo": [_do(c) for c in step.undo],
        **({"removed_with": step.removed_with} if step.removed_with else {}),
    }


def _output(stdout: str, stderr: str) -> dict[str, str]:
    found = {}
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        if text:
            found[name] = text[:OUTPUT_MAX]
            found[f"{name}_sha256"] = sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return found
