"""What the store says of the sandboxes: all that `ls`, `exec` and their like need, and load."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nsctl.engine.host.process import start_of
from nsctl.engine.model.places import HIDDEN
from nsctl.engine.store.files import HOST_DIR
from nsctl.engine.store.sandboxes import Sandboxes, SandboxRow

if TYPE_CHECKING:
    from nsctl.engine.model.facts import Facts
    from nsctl.engine.store import Journal, Others, StepRow

__all__ = ["Reading", "pid_of"]


class Reading:
    """
    The sandboxes of a state directory.

    Args:
        state_dir: nsctl's directory under /run.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.hidden: tuple[str, ...] = HIDDEN
        """Directories that no sandbox may reach, beside the state directory."""
        self._sandboxes: Sandboxes | None = None
        self._store: tuple[Journal, Others] | None = None

    @property
    def store(self) -> tuple[Journal, Others]:
        """The store, and the host's other stores; there are some only while it is open."""
        if self._store is None:
            if self._sandboxes is None:
                raise RuntimeError("outside of a session")
            from nsctl.engine.store import Journal, Others

            self._store = Journal(self.state_dir, readonly=True, host=HOST_DIR), Others(HOST_DIR, self.state_dir)
        return self._store

    @property
    def _rows(self) -> Sandboxes:
        # What is loaded already, and of the rest as little as will do.
        return self._sandboxes if self._store is None and self._sandboxes is not None else self.store[0]

    @classmethod
    @contextmanager
    def opened(cls, state_dir: Path) -> Iterator[Reading | None]:
        """
        Without a lock; None where there is no store that can be read.

        Raises:
            Refused: The store is damaged, or of another version.
        """
        if not os.access(state_dir / "state.db", os.R_OK):
            yield None
            return
        found = cls(state_dir)
        found._sandboxes = Sandboxes(state_dir, host=HOST_DIR)
        try:
            yield found
        finally:
            found._sandboxes.close()
            if found._store is not None:
                found._store[0].close()

    def sandboxes(self) -> dict[str, SandboxRow]:
        """All sandboxes, by name."""
        return self._rows.sandboxes()

    @property
    def unfinished(self) -> bool:
        """Whether another nsctl is at work, or was killed at it."""
        return self.store[0].transaction() is not None or any(r.state != "up" for r in self.sandboxes().values())

    def steps(self, name: str) -> list[StepRow]:
        """The steps that a sandbox holds, in order of application."""
        return self.store[0].steps(name)

    def pid(self, row: SandboxRow) -> int | None:
        """The PID of a sandbox's init on the host, if it lives: its start time is compared."""
        return pid_of(self._rows, row)

    def facts(self, without: Sequence[str] = ()) -> Facts:
        """
        What modes may know of the host.

        Args:
            without: Sandboxes that are taken down first: as if they, and what only they hold, were gone.
        """
        from nsctl.engine.executor.facts import facts_of

        journal, others = self.store
        return facts_of(self.state_dir, journal, without, others, self.hidden)


def pid_of(store: Sandboxes, row: SandboxRow) -> int | None:
    """The PID of a sandbox's init on the host, if it lives; its start time tells it from a stranger's."""
    identity = None if row.init is None else store.identity(row.init)
    if identity is None:
        return None
    pid, init = identity.get("pid"), identity.get("init")
    if pid is None or init is None or start_of(pid) != identity.get("start"):
        return None
    return init if start_of(init) == identity.get("init_start") else None
