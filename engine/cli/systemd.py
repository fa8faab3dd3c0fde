"""`systemd install` and `systemd uninstall`: units for a watcher, and for labs at boot."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nsctl.engine.cli import out
from nsctl.engine.cli.complete import choices
from nsctl.engine.cli.context import need_root
from nsctl.engine.cli.owned import others_could_write
from nsctl.engine.model.errors import Conflict, Invalid, Refused
from nsctl.engine.model.names import display
from nsctl.engine.planning.systemd import LABS, UNITS, WATCH, as_written, install_steps, path_of, uninstall_steps, units

if TYPE_CHECKING:
    from nsctl.engine.cli.context import AppContext
    from nsctl.engine.model.plan import Step

__all__ = ["systemd"]

_BOOTED = "/run/systemd/system"
"""There where systemd is in charge (sd_booted(3))."""
_VARIABLES = ("NSCTL_STATE_DIR", "NSCTL_AUDIT_LOG")
_INSTANCE = "nsctl-lab@"

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
) -> int:
    """Write nsctl-watch.service and nsctl-lab@.service, and have the watcher run, now and after each boot."""
    world: AppContext = ctx.obj
    if form not in {"text", "sh"}:
        raise Invalid(f"there is no form '{display(form)}'", hint="--format is one of: text, sh")
    _need_systemd()
    _nobody_elses()
    told = {name: os.path.normpath(os.environ[name]) for name in _VARIABLES if os.environ.get(name)}
    steps = install_steps(units(sys.executable, told), _there(), enabled=_is("enabled"), active=_is("active"))
    if dry_run:
        _show(steps, form)
        return 0
    need_root(world)
    if steps:
        from nsctl.engine.executor import unheld

        with world.open_for_change("systemd install") as session:
            unheld.do(session.ctx, steps, "systemd install")
    out.done(f"{WATCH} watches, now and after each boot" if steps else "all of it is installed already")
    out.note(f"hint: a lab at boot: put NAME.toml into {LABS}, then: systemctl enable --now {_INSTANCE}NAME")
    return 0


@systemd.command()
def uninstall(ctx: typer.Context, dry_run: DryRun = False) -> int:
    """Undo what install did, at any time, after a reboot too; a unit that was changed since is left, and named."""
    world: AppContext = ctx.obj
    _need_systemd()
    there = _there()
    if labs := _labs():
        raise Conflict(
            f"{', '.join(labs)} {'is' if len(labs) == 1 else 'are'} still in use",
            hint=f"end that first: systemctl disable --now {' '.join(labs)}",
        )
    own = {name: content for name, content in there.items() if as_written(content)}
    steps = uninstall_steps(own, enabled=_is("enabled"), active=_is("active"))
    for name in there.keys() - own:
        out.note(f"left alone, since it is not as nsctl wrote it: {path_of(name)}")
    if dry_run:
        from nsctl.engine.planning.render import shell_of

        for number, step in enumerate(reversed(steps), 1):
            out.data("\n     ".join([f"{number:3}. undo {step.key}: {step.why}", *map(shell_of, step.undo)]))
        return 0
    need_root(world)
    if steps:
        from nsctl.engine.executor import unheld

        with world.open_for_change("systemd uninstall") as session:
            unheld.undo(session.ctx, steps, "systemd uninstall")
    out.done("the units are gone" if own else "nothing is installed")
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


def _need_systemd() -> None:
    from nsctl.engine.runner import find_tool, missing_tool

    if not os.path.isdir(_BOOTED):
        raise Refused(
            "this host was not booted with systemd", hint="keep the watcher running by other means: nsctl watch"
        )
    if find_tool("systemctl") is None:
        raise missing_tool("systemctl")


def _nobody_elses() -> None:
    """
    Refuse an nsctl that others than root could change: it would be run by root at each boot.

    Raises:
        Refused: It is one.
    """
    found = others_could_write(_what_runs())
    if found is not None:
        place, what = found
        raise Refused(
            f"root would run it at each boot, and {display(place)} {what}",
            hint="install nsctl where only root can write, for example: python3 -m venv /opt/nsctl",
        )


def _what_runs() -> Iterator[str]:
    # The interpreter, its library, nsctl itself, and what it imports.
    import nsctl

    yield sys.executable
    yield os.__file__
    # Where .pth files lead, too, and the system's packages, where a venv was made to have them.
    for folder in filter(os.path.isdir, sys.path):
        yield folder
        yield from (entry.path for entry in os.scandir(folder))
    package = Path(nsctl.__file__).parent
    for part in (package, *(package / name for name in ("engine", "modes", "hooks"))):
        yield str(part)
        yield from map(str, part.rglob("*"))


def _there() -> dict[str, str]:
    found = {}
    for name in UNITS:
        try:
            with open(path_of(name), encoding="utf-8", errors="surrogateescape") as file:
                found[name] = file.read()
        except FileNotFoundError:
            continue
    return found


def _is(state: str) -> bool:
    from nsctl.engine.runner import Runner

    return Runner().read(("systemctl", f"is-{state}", "--quiet", WATCH), None)[0] == 0


def _labs() -> list[str]:
    """The labs that are started at boot, or are up."""
    from nsctl.engine.runner import Runner

    links = Path("/etc/systemd/system").glob(f"*.wants/{_INSTANCE}*.service")
    listed = Runner().read(("systemctl", "list-units", "--plain", "--no-legend", f"{_INSTANCE}*"), None)[1]
    running = (line.split()[0] for line in listed.splitlines() if line.strip())
    return sorted({link.name for link in links} | {unit for unit in running if unit.startswith(_INSTANCE)})
