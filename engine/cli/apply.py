"""`apply`: a saved plan, step for step; or a lab file, as one plan."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.app import saved
from nsctl.engine.app.owned import check_owned
from nsctl.engine.app.parsers import seconds
from nsctl.engine.app.requests import Execution
from nsctl.engine.cli import out
from nsctl.engine.cli.command import NoBatch, StepTimeout
from nsctl.engine.cli.complete import choices, plan_files
from nsctl.engine.cli.present import described
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.model.plan import Plan
from nsctl.hooks.manager import Plugins

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext

__all__ = ["apply", "parse_plan", "read_text"]

FORMS = ("text", "sh", "json")
_HOW = "save a plan with: nsctl up MODE --dry-run --format json"
_WHAT = "a plan that --dry-run --format json printed, or a lab file in TOML, is UTF-8"
_HEADER = re.compile(r"^[ \t]*(\[+[ \t]*(network|sandbox)\b|(network|sandbox)[ \t]*[.=])", re.MULTILINE)
"""What no JSON begins a line with, and every lab file does."""
_YAML = re.compile(r"(?:[ \t]*(?:#.*)?\n)*(?:---|[A-Za-z_][\w-]*:(?:[ \t]|$))", re.MULTILINE)
_NO_YAML = "a lab file is TOML, which Python itself reads, a saved plan JSON; its keys: nsctl schema lab"
LARGEST = 64 << 20
"""Characters; a plan of a thousand sandboxes is a tenth of this."""
LARGEST_LAB = 8 << 20
"""As many sandboxes as a lab may have, each in words of its own."""


def apply(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A plan saved by --dry-run --format json (- is stdin), or a lab file in TOML.",
            autocompletion=plan_files,
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.", show_default=False)
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="text|sh|json",
            help="How a dry run shows the commands.",
            autocompletion=choices("text", "sh", "json"),
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say as JSON what a lab file changes.", show_default=False)
    ] = False,
    step_timeout: StepTimeout = "30s",
    no_batch: NoBatch = False,
) -> int:
    """
    Carry out a saved plan, step for step, or bring the host to what a lab file says.

    A plan is refused if the host no longer fits it; a lab file takes away what it made earlier and no longer names.
    """
    context: AppContext = ctx.obj
    how = Execution(seconds(step_timeout, "--step-timeout"), batch=not no_batch)
    if form is not None and form not in FORMS:
        raise Invalid(f"--format: '{display(form)}' is not a choice", hint="it is one of: " + ", ".join(FORMS))
    if form is not None and not dry_run:
        raise Invalid("--format says how a dry run is shown", hint="add --dry-run")
    if form is not None and as_json:
        raise Invalid("--format and --json are two forms", hint="leave one of them out")
    text = read_text(file)
    if file.endswith(".toml") or _HEADER.search(text):
        from nsctl.engine.cli.labs import apply_lab, show_lab

        if len(text) > LARGEST_LAB:
            raise Invalid(f"{display(file)} is too large for a lab file", hint="count = N makes many alike")
        if dry_run:
            return show_lab(context, file, text, as_json=as_json, form=form or "text")
        return apply_lab(context, file, text, as_json=as_json, how=how)
    plan = parse_plan(file, text)
    if as_json:
        raise Invalid("--json says what a lab file changes, and this is a plan", hint="leave --json out")
    saved.validate(context, plan)
    if dry_run:
        from nsctl.engine.planning import render

        shown = render.FORMS[form or "text"](plan)
        out.data(shown.removesuffix("\n"), exact=form == "sh")
        return 0
    plugins = Plugins.load("")
    out.warnings_of(plugins)
    done = saved.apply(context, plan, plugins, how)
    out.done(described(done))
    for diagnostic in done.diagnostics:
        out.diagnostic(diagnostic)
    return 0


def read_text(file: str) -> str:
    """
    The text of a file, or of stdin.

    Raises:
        Invalid: There is no such file, or it holds no text.
        Refused: As root: others than root could have written it.
    """
    try:
        if file == "-":
            text = sys.stdin.read(LARGEST + 1)
        else:
            with open(file, encoding="utf-8", opener=_open_without_waiting) as opened:
                check_owned(file, opened.fileno())
                text = opened.read(LARGEST + 1)
    except OSError as e:
        raise Invalid(f"{display(file)} can't be read: {e.strerror}", hint=f"see: ls -l {display(file)}") from e
    except UnicodeDecodeError as e:
        raise Invalid(f"{display(file)} is not UTF-8 text", hint=_WHAT) from e
    if len(text) > LARGEST:
        raise Invalid(f"{display(file)} is too large for a plan")
    return text.removeprefix("\ufeff")  # which editors of other systems put in front of UTF-8


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; of a FIFO nobody knows whether there is anybody at its other end, ever."""
    fd = os.open(path, flags | os.O_NONBLOCK)
    # What a shell makes of <(COMMAND) is no file of a name, and the command is there.
    if stat.S_ISFIFO(os.fstat(fd).st_mode) and not os.path.realpath(path).startswith("/proc/"):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is a FIFO; read it with: nsctl apply - <FILE")
    os.set_blocking(fd, True)
    return fd


def parse_plan(file: str, text: str) -> Plan:
    """
    A plan from text.

    Raises:
        Invalid: It holds no plan.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as e:
        if file.endswith((".yml", ".yaml")) or _YAML.match(text):
            raise Invalid(f"{display(file)} is YAML, which nsctl does not read", hint=_NO_YAML) from e
        place = f", line {e.lineno}" if isinstance(e, json.JSONDecodeError) else ""
        raise Invalid(f"{display(file)}{place}: this is not JSON", hint=_HOW) from e
    return Plan.from_json(data)
