"""A record of the audit trail in one line for people."""

from __future__ import annotations

import shlex
from typing import Any

__all__ = ["told"]

_WORD_MOST = 100
"""Characters of a word that is shown without being asked for."""


def told(record: dict[str, Any], *, full: bool) -> str:
    """
    A record in one line for people.

    Args:
        record: The record.
        full: Every word of its commands; else of scripts and other long words only how long they are.
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
            text = _command(record, full) + _outcome(record)
        case "exec_started":
            text = f"by uid {record.get('uid')}: {_command(record, full)}"
        case "trail_gap":
            text = str(record.get("gap"))
        case "trail_acknowledged":
            text = f"by uid {record.get('uid')}: {'; '.join(map(str, record.get('problems') or []))}"
        case "step_undone":
            # What went with something else was not run: its commands are shown where all is asked for.
            run = full or not record.get("skipped")
            commands = "; ".join(_command(c, full) for c in record.get("undo", ())) if run else ""
            text = f"{record.get('step')}{': ' if commands else ''}{commands}{_outcome(record)}"
        case _:
            text = ""
    line = f"{head}  {text}".rstrip()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def _command(record: dict[str, Any], full: bool) -> str:
    inside = f"[{record['netns']}] " if record.get("netns") else ""
    words = [str(word) for word in record.get("argv", ())]
    return inside + (shlex.join(words) if full else " ".join(map(_short, words)))


def _short(word: str) -> str:
    if "\n" in word.strip("\n"):
        return f"<{len(word.splitlines())} lines>"
    return f"<{len(word)} characters>" if len(word) > _WORD_MOST else shlex.quote(word)


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
