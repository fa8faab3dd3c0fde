"""
A lab file against what is up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol

from nsctl.engine.errors import Conflict
from nsctl.engine.lab.file import Lab, Wanted

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.values import dataclass

__all__ = ["Difference", "Present", "compare"]


class Present(Protocol):
    """
    What is known of a sandbox that is up; the store's row is one.
    """

    name: str
    mode: str
    options: dict[str, Any]
    isolate: tuple[str, ...]
    command: tuple[str, ...]
    settings: dict[str, Any]
    info: dict[str, Any]
    source: str


@dataclass(slots=True)
class Difference:
    """
    What `apply` has to do.

    Args:
        new: Sandboxes to make.
        changed: Sandboxes to replace, which restarts them, with the reason.
        gone: Sandboxes that the file made earlier and no longer names.
        same: Sandboxes that are left as they are.
    """

    new: list[Wanted] = field(default_factory=list)
    changed: list[tuple[Wanted, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """
        Whether the host is as the file says.
        """
        return not (self.new or self.changed or self.gone)

    def make(self, lab: Lab) -> list[Wanted]:
        """
        What has to be planned, in an order in which it can be.
        """
        names = {w.request.name for w in self.new} | {w.request.name for w, _ in self.changed}
        return [w for w in lab.sandboxes if w.request.name in names]

    def take_down(self) -> list[str]:
        """
        What has to go first.
        """
        return [*self.gone, *(w.request.name for w, _ in self.changed)]


def compare(lab: Lab, present: Mapping[str, Present], source: str) -> Difference:
    """
    What has to be done to bring the host to what the file says.

    Args:
        lab: The file.
        present: The sandboxes that are up.
        source: The file's canonical path: what it made earlier bears it.

    Raises:
        Conflict: A sandbox of that name is up, was not made by this file, and is another one;
            or one that must go is shared by one that the file does not name.
    """
    out = Difference()
    named = {w.request.name: w for w in lab.sandboxes}
    for name, one in named.items():
        row = present.get(name)
        if row is None:
            out.new.append(one)
            continue
        why = _reason(row, one)
        if not why:
            out.same.append(name)
        elif row.source == source:
            out.changed.append((one, why))
        else:
            raise Conflict(
                f"'{name}' is up already, was not made by this file, and differs in {why}",
                hint=f"take it down first: nsctl down {name}",
            )
    out.gone = [n for n, row in present.items() if row.source == source and n not in named]
    _drag_along(out, named, present)
    return out


def _drag_along(out: Difference, named: Mapping[str, Wanted], present: Mapping[str, Present]) -> None:
    # Who shares the network of a sandbox that goes, goes with it, and comes back if the file names it.
    going = {*out.gone, *(w.request.name for w, _ in out.changed)}
    grown = True
    while grown:
        grown = False
        for name, row in present.items():
            target = row.info.get("shares")
            if name in going or target not in going:
                continue
            if name not in named:
                raise Conflict(
                    f"'{target}' is shared by '{name}', which this file does not name",
                    hint=f"take it down first: nsctl down {name}",
                )
            going.add(name)
            out.same.remove(name)
            out.changed.append((named[name], f"{target}, whose network it shares"))
            grown = True


def _reason(row: Present, one: Wanted) -> str:
    request = one.request
    if row.mode != one.mode.name:
        return f"mode ({row.mode} → {one.mode.name})"
    options = {k: (row.options.get(k), one.options.get(k)) for k in dict.fromkeys([*row.options, *one.options])}
    parts = [f"{k} ({_shown(old)} → {_shown(new)})" for k, (old, new) in options.items() if old != new]
    for what, old, new in (
        ("isolate", tuple(row.isolate), request.isolate),
        ("command", tuple(row.command), request.command),
        ("settings", row.settings, request.settings),
    ):
        if old != new:
            parts.append(what)
    return ", ".join(parts)


def _shown(value: Any) -> str:
    return "unset" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
