"""Requests to the operations, and their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nsctl.engine.model.diagnostics import Diagnostic
    from nsctl.engine.model.mode import Mode, Request
    from nsctl.engine.model.plan import Plan
    from nsctl.engine.store import SandboxRow

__all__ = ["DownRequest", "Execution", "Planned", "Up", "UpRequest"]


class Execution(NamedTuple):
    """
    How steps are carried out.

    Args:
        step_timeout: The deadline of one step; seconds.
        batch: Whether commands may be run in batches.
    """

    step_timeout: float = 30.0
    batch: bool = True


class UpRequest(NamedTuple):
    """
    A sandbox to make.

    Args:
        mode: Its mode.
        request: Its name, options, namespaces, command and settings, checked.
        named: Whether the name was chosen; else it is the mode's, and the first free of NAME, NAME-2, … is taken.
        confirm: Seconds in which `confirm` must come, or it is taken down; None for one that stays.
    """

    mode: Mode
    request: Request
    named: bool = True
    confirm: float | None = None


class Up(NamedTuple):
    """
    A sandbox that is up.

    Args:
        row: What the store knows of it.
        plan: The plan that was carried out; None for one that was up already.
        ended: Whether its workload has ended by itself by now.
        diagnostics: What it was promised and lacks: a way out, a name server.
    """

    row: SandboxRow
    plan: Plan | None = None
    ended: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def already(self) -> bool:
        """Whether it was up before."""
        return self.plan is None


class Planned(NamedTuple):
    """
    A plan that was not carried out.

    Args:
        plan: The plan.
        present: The keys of its steps that are in place already.
        diagnostics: What the sandbox would lack of what it is promised.
    """

    plan: Plan
    present: frozenset[str]
    diagnostics: tuple[Diagnostic, ...]


class DownRequest(NamedTuple):
    """
    Sandboxes to take down: those that are named, all that a lab file made, or all.

    Args:
        names: Their names.
        source: The lab file; see `labs.source_of`.
        every: All of them, with those that share a network.
        force: Those that share the network of one, too.
    """

    names: tuple[str, ...] = ()
    source: str | None = None
    every: bool = False
    force: bool = False

    def chosen(self, rows: Mapping[str, SandboxRow]) -> list[str]:
        """Those of the sandboxes that are meant."""
        if self.every:
            return list(rows)
        return [*self.names, *(n for n, row in rows.items() if self.source is not None and row.source == self.source)]
