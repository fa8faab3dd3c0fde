"""
`log`: the audit trail, readable.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.world import need_root
from nsctl.engine.errors import Invalid, Refused
from nsctl.engine.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.cli.world import World

__all__ = ["log"]

BROKEN = 4
"""The exit status of --verify when the trail is not whole: drift, like `check`."""
PAUSE = 0.2
"""Seconds between two looks at the end of the log."""


def log(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Only this sandbox.", autocompletion=sandbox_names, show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The records as they are.", show_default=False)] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.", show_default=False)] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no record was changed or is missing.", show_default=False)
    ] = False,
    acknowledge: Annotated[
        bool,
        typer.Option("--acknowledge", help="Note that what --verify finds missing is known.", show_default=False),
    ] = False,
) -> int:
    """
    Show the audit trail: who did what, with which commands, and what came of it.
    """
    world: World = ctx.obj
    path = str(world.audit_log)
    if verify or acknowledge:
        flag = "--verify" if verify else "--acknowledge"
        if name or as_json or follow or (verify and acknowledge):
            raise Invalid(f"{flag} stands alone: the chain is of all records", hint=f"nsctl log {flag}")
        return _verify(world) if verify else _acknowledge(world)
    if name is not None:
        check_name(name)
    whole: set[Any] = set()  # transactions of several sandboxes, of which this is one
    for line in _lines(path, follow=follow):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            out.warning("a line of the trail is damaged; see: nsctl log --verify")
            continue
        if name is not None and record.get("event") == "plan_started" and name in _sandboxes(record):
            whole.add(record.get("transaction"))
        ends = record.get("event") == "plan_finished" and record.get("transaction") in whole
        if name is None or record.get("sandbox") == name or name in _sandboxes(record) or ends:
            out.data(line.rstrip("\n") if as_json else told(record))
    return 0


def _verify(world: World) -> int:
    from nsctl.hooks.audit import verify

    verdict = verify(str(world.audit_log), world.head_copy)
    for line in verdict.notes:
        out.note(f"note: {line}")
    for line in verdict.problems:
        out.data(line)
    if verdict.problems:
        out.note("hint: if you know why, say so, and it is a note from then on: nsctl log --acknowledge")
        return BROKEN
    out.done(f"the trail is whole: {verdict.records} records")
    return 0


def _acknowledge(world: World) -> int:
    from nsctl.hooks.audit import verify

    need_root(world)
    problems = verify(str(world.audit_log), world.head_copy).problems
    if not problems:
        out.done("there is nothing to acknowledge: the trail is whole")
        return 0
    world.record("trail_acknowledged", "", problems=problems)
    for line in problems:
        out.done(f"acknowledged: {line}")
    return 0


def _lines(path: str, *, follow: bool) -> Iterator[str]:
    """
    The lines of the log; with `follow` also those to come, across a rotation.
    """
    part = ""
    while True:
        with _opened(path, wait=follow) as file:
            replaced = False
            while True:
                part += file.readline()
                if part.endswith("\n"):
                    yield part
                    part = ""
                elif not follow:
                    if part:
                        yield part
                    return
                elif replaced:
                    break
                elif _replaced(file.fileno(), path):
                    replaced = True  # something may have been written to it after the last look, and before that
                else:
                    time.sleep(PAUSE)


def _replaced(fd: int, path: str) -> bool:
    try:
        there = os.stat(path)
    except OSError:
        return False  # renamed, and the new one is not there yet
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)


def _opened(path: str, *, wait: bool) -> TextIO:
    while True:
        try:
            return open(path, encoding="utf-8", errors="backslashreplace")
        except FileNotFoundError:
            if not wait:
                raise Refused(
                    f"there is no audit trail at {path}", hint="nsctl makes it with the first change"
                ) from None
            time.sleep(PAUSE)
        except OSError as e:
            raise Refused(f"the audit trail {path} can't be read: {e.strerror}", hint="it is root's: use sudo") from e


def _sandboxes(record: dict[str, Any]) -> set[str]:
    """
    The sandboxes that a record of several is about, by the keys of its steps.
    """
    steps = [record, *(s for s in record.get("steps", ()) if isinstance(s, dict))]
    keys = [str(s.get("step", "")) for s in steps]
    return {part for key in keys for part in key.replace(":", "/").split("/")}


def told(record: dict[str, Any]) -> str:
    """
    A record in one line for people.
    """
    sandbox = record.get("sandbox") or "-"
    event = str(record.get("event", "?"))
    head = f"{record.get('time', '?')}  {sandbox}  {event.replace('_', ' ')}"
    match event:
        case "plan_started":
            login = record.get("loginuid")
            who = f"uid {record.get('uid')}" + (f" (login {login})" if login is not None else "")
            what = " ".join(filter(None, (record.get("operation"), record.get("mode"))))
            text = f"{what}, {len(record.get('steps', ()))} steps, by {who}"
        case "plan_finished":
            left = record.get("left") or []
            text = f"{record.get('operation')}: {record.get('outcome')}{', left: ' if left else ''}{', '.join(left)}"
        case "step_done" | "step_failed":
            text = _command(record) + _outcome(record)
        case "exec_started":
            text = f"by uid {record.get('uid')}: {_command(record)}"
        case "trail_gap":
            text = str(record.get("gap"))
        case "trail_acknowledged":
            text = f"by uid {record.get('uid')}: {'; '.join(map(str, record.get('problems') or []))}"
        case "step_undone":
            commands = "; ".join(_command(c) for c in record.get("undo", ()))
            text = f"{record.get('step')}: {commands or 'with ' + str(record.get('goes_with'))}{_outcome(record)}"
        case _:
            text = ""
    line = f"{head}  {text}".rstrip()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def _command(record: dict[str, Any]) -> str:
    inside = f"[{record['netns']}] " if record.get("netns") else ""
    return inside + shlex.join(str(w) for w in record.get("argv", ()))


def _outcome(record: dict[str, Any]) -> str:
    if record.get("skipped"):
        return f"  ({record['skipped']})"
    if record.get("error"):
        return f"  FAILED: {record['error']}"
    if "signal" in record:
        return f"  killed by signal {record['signal']}: {record.get('stderr', '')}"
    if record.get("rc"):
        return f"  exit status {record['rc']}: {record.get('stderr', '')}"
    return f"  ({record.get('duration_ms', 0):.1f} ms)"
