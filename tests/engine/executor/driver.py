"""
nsctl's executor on a lab host: each request runs in a process of its own, forked from one that has imported everything.

A line of JSON in, a line of JSON out:

    {"operation": "up" | "down" | "recover" | "check" | "repair" | "confirm" | "list" | "steps" |
                   "attachments" | "look" | "several",
     "plans": [...], "names": [...], "replace": [...], "options": {...}, "state_dir": "/run/nsctl",
     "kill": [n, "before" | "after"], "refuse": n, "signal": [n, "INT", m, "TERM", …]}

`kill` is SIGKILL at the n-th write to the journal, `refuse` makes it and all later forward ones fail as on a full disk,
and `signal` are signals at the n-th, m-th … event. All count from 1. `alarm` is a signal 0.3 s later; `look` takes no
lock, and `several` carries out `requests` in one session.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nsctl.engine.executor import Session
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.events import Event
from nsctl.engine.model.plan import Plan
from nsctl.engine.runner.process import load_plumbum
from nsctl.engine.store import Journal, Unwritable

STATE_DIR = Path("/run/nsctl")


def main() -> None:
    load_plumbum()  # once for all
    for line in sys.stdin:
        request = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            answer = carry_out(request)
            os.write(writing, json.dumps(answer).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
        sys.stdout.write((text or json.dumps({"killed": os.waitstatus_to_exitcode(status)})) + "\n")
        sys.stdout.flush()


def carry_out(request: dict[str, Any]) -> dict[str, Any]:
    events: list[list[str]] = []
    signals = dict(zip(*[iter(request.get("signal", ()))] * 2, strict=True))
    disturb(request)

    def emit(event: Event) -> None:
        step = getattr(event, "step", None)
        words = [type(event).__name__, step.key if step else ""]
        words += [str(getattr(event, name, "")) for name in ("skipped", "error", "outcome")]
        events.append(words)
        if name := signals.get(len(events)):
            os.kill(os.getpid(), getattr(signal, f"SIG{name}"))

    session = Session(Path(request.get("state_dir", STATE_DIR)), emit, **request.get("options", {}))
    answer: dict[str, Any] = {"error": "", "message": "", "exit": 0, "value": None}
    try:
        if request["operation"] == "look":
            with Session.read(STATE_DIR) as reading:
                answer["value"] = {n: r.state for n, r in reading.sandboxes().items()} if reading is not None else None
        else:
            with session.locked():
                answer["value"] = perform(session, request)
    except NsctlError as e:
        answer |= failure(e)
    return answer | {"events": events, "warnings": session.warnings, "recovered": session.recovered}


def failure(e: NsctlError) -> dict[str, Any]:
    return {"error": type(e).__name__, "message": e.message, "exit": e.exit_status}


def one_of_several(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"error": "", "value": perform(session, request)}
    except NsctlError as e:
        return failure(e)


def perform(session: Session, request: dict[str, Any]) -> Any:
    plans = [Plan.from_json(data) for data in request.get("plans", ())]
    names, replaced = request.get("names", ()), request.get("replace", ())
    operations: dict[str, Callable[[], Any]] = {
        "up": lambda: [row.name for row in session.up(plans, replace=replaced, **request.get("up", {}))],
        "down": lambda: session.down(names),
        "recover": session.recover,
        "check": lambda: [[drift.key, drift.state, drift.found] for drift in session.check(names)],
        "repair": lambda: [step.key for step in session.repair(names)],
        "confirm": lambda: session.confirm(names[0]),
        "attachments": lambda: {each.attachment.name: each.state for each in session.ctx.journal.attachments()},
        "list": lambda: {name: row.state for name, row in session.sandboxes().items()},
        "several": lambda: [one_of_several(session, each) for each in request["requests"]],
        "steps": lambda: {row.step.key: row.state for row in session.ctx.journal.steps()},
    }
    return operations[request["operation"]]()


def disturb(request: dict[str, Any]) -> None:
    if "alarm" in request:
        signum = getattr(signal, f"SIG{request['alarm']}")
        threading.Timer(0.3, os.kill, (os.getpid(), signum)).start()
    kill, when = request.get("kill", (0, ""))
    refuse = request.get("refuse", 0)
    if not kill and not refuse:
        return
    write: Callable[..., None] = Journal._write_once
    count = 0

    def disturbed(journal: Journal, *args: Any) -> None:
        nonlocal count
        count += 1
        if count == kill and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if refuse and count >= refuse and not journal.best_effort:
            raise Unwritable("the disk is full")
        write(journal, *args)
        if count == kill and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    Journal._write_once = disturbed  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    main()
