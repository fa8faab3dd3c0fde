"""Sandboxes that are there already: as asked for, as made, ended, or known to no store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nsctl.engine.model.errors import Conflict, Drifted
from nsctl.engine.model.names import listed
from nsctl.engine.model.options import to_plain
from nsctl.engine.planning.comparison import differences
from nsctl.engine.planning.sharing import Sharing

if TYPE_CHECKING:
    from nsctl.engine.app.context import AppContext
    from nsctl.engine.executor import Session
    from nsctl.engine.model.mode import Mode, Request
    from nsctl.engine.store import SandboxRow

__all__ = ["check_as_made", "check_same", "ended_names", "has_ended", "hint_of_adopt", "up_already"]

_SHOWN = 3


def up_already(name: str) -> Conflict:
    """The error for a name that another sandbox has."""
    return Conflict(f"'{name}' is up already", hint=f"take it down first: nsctl down {name}")


def check_same(row: SandboxRow, mode: Mode, request: Request) -> None:
    """
    Refuse another request for a sandbox that is up.

    Raises:
        Conflict: It was made with another mode, other options or settings.
    """
    differs = differences(row, mode.name, to_plain(request.options), request)
    if differs:
        raise Conflict(
            f"'{row.name}' is up already, with other options: {differs}",
            hint=f"take it down first (nsctl down {row.name}), or use another --name",
        )


def check_as_made(session: Session, names: Sequence[str]) -> None:
    """
    Compare sandboxes that are left as they are with the kernel.

    Raises:
        Drifted: Something is not as it was made.
    """
    drifts = session.check(names) if names else []
    if not drifts:
        return
    found = listed([f"{drift.key}: {drift.found}" for drift in drifts], _SHOWN, "; ")
    what = f"'{names[0]}' is up already" if len(names) == 1 else f"{len(names)} sandboxes are up already"
    which = f" {names[0]}" if len(names) == 1 else ""
    raise Drifted(f"{what}, and not as made: {found}", hint=f"put it back: nsctl repair{which}")


def has_ended(session: Session, row: SandboxRow) -> bool:
    """Whether the workload of a sandbox that was just made has ended by itself."""
    return bool(row.command) and session.pid(row) is None


def ended_names(ctx: AppContext, session: Session, name: str) -> list[str]:
    """
    The sandbox, if it is there and its init, or its workload, has ended: then it can be made anew, which is noted.

    Raises:
        Conflict: Others share its network.
    """
    rows = session.sandboxes()
    row = rows.get(name)
    if row is None or row.init is None or session.pid(row) is not None:
        return []
    sharers = Sharing(rows).sharers(name)
    if sharers:
        raise Conflict(
            f"'{name}' has ended, and {', '.join(sharers)} shares its network",
            hint=f"take them down first: nsctl down {' '.join([name, *sharers])}",
        )
    ctx.note(f"'{name}' had ended; it is made anew")
    return [name]


@contextmanager
def hint_of_adopt(session: Session, name: str) -> Iterator[None]:
    """
    Say, of what is in the way, how it becomes nsctl's, where a sandbox of that name runs that no store knows.

    Args:
        session: The session, in which something is refused.
        name: The sandbox's name.

    Raises:
        Conflict: As it was raised, with that hint.
    """
    try:
        yield
    except Conflict as e:
        from nsctl.engine.host.process import pid_in, start_of

        pid = pid_in(str(session.state_dir / "sandboxes" / name / "init.pid"))
        if name in session.sandboxes() or pid is None or start_of(pid) is None:
            raise
        made = f"a script of nsctl's made '{name}': nsctl adopt SCRIPT"
        raise Conflict(e.message, hint=f"{e.hint}; if {made}" if e.hint else f"if {made}") from e
