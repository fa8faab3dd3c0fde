"""Raw commands, for what kit has no word for."""

from __future__ import annotations

from collections.abc import Sequence

from nsctl.engine.model.commands import Command, UndoCommand
from nsctl.engine.model.commands.typed import ending
from nsctl.engine.model.effects import CommandSucceeds, Effect
from nsctl.engine.model.plan import Step

__all__ = ["command", "succeeds"]


def command(
    key: str,
    why: str,
    argv: Sequence[str],
    *,
    undo: Sequence[Sequence[str] | UndoCommand] = (),
    effect: Effect | None = None,
    stdin: str | None = None,
    netns: str | None = None,
    removed_with: str | None = None,
    no_undo: str = "",
    after: Sequence[str] | None = None,
) -> Step:
    """
    A command of the author's own.

    Args:
        key: Names the thing that it makes; sandboxes whose plans have the same key share it.
        why: One line for the reader of a dry run.
        argv: The words: no shell reads them.
        undo: The commands that take the result away, in order; they run where `argv` does.
        effect: How to tell whether the result is in place, for example `succeeds(…)`.
        stdin: What it reads.
        netns: The namespace it runs in.
        removed_with: The key of the step whose undo takes this one's result away too.
        no_undo: Why there is nothing to undo, where there is neither `undo` nor `removed_with`.
        after: The keys that must be done before; None: all earlier ones, and all later ones wait.
    """
    return Step(
        key=key,
        why=why,
        do=ending(Command(tuple(argv), stdin=stdin, netns=netns)),
        undo=tuple(ending(Command(tuple(c), netns=netns) if isinstance(c, Sequence) else c) for c in undo),
        effect=effect,
        removed_with=removed_with,
        no_undo=no_undo,
        after=None if after is None else tuple(after),
    )


def succeeds(*argv: str, output: str | None = None, netns: str | None = None) -> CommandSucceeds:
    """
    An effect: a command that only looks exits 0 where the result is in place.

    Args:
        argv: The words.
        output: What it prints then, if that matters.
        netns: The namespace it runs in.
    """
    return CommandSucceeds(tuple(argv), output, netns)
