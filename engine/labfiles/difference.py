"""A lab file against what is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from nsctl.engine.labfiles.file import Lab, Wanted
from nsctl.engine.model.errors import Conflict
from nsctl.engine.planning.comparison import Made, differences
from nsctl.engine.planning.sharing import Sharing

__all__ = ["STDIN", "Difference", "Present", "compare"]

STDIN = "-"
"""The source of what came from standard input, wherever that was."""
_ENDED = "its init has ended"


class Present(Made, Protocol):
    """What is known of a sandbox that is up; the store's row is one."""

    name: str
    shares: str | None
    init: str | None
    source: str
    owner: tuple[int, int] | None
    confirm_by: float | None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, with prefix lengths."""


class Difference(Struct):
    """
    What `apply` has to do.

    Args:
        new: Sandboxes to make.
        changed: Sandboxes to replace, which restarts them, with the reason.
        gone: Sandboxes that the file made earlier and no longer names.
        same: Sandboxes that are left as they are.
    """

    new: list[Wanted] = []
    changed: list[tuple[Wanted, str]] = []
    gone: list[str] = []
    same: list[str] = []

    @property
    def nothing(self) -> bool:
        """Whether the host is as the file says."""
        return not (self.new or self.changed or self.gone)

    def planned(self) -> list[Wanted]:
        """What has to be planned."""
        return [*self.new, *(w for w, _ in self.changed)]

    def make(self, lab: Lab) -> list[Wanted]:
        """The same, in an order in which it can be."""
        names = {w.request.name for w in self.planned()}
        return [w for w in lab.sandboxes if w.request.name in names]

    def take_down(self) -> list[str]:
        """What has to go first."""
        return [*self.gone, *(w.request.name for w, _ in self.changed)]


def compare(
    lab: Lab, present: Mapping[str, Present], source: str, ended: Callable[[Any], bool] = lambda _: False
) -> Difference:
    """
    What has to be done to bring the host to what the file says.

    Args:
        lab: The file.
        present: The sandboxes that are up.
        source: The file's canonical path: what it made earlier bears it.
        ended: Whether the init of a sandbox that is up (a row of `present`) has ended.

    Raises:
        Conflict: A sandbox of that name is up, was not made by this file, and is another one, or will not stay;
            or one that must go is shared by one that the file does not name.
    """
    out = Difference()
    named = {w.request.name: w for w in lab.sandboxes}
    for name, one in named.items():
        row = present.get(name)
        if row is None:
            out.new.append(one)
            continue
        _stays(row)
        differs = differences(row, one.mode.name, one.options, one.request)
        if not differs and not (row.init is not None and ended(row)):
            out.same.append(name)
        elif row.source == source:
            out.changed.append((one, differs or _ENDED))
        else:
            why = f"differs: {differs}" if differs else _ENDED
            raise Conflict(
                f"'{name}' is up already, was not made by this file, and {why}",
                hint=f"take it down first: nsctl down {name}",
            )
    # Several files may come through standard input: what one does not name may be another's.
    if source != STDIN:
        out.gone = [n for n, row in present.items() if row.source == source and n not in named]
    _make_room(out, named, present, source)
    _add_dependents(out, named, present)
    return out


def _stays(row: Present) -> None:
    if row.owner is not None:
        raise Conflict(
            f"'{row.name}' is up already, and belongs to a running nsctl run",
            hint="wait for it to end, or choose another name",
        )
    if row.confirm_by is not None:
        raise Conflict(f"'{row.name}' is up already, and waits for its confirmation", hint=f"nsctl confirm {row.name}")


def _make_room(out: Difference, named: Mapping[str, Wanted], present: Mapping[str, Present], source: str) -> None:
    # Who was given an address that another one asks for now gets a new one.
    asked = {w.address: w.request.name for w in out.planned() if w.address}
    if not asked:
        return
    for name in out.same[:]:
        row = present[name]
        own = () if row.shares else row.addresses
        by = next((asked[a] for each in own if (a := each.partition("/")[0]) in asked), "")
        if by and row.source == source and not named[name].address:
            out.same.remove(name)
            out.changed.append((named[name], f"{by} asks for its address"))


def _add_dependents(out: Difference, named: Mapping[str, Wanted], present: Mapping[str, Present]) -> None:
    # Who shares the network of a sandbox that goes, goes with it, and comes back if the file names it.
    going = [*out.gone, *(w.request.name for w, _ in out.changed)]
    for name, target in Sharing(present).dependents(going):
        if name not in named:
            raise Conflict(
                f"'{target}' is shared by '{name}', which this file does not name",
                hint=f"take it down first: nsctl down {name}",
            )
        out.same.remove(name)
        out.changed.append((named[name], f"{target}, whose network it shares"))
