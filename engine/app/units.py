"""Units of systemd's: the steps that install them or take them away, on this host, and carrying them out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nsctl.engine.app.owned import others_could_write
from nsctl.engine.model.errors import Conflict, Refused
from nsctl.engine.model.names import display
from nsctl.engine.planning.systemd import (
    MANAGED,
    RESIDENT,
    UNITS,
    as_written,
    install_steps,
    path_of,
    uninstall_steps,
    units,
)

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.model.plan import Step

__all__ = ["INSTANCE", "Uninstall", "install", "plan_install", "plan_uninstall", "uninstall"]

_BOOTED = "/run/systemd/system"
"""There where systemd is in charge (sd_booted(3))."""
INSTANCE = "nsctl-lab@"
"""The beginning of the units of labs."""


class Uninstall(NamedTuple):
    """
    What is to be taken away.

    Args:
        steps: The steps to undo, last applied first.
        installed: Whether anything of nsctl's is there.
        kept: The paths of units that are left, since they are not as nsctl wrote them.
    """

    steps: Sequence[Step]
    installed: bool
    kept: Sequence[str]


def plan_install(variables: Mapping[str, str], *, resident: bool = False) -> Sequence[Step]:
    """
    The steps that install the units; none where all of it is installed.

    Args:
        variables: The environment that the units give nsctl.
        resident: Whether the resident process is wanted, too; once it is there it is kept up to date.

    Raises:
        Refused: Systemd is not in charge, or others than root could change what it would run.
    """
    _need_systemd()
    _nobody_elses()
    there = _there()
    wanted = units(sys.executable, variables, resident=resident or RESIDENT in there)
    return install_steps(wanted, there, enabled=_which("enabled"), active=_which("active"))


def install(ctx: AppContext, steps: Sequence[Step]) -> None:
    """
    Carry out the steps of `plan_install`, all of them or none.

    Raises:
        NsctlError: As by `up`.
    """
    ctx.need_root()
    if steps:
        from nsctl.engine.executor import unheld

        with ctx.open_for_change("systemd install") as session:
            unheld.do(session.ctx, steps, "systemd install")


def plan_uninstall() -> Uninstall:
    """
    What `uninstall` would take away.

    Raises:
        Refused: Systemd is not in charge.
        Conflict: Labs are still in use.
    """
    _need_systemd()
    there = _there()
    if labs := _labs():
        raise Conflict(
            f"{', '.join(labs)} {'is' if len(labs) == 1 else 'are'} still in use",
            hint=f"end that first: systemctl disable --now {' '.join(labs)}",
        )
    own = {name: content for name, content in there.items() if as_written(content)}
    steps = uninstall_steps(own, enabled=_which("enabled"), active=_which("active"))
    return Uninstall(steps, bool(own), [path_of(name) for name in there.keys() - own])


def uninstall(ctx: AppContext, planned: Uninstall) -> None:
    """
    Undo the steps of `plan_uninstall`.

    Raises:
        NsctlError: As by `down`.
    """
    ctx.need_root()
    if planned.steps:
        from nsctl.engine.executor import unheld

        with ctx.open_for_change("systemd uninstall") as session:
            unheld.undo(session.ctx, planned.steps, "systemd uninstall")


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


def _which(state: str) -> list[str]:
    """The units of `MANAGED` whose state that is."""
    from nsctl.engine.runner import Runner

    there = [unit for unit in MANAGED if os.path.exists(path_of(unit))]
    return [unit for unit in there if Runner().read(("systemctl", f"is-{state}", "--quiet", unit), None)[0] == 0]


def _labs() -> list[str]:
    """The labs that are started at boot, or are up."""
    from nsctl.engine.runner import Runner

    links = Path("/etc/systemd/system").glob(f"*.wants/{INSTANCE}*.service")
    listed = Runner().read(("systemctl", "list-units", "--plain", "--no-legend", f"{INSTANCE}*"), None)[1]
    running = (line.split()[0] for line in listed.splitlines() if line.strip())
    return sorted({link.name for link in links} | {unit for unit in running if unit.startswith(INSTANCE)})
