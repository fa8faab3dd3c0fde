"""
A batch: what one process, or one round of writes, does of many steps.

Each kind knows which commands it takes, the text that its process reads, and whom a failure is blamed on.
All of it is pure; `perform` carries it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nsctl.engine.model.commands import AnyCommand, Command
from nsctl.engine.runner.result import Result

__all__ = ["Batch", "BatchItem", "Blame", "Single", "Spawned", "TextBatch", "Writes"]


class BatchItem(NamedTuple):
    """
    One command of one step.

    Args:
        key: The step's key.
        command: The command.
        after: The keys whose items must come before; None: all earlier ones, and all later ones wait.
    """

    key: str
    command: AnyCommand
    after: frozenset[str] | None


class Blame(NamedTuple):
    """
    Whom the failure of a batch's process is blamed on.

    Args:
        failed: The item that failed.
        guessed: The process named none: `failed` is the first that may have.
        done: The items that are known to be done.
        again: Those that have to be carried out one by one, since nothing is known of them.
    """

    failed: BatchItem
    guessed: bool
    done: list[BatchItem]
    again: list[BatchItem]


class Batch:
    """
    Items that are carried out together.

    Args:
        netns: The namespace it happens in.
        items: In order.
        after: The indices of the batches that must be over.
    """

    __slots__ = ("after", "items", "netns")

    def __init__(self, netns: str | None, items: Iterable[BatchItem] = (), after: Iterable[int] = ()) -> None:
        self.netns = netns
        self.items = list(items)
        self.after = set(after)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.netns!r}, {self.items!r}, {self.after!r})"

    def joins(self, item: BatchItem) -> bool:  # noqa: ARG002 - for kinds that keep no order
        """Whether an item that waits for some of these may be in the same batch, behind them."""
        return True


class Single(Batch):
    """One command, which says by itself where it happens."""

    __slots__ = ()


class Spawned(Single):
    """One detached process."""

    __slots__ = ()


class Writes(Batch):
    """Plain writes, which need no process."""

    __slots__ = ()


class TextBatch(Batch):
    """Commands that one process reads as lines of its standard input."""

    __slots__ = ()

    def process(self, *, force: bool, group: int | None) -> Command:
        """
        The command that carries out all of them.

        Args:
            force: Go on past failures, where the tool can.
            group: A number that no link's group has, for deleting many links at once.
        """
        raise NotImplementedError

    def blame(self, result: Result, *, force: bool, group: int | None) -> Blame:
        """
        Who failed, by what the process said.

        Args:
            result: Of a process that failed.
            force: As it was carried out.
            group: As it was carried out.
        """
        raise NotImplementedError
