"""
The other stores of this host: every state directory that nsctl was ever pointed to, listed in one place.

Bridges, chains and names of namespaces are the host's; a store knows only its own sandboxes. So whoever changes
something looks into the others, too, and the one lock is for all of them.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nsctl.engine.model.effects import LinkIs, NetnsIs
from nsctl.engine.model.errors import Refused
from nsctl.engine.model.plan import Step
from nsctl.engine.store.database import Damaged, Unwritable
from nsctl.engine.store.files import replace_file
from nsctl.engine.store.journal import Journal
from nsctl.engine.store.rows import StepRow

__all__ = ["HalfDone", "Held", "Others", "can_be_shared", "register"]

LISTED = "stores"
"""The list's file, a directory a line."""


class Held(NamedTuple):
    """
    A step that another store has.

    Args:
        row: The step, as that store has it.
        store: Its directory.
        by: The sandboxes that hold it.
    """

    row: StepRow
    store: Path
    by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.by) or 'nobody any more'} of the store {self.store}"


class HalfDone(NamedTuple):
    """
    What a killed nsctl left half done in another store.

    Args:
        store: Its directory.
        operation: What was being done, if that is known.
        names: The sandboxes that are half made, or half gone.
        things: The names of the links and namespaces that the store holds, and of its sandboxes.
    """

    store: Path
    operation: str
    names: tuple[str, ...]
    things: frozenset[str]

    @property
    def command(self) -> str:
        """The command that finishes it."""
        return f"NSCTL_STATE_DIR={shlex.quote(str(self.store))} nsctl recover"


def register(host: Path, state_dir: Path) -> None:
    """
    List a state directory, so that others find it; the lock is held.

    Raises:
        OSError: The list can't be written.
    """
    if state_dir == host or str(state_dir) in _listed(host):
        return
    there = [place for place in _listed(host) if os.path.lexists(f"{place}/state.db")]
    lines = "".join(f"{place}\n" for place in [*there, state_dir])
    replace_file(host / LISTED, lines.encode(errors="surrogateescape"))


def _listed(host: Path) -> list[str]:
    try:
        text = (host / LISTED).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.startswith("/")]


def can_be_shared(step: Step) -> bool:
    """Whether two stores may both hold a step: what it makes is the host's, and the same whoever makes it."""
    effect = step.effect
    if effect is None or not effect.is_shareable:
        return False
    return effect.host_link is None or step.removed_with is None  # a setting goes with its link, if that is a step's


class Others(Mapping[str, Held]):
    """
    What the other stores of this host hold, by key; read when it is first asked for.

    Args:
        host: Where the list is.
        state_dir: The directory of the store that asks.
    """

    def __init__(self, host: Path, state_dir: Path) -> None:
        self._host = host
        self._own = state_dir
        self._found: dict[str, Held] | None = None
        self._far: list[Held] = []
        self._half_done: list[HalfDone] = []
        self._unreadable: list[str] = []

    def places(self) -> list[Path]:
        """The other state directories."""
        every = dict.fromkeys([self._host, *map(Path, _listed(self._host))])
        return [place for place in every if place != self._own and os.path.lexists(place / "state.db")]

    def _all(self) -> dict[str, Held]:
        if self._found is None:
            self._found = {}
            for place in self.places():
                try:
                    self._read(place, self._found)
                except (Damaged, Unwritable) as e:
                    self._unreadable.append(e.message)
        return self._found

    def _read(self, place: Path, found: dict[str, Held]) -> None:
        journal = Journal(place, readonly=True, host=self._host, anywhere=True)
        try:
            rows = journal.steps()
            if journal.at_home and (half_done := _half_done(place, journal, rows)) is not None:
                self._half_done.append(half_done)
            for row in rows:
                held = Held(row, place, tuple(journal.holders(row.step.key)))
                if journal.at_home:
                    found.setdefault(row.step.key, held)
                else:
                    self._far.append(held)
        finally:
            journal.close()

    def everything(self) -> list[Held]:
        """
        What all the other stores hold, those of hosts with the same /run included: whatever is theirs is no stray.

        Raises:
            Refused: One of them can't be read.
        """
        near = self._all()
        if self._unreadable:
            raise Refused(
                f"another store can't be read, so what it holds can't be told from strays: {self._unreadable[0]}",
                hint=f"mend it, or take its directory out of {self._host / LISTED}",
            )
        return [*near.values(), *self._far]

    def half_done(self) -> list[HalfDone]:
        """
        What is half done in the others; a killed nsctl left it, if nobody is at work: the lock is for all of them.

        Stores that can't be read, and those that are at home elsewhere, are passed over.
        """
        self._all()
        return self._half_done

    def __getitem__(self, key: str) -> Held:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def shared(self, key: str) -> Held | None:
        """The step of this key that another store holds, if both may hold it."""
        held = self._all().get(key)
        return held if held is not None and can_be_shared(held.row.step) else None


def _half_done(place: Path, journal: Journal, rows: list[StepRow]) -> HalfDone | None:
    opened, sandboxes = journal.transaction(), journal.sandboxes()
    names = tuple(name for name, row in sandboxes.items() if row.state != "up")
    if opened is None and not names:
        return None
    effects = [row.step.effect for row in rows]
    things = {effect.name for effect in effects if isinstance(effect, LinkIs | NetnsIs)}
    return HalfDone(place, opened.operation if opened is not None else "", names, frozenset(things | {*sandboxes}))
