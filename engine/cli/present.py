"""What is there already: "is up (already)" and "nothing to do" are said after a look at the kernel, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nsctl.engine.model.errors import Conflict, Drifted
from nsctl.engine.model.names import listed

if TYPE_CHECKING:
    from nsctl.engine.executor import Session

__all__ = ["all_as_made", "none_to_confirm", "of_no_store"]

_SHOWN = 3


def all_as_made(session: Session, names: Sequence[str]) -> None:
    """
    Compare sandboxes that are left as they are with the kernel.

    Raises:
        Drifted: Something is not as it was made.
    """
    drifts = session.check(names) if names else []
    if not drifts:
        return
    told = listed([f"{drift.key}: {drift.found}" for drift in drifts], _SHOWN, "; ")
    what = f"'{names[0]}' is up already" if len(names) == 1 else f"{len(names)} sandboxes are up already"
    which = f" {names[0]}" if len(names) == 1 else ""
    raise Drifted(f"{what}, and not as made: {told}", hint=f"put it back: nsctl repair{which}")


def none_to_confirm(name: str, confirm: float | None) -> None:
    """
    A sandbox that is up already can't be given a time to be confirmed in.

    Raises:
        Conflict: That was asked for.
    """
    if confirm is not None:
        raise Conflict(
            f"'{name}' is up already, and stays: --confirm is for what is made now",
            hint=f"leave it out, or take the sandbox down first: nsctl down {name}",
        )


@contextmanager
def of_no_store(session: Session, name: str) -> Iterator[None]:
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
