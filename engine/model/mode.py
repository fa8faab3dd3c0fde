"""What a mode is: a pure function from options and facts to steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, field
from typing import Any

from msgspec import Struct

from nsctl.engine.model.facts import Facts
from nsctl.engine.model.plan import NAMESPACES, Step

__all__ = ["Mode", "Request", "Steps", "opt"]

Steps = Iterable["Step | Iterable[Step] | None"]
"""What a mode yields: steps, tuples of steps, and None where there is nothing to do."""


class Request(Struct, frozen=True):
    """
    What the user asked a mode for.

    Args:
        name: The sandbox's name, already checked.
        options: An instance of the mode's options dataclass.
        isolate: The kinds of namespaces the sandbox gets.
        command: The workload, or nothing.
        settings: What else was asked for (`caps`, `env`, …), as plain data.
    """

    name: str
    options: Any
    isolate: tuple[str, ...] = NAMESPACES
    command: tuple[str, ...] = ()
    settings: dict[str, Any] = {}


class Mode(Struct, frozen=True):
    """
    A mode.

    Args:
        name: What stands behind `nsctl up`.
        summary: One line for the help.
        options: A frozen dataclass; each field becomes an option, with its type, default and help (see `opt`).
        steps: The function that plans; a generator of steps, most often.
        isolate: The kinds of namespaces a sandbox of this mode gets unless `--isolate` says otherwise.
        example: A command line that shows the mode, for `nsctl modes MODE`.
    """

    name: str
    summary: str
    options: type
    steps: Callable[[Request, Facts], Steps]
    isolate: tuple[str, ...] = NAMESPACES
    example: str = ""


def opt(
    default: Any = MISSING,
    help: str = "",  # noqa: A002 - reads as in typer
    *,
    metavar: str = "",
) -> Any:
    """
    A field of an options dataclass: its default and its line in the help.

    Args:
        default: The default; leave it out for an option that must be given.
        help: One line.
        metavar: What stands for the value in the help; derived from the type where empty.
    """
    metadata = {"help": help, "metavar": metavar}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)
