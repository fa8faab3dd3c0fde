"""
Fail every step of a mode in turn, on the real kernel: after each the host must be as before.

The host is a lab; the steps run in a process there, and the host is compared from outside.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from nsctl.engine.executor import Session
from nsctl.engine.model.commands import Command, Spawn
from nsctl.engine.model.errors import NsctlError, StepFailed
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.planning.planner import plan
from nsctl.engine.testing.lab import Lab
from nsctl.engine.testing.python import Python
from nsctl.engine.testing.snapshot import Snapshot, diff, snapshot

__all__ = ["Failure", "fail_every_step"]

STATE_DIR = Path("/run/nsctl")
_SETTLE = 5.0
"""Seconds that the kernel gets to finish what it does in the background."""
_HANG = 0.5
"""Seconds after which a process that never gets ready is given up."""


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A try after which the host was not as before, or nsctl did not fail as it should.

    Args:
        number: The step's number; 0 for a whole up and down.
        key: The step's key.
        how: How it was made to fail.
        found: What was wrong, line by line.
    """

    number: int
    key: str
    how: str
    found: tuple[str, ...]

    def __str__(self) -> str:
        return "\n  ".join((f"step {self.number} ({self.key}), {self.how}:", *self.found))


def fail_every_step(
    mode: Mode,
    options: Any,
    *,
    name: str = "web",
    isolate: Sequence[str] | None = None,
    command: Sequence[str] = (),
    prepare: Sequence[Sequence[str]] = (),
    beside: Sequence[tuple[Mode, str, Any]] = (),
    fuse: bool = True,
) -> int:
    """
    Make each step of a mode's plan fail, before and after it has acted, and compare the host with what it was.

    Args:
        mode: The mode; it must be importable by name, as its options must be.
        options: An instance of the mode's options.
        name: The sandbox's name.
        isolate: The kinds of namespaces; the mode's own where not given.
        command: The workload.
        prepare: Commands that make of a bare lab the host that the mode needs.
        beside: Sandboxes that are up already: mode, name, options.
        fuse: Whether steps are carried out in batches.

    Returns:
        How many tries there were.

    Raises:
        AssertionError: After some of them the host was not as before.
        PermissionError: The caller is not root.
    """
    if os.geteuid() != 0:
        raise PermissionError("a lab needs root")
    request = Request(name, options, mode.isolate if isolate is None else tuple(isolate), tuple(command))
    with Lab() as lab, Python(lab) as python:
        for words in prepare:
            lab.run(words, check=True)
        made, shared = python.call(_begin, request, mode, tuple(beside), fuse=fuse)
        tries, failures = _sweep(lab, python, made, shared, fuse=fuse)
    if failures:
        raise AssertionError("\n".join(str(f) for f in failures))
    return tries


def _sweep(lab: Lab, python: Python, made: Plan, shared: frozenset[str], *, fuse: bool) -> tuple[int, list[Failure]]:
    # What the kernel makes at first use (tables, modules' sysctls) counts as there before.
    if wrong := python.call(_up_and_down, made, fuse=fuse):
        return 1, [Failure(0, made.name, "up and down", tuple(wrong))]
    before = _settled(lab)
    failures: list[Failure] = []
    tries = 1
    for number, step in enumerate(made.steps, 1):
        if step.key in shared:
            continue
        for how, bad, timeout in _bad(step):
            tries += 1
            steps = (*made.steps[: number - 1], bad, *made.steps[number:])
            found = [*python.call(_try, replace(made, steps=steps), timeout, fuse=fuse), *_differences(lab, before)]
            if found:
                failures.append(Failure(number, step.key, how, tuple(found)))
                before = _settled(lab)
    tries += 1
    if found := [*python.call(_up_and_down, made, fuse=fuse), *_differences(lab, before)]:
        failures.append(Failure(0, made.name, "up and down", tuple(found)))
    return tries, failures


def _bad(step: Step) -> Iterator[tuple[str, Step, float]]:
    do = step.do
    if do is None:
        return
    if isinstance(do, Spawn):
        yield "exits at once", replace(step, do=replace(do, argv=("false",))), 30.0
        if do.ready is not None:
            yield "never gets ready", replace(step, do=replace(do, argv=("sleep", "1000"))), _HANG
        return
    yield "fails before it acts", replace(step, do=Command(("false",), do.stdin, do.netns, do.ok)), 30.0
    wrapped = ("sh", "-c", '"$@"; exit 1', "sh", *do.argv)
    yield "fails after it has acted", replace(step, do=Command(wrapped, do.stdin, do.netns, do.ok)), 30.0


def _differences(lab: Lab, before: Snapshot) -> list[str]:
    deadline = time.monotonic() + _SETTLE
    while (found := diff(before, snapshot(lab))) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _settled(lab: Lab) -> Snapshot:
    last = snapshot(lab)
    deadline = time.monotonic() + _SETTLE
    while time.monotonic() < deadline:
        time.sleep(0.05)
        now = snapshot(lab)
        if now == last:
            break
        last = now
    return last


# --- in the process on the lab host -------------------------------------------------------------------------------


def _begin(
    request: Request, mode: Mode, beside: Sequence[tuple[Mode, str, Any]], *, fuse: bool
) -> tuple[Plan, frozenset[str]]:
    """The plan, and the keys of its steps that are in place already."""
    for other, name, options in beside:
        with _session(fuse=fuse).locked() as session:
            session.up([plan(other, Request(name, options, other.isolate), session.facts())])
    with _session(fuse=fuse).locked() as session:
        return plan(mode, request, session.facts()), frozenset(session.facts().steps)


def _up_and_down(made: Plan, *, fuse: bool) -> list[str]:
    try:
        with _session(fuse=fuse).locked() as session:
            session.up([made])
            session.down([made.name])
    except NsctlError as e:
        return [str(e)]
    return []


def _try(bad: Plan, timeout: float, *, fuse: bool) -> list[str]:
    try:
        with _session(timeout, fuse=fuse).locked() as session:
            session.up([bad])
        with _session(fuse=fuse).locked() as session:
            session.down([bad.name])
    except StepFailed:
        return []
    except Exception as e:  # noqa: BLE001 - whatever it is, it is the finding
        return [f"{type(e).__name__}: {e}"]
    return ["it did not fail"]


def _session(timeout: float = 30.0, *, fuse: bool) -> Session:
    return Session(STATE_DIR, lambda _: None, step_timeout=timeout, fuse=fuse)
