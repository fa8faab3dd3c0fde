"""`systemd install` and `systemd uninstall`: units for a watcher, and for labs at boot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.app import units
from nsctl.engine.cli import out
from nsctl.engine.cli.complete import choices
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.planning.systemd import LABS, WATCH

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.model.plan import Step

__all__ = ["systemd"]

_VARIABLES = ("NSCTL_STATE_DIR", "NSCTL_AUDIT_LOG")

systemd = typer.Typer(
    help="Install, or take away, units of systemd's: a watcher, and labs at boot.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.", show_default=False)]


@systemd.command()
def install(
    ctx: typer.Context,
    dry_run: DryRun = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="text|sh",
            help="How a dry run shows the commands.",
            autocompletion=choices("text", "sh"),
        ),
    ] = "text",
    resident: Annotated[
        bool, typer.Option("--resident", help="The resident process, too.", show_default=False)
    ] = False,
) -> int:
    """
    Write nsctl-watch.service and nsctl-lab@.service, and have the watcher run, now and after each boot.

    With --resident, nsctl-resident.socket and its service likewise: see nsctl resident.
    """
    context: AppContext = ctx.obj
    if form not in {"text", "sh"}:
        raise Invalid(f"there is no form '{display(form)}'", hint="--format is one of: text, sh")
    variables = {name: os.path.normpath(os.environ[name]) for name in _VARIABLES if os.environ.get(name)}
    steps = units.plan_install(variables, resident=resident)
    if dry_run:
        _show(steps, form)
        return 0
    units.install(context, steps)
    out.done(f"{WATCH} watches, now and after each boot" if steps else "all of it is installed already")
    out.note(f"hint: a lab at boot: put NAME.toml into {LABS}, then: systemctl enable --now {units.INSTANCE}NAME")
    return 0


@systemd.command()
def uninstall(ctx: typer.Context, dry_run: DryRun = False) -> int:
    """Undo what install did, at any time, after a reboot too; a unit that was changed since is left, and named."""
    context: AppContext = ctx.obj
    planned = units.plan_uninstall()
    for path in planned.kept:
        out.note(f"left alone, since it is not as nsctl wrote it: {path}")
    if dry_run:
        from nsctl.engine.planning.render import shell_of

        for number, step in enumerate(reversed(planned.steps), 1):
            out.data("\n     ".join([f"{number:3}. undo {step.key}: {step.why}", *map(shell_of, step.undo)]))
        return 0
    units.uninstall(context, planned)
    out.done("the units are gone" if planned.installed else "nothing is installed")
    return 0


def _show(steps: Sequence[Step], form: str) -> None:
    from nsctl.engine.model.plan import Plan
    from nsctl.engine.planning import render
    from nsctl.engine.planning.carried import Carried

    plan = Plan("systemd", "systemd", {}, tuple(steps))
    if not steps:
        out.done("all of it is installed already")
    elif form == "sh":
        out.data(render.sh(plan, carried=Carried(())), exact=True)
    else:
        out.data(render.text(plan))
