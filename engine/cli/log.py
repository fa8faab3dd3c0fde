"""`log`: the audit trail, readable."""

from __future__ import annotations

import json
import re
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsctl.engine.app.parsers import lines
from nsctl.engine.cli import out
from nsctl.engine.cli.complete import sandbox_names
from nsctl.engine.cli.trail_told import told
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import check_name

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

__all__ = ["log"]

BROKEN = 4
"""The exit status of --verify when the trail is not whole: drift, like `check`."""
_NAMED = re.compile(r'"sandbox": ?"([a-z][a-z0-9_-]*)"')


def log(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Only this sandbox.", autocompletion=sandbox_names, show_default=False),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--lines", "-n", metavar="N", help="Only the last N records.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Only from then on: 10m (ago), 15:04, today, 2026-01-31T15:04.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Only up to then.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.", show_default=False)] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every word of every command, scripts too.", show_default=False)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The records as they are.", show_default=False)] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no record was changed or is missing.", show_default=False)
    ] = False,
    acknowledge: Annotated[
        bool,
        typer.Option("--acknowledge", help="Note that what --verify finds missing is known.", show_default=False),
    ] = False,
) -> int:
    """
    Show the audit trail: who did what, with which commands and results.

    What was rotated is read, too.
    """
    context: AppContext = ctx.obj
    if verify or acknowledge:
        flag = "--verify" if verify else "--acknowledge"
        others = (name, last, since, until, follow, verbose, as_json, verify and acknowledge)
        if any(other not in {None, False} for other in others):
            raise Invalid(f"{flag} stands alone: the chain is of all records", hint=f"nsctl log {flag}")
        return _verify(context) if verify else _acknowledge(context)
    wanted = _Wanted(name, since, until)
    if follow and until is not None:
        raise Invalid("--follow goes on, --until ends", hint="leave one of them out")
    if as_json and verbose:
        raise Invalid("--json is all there is of a record, with or without -v", hint="leave one of them out")
    most = None if last is None else lines(last, "-n")
    full = verbose or out.verbose > 0
    kept: deque[str] | None = None if most is None else deque(maxlen=most)
    from nsctl.engine.cli.trail_lines import trail_lines

    def show(line: str) -> None:
        if (record := wanted.record(line)) is not None:
            out.data(line.rstrip("\n") if as_json else told(record, full=full))

    for line in trail_lines(str(context.audit_log), follow=follow):
        if line is None:  # all that there was
            for one in kept or ():
                show(one)
            kept = None
            if name is not None and not wanted.known and not follow:
                _unknown(context, name, wanted.names)
        elif kept is None:
            show(line)
        elif wanted.everything or wanted.record(line) is not None:
            kept.append(line)
    return 0


class _Wanted:
    """
    Which records are asked for.

    Args:
        name: Of this sandbox, or of all.
        since: From then on, as it was typed.
        until: Up to then.

    Raises:
        Invalid: Something of it is wrong.
    """

    def __init__(self, name: str | None, since: str | None, until: str | None) -> None:
        self._name = None if name is None else check_name(name)
        self._since, self._until = _times(since, until)
        self._whole: set[Any] = set()
        """Transactions of several sandboxes, of which this is one."""
        self.known = False
        """A record of this name was there, whenever."""
        self.names: set[str] = set()
        """The names that records are of, if one was asked for."""
        self.everything = (name, since, until) == (None, None, None)

    def record(self, line: str) -> dict[str, Any] | None:
        """The record of a line, if it is wanted."""
        if self._name is not None:
            self.names.update(_NAMED.findall(line))
            if self._name not in line and "plan_finished" not in line:  # not worth reading
                return None
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            out.warning("a line of the trail is damaged; see: nsctl log --verify")
            return None
        if self._name is not None and not self._is_of(record, self._name):
            return None
        self.known = True
        return record if self._in_time(record) else None

    def _is_of(self, record: dict[str, Any], name: str) -> bool:
        of_it = record.get("sandbox") == name or name in _sandboxes(record)
        if of_it and record.get("event") == "plan_started":
            self._whole.add(record.get("transaction"))
        ends = record.get("event") == "plan_finished" and record.get("transaction") in self._whole
        return of_it or ends

    def _in_time(self, record: dict[str, Any]) -> bool:
        if self._since is None and self._until is None:
            return True
        try:
            at = datetime.fromisoformat(str(record.get("time"))).astimezone()
        except (ValueError, OverflowError):  # nobody knows
            return True
        return (self._since is None or self._since <= at) and (self._until is None or at <= self._until)


def _times(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    if since is None and until is None:
        return None, None
    from nsctl.engine.cli.moments import moment

    now = datetime.now(UTC)
    begin = None if since is None else moment(since, "--since", now)
    end = None if until is None else moment(until, "--until", now)
    if begin is not None and end is not None and end < begin:
        raise Invalid("--until is before --since", hint="nsctl log --since 2h --until 1h")
    return begin, end


def _unknown(context: AppContext, name: str, names: set[str]) -> None:
    """
    Refuse a name that nobody has, and no record is of.

    Raises:
        Invalid: It is such a name.
    """
    from nsctl.engine.app import sandboxes
    from nsctl.engine.model.options import nearest

    if name in sandboxes.names(context):
        return
    meant = nearest(name, names)
    raise Invalid(
        f"nothing is recorded of a sandbox '{name}'", hint=f"did you mean '{meant}'?" if meant else "see: nsctl log"
    )


def _verify(context: AppContext) -> int:
    from nsctl.hooks.audit import verify

    verdict = verify(str(context.audit_log), context.head_copy)
    for line in verdict.notes:
        out.note(f"note: {line}")
    for line in verdict.problems:
        out.data(line)
    if verdict.problems:
        out.note("hint: if you know why, say so, and it is a note from then on: nsctl log --acknowledge")
        return BROKEN
    out.done(f"the trail is whole: {verdict.records} records")
    return 0


def _acknowledge(context: AppContext) -> int:
    from nsctl.hooks.audit import verify

    context.need_root()
    problems = verify(str(context.audit_log), context.head_copy).problems
    if not problems:
        out.done("there is nothing to acknowledge: the trail is whole")
        return 0
    context.record("trail_acknowledged", "", problems=problems)
    for line in problems:
        out.done(f"acknowledged: {line}")
    return 0


def _sandboxes(record: dict[str, Any]) -> set[str]:
    """The sandboxes that a record of several is about, by the keys of its steps."""
    steps = [record, *(s for s in record.get("steps", ()) if isinstance(s, dict))]
    keys = [str(s.get("step", "")) for s in steps]
    return {part for key in keys for part in key.replace(":", "/").split("/")}
