"""`up` and `run`, once the command line is read. It does without typer: see `nsctl.engine.cli.plain`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nsctl.engine import app
from nsctl.engine.app.parsers import namespaces, seconds
from nsctl.engine.app.requests import Execution, UpRequest
from nsctl.engine.cli import out
from nsctl.engine.cli.common_options import Common, UpCommon, split
from nsctl.engine.cli.present import described
from nsctl.engine.cli.settings import of_command_line
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.names import check_name, display

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.hooks.manager import Plugins

__all__ = ["run", "up"]


def up(context: AppContext, plugins: Plugins, mode: Mode, command: tuple[str, ...], given: dict[str, Any]) -> int:
    """
    Make a sandbox.

    Args:
        context: The context.
        plugins: The plugins that were loaded.
        mode: The mode.
        command: What follows `--`.
        given: The options as they were typed, by the names of their fields.
    """
    request, common = _request(mode, given, command, UpCommon)
    how = Execution(seconds(common.step_timeout, "--step-timeout"), batch=not common.no_batch)
    if common.confirm is not None:
        request = request._replace(confirm=seconds(common.confirm, "--confirm"))
    out.warnings_of(plugins)
    if common.dry_run:
        return _show(context, plugins, request, common.format)
    done = app.up(context, request, plugins, how)
    out.done(described(done))
    for diagnostic in done.diagnostics:
        out.diagnostic(diagnostic)
    if request.confirm is not None:
        out.note(f"hint: it goes down again in {request.confirm:g} s unless: nsctl confirm {done.row.name}")
    return 0


def run(context: AppContext, plugins: Plugins, mode: Mode, command: tuple[str, ...], given: dict[str, Any]) -> int:
    """Make a sandbox for one command, run that, and take the sandbox down; arguments as of `up`."""
    if not command:
        raise Invalid("which command?", hint=f"nsctl run {mode.name} -- CMD...")
    # The command is no workload: it runs in the foreground, in a sandbox that has nothing but its init.
    request, common = _request(mode, given, (), Common)
    how = Execution(seconds(common.step_timeout, "--step-timeout"), batch=not common.no_batch)
    out.warnings_of(plugins)
    if common.dry_run:
        return _show(context, plugins, request, common.format)
    from nsctl.engine.app.running import running
    from nsctl.engine.cli.foreground import caller, foreground, passed_signals

    with running(context, request, plugins, command, caller(), how, signals=passed_signals) as started:
        if started.entry is None:
            return 128 + (started.caught or 0)
        return foreground(started.entry, stay=True, mask=started.mask)


def _request(
    mode: Mode, given: dict[str, Any], command: tuple[str, ...], common_type: type[Common]
) -> tuple[UpRequest, Any]:
    # From the options as they were typed: the request, and the options that all modes have.
    options, common = split(given, mode.options, common_type)
    if common.format is not None and not common.dry_run:
        raise Invalid("--format says how a dry run is shown", hint="add --dry-run")
    for word in command:
        if "\0" in word:
            raise Invalid("the command holds a NUL character")
        if not word.isascii() and any("\ud800" <= c <= "\udfff" for c in word):
            raise Invalid(
                f"the command holds bytes that are no UTF-8 text: '{display(word)}'",
                hint="a plan is text; nsctl exec passes any bytes on",
            )
    settings = of_command_line(common, os.environ)
    isolate = mode.isolate if common.isolate is None else namespaces(common.isolate)
    name = check_name(mode.name if common.name is None else common.name)
    request = Request(name, options, isolate, command, settings)
    return UpRequest(mode, request, named=common.name is not None), common


def _show(context: AppContext, plugins: Plugins, request: UpRequest, form: str | None) -> int:
    from nsctl.engine.planning import render

    planned = app.plan_up(context, request, plugins)
    shown = render.FORMS[form or "text"]
    out.data(shown(planned.plan, planned.present).removesuffix("\n"), exact=form == "sh")
    for diagnostic in planned.diagnostics:
        out.diagnostic(diagnostic)
    return 0
