"""
From single steps to the batches that the kernel is fastest with.

People review single commands; `ip -batch`, `iptables-restore --noflush` and `nft -f -` carry out hundreds of them in
one process.
This module is pure: it sorts items into batches and says which batch waits for which.
Plans, dry runs, journal, effects, audit and undo stay per step.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from nsctl.engine.model.commands import (
    AddLink,
    Announce,
    AnyCommand,
    Chain,
    DeleteLink,
    Ip,
    MakeDir,
    Nft,
    RemoveDir,
    RemoveFiles,
    RestoreRules,
    Rule,
    Spawn,
    Sysctl,
    WriteFile,
)
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.model.plan import Step
from nsctl.engine.runner.batch import Batch, BatchItem, Single, Spawned, Writes
from nsctl.engine.runner.ip_batch import IpBatch, fits
from nsctl.engine.runner.iptables_restore import restorer
from nsctl.engine.runner.nft_file import NftFile

__all__ = ["BATCH_MOST", "batches_of", "do_items", "kind_of", "undo_items"]

BATCH_MOST = 1024
"""Commands of one process on the host: what is done in namespaces begins while the next process is at work."""


def do_items(steps: Sequence[Step]) -> list[BatchItem]:
    """What has to be done for these steps, in order."""
    return [
        BatchItem(s.key, typed(s.do), None if s.after is None else frozenset(s.after))
        for s in steps
        if s.do is not None
    ]


def undo_items(steps: Sequence[Step], going: Container[str] | None = None) -> list[BatchItem]:
    """
    What has to be undone for these steps, which are given last applied first.

    A step whose result goes with another one's that is undone too needs no command of its own.

    Args:
        steps: The steps; also those that need nothing, for others may be linked by them only.
        going: The keys of those whose results have to be taken away; None for all.
    """
    gone = {s.key for s in steps} if going is None else going
    waits: dict[str, set[str]] = {s.key: set() for s in steps}
    barrier = False
    items: list[BatchItem] = []
    for s in steps:
        commands = () if s.key not in gone or (s.removed_with is not None and s.removed_with in gone) else s.undo
        # What was done after something is undone before it, also where only steps without a command link the two.
        before = {s.key} if commands else waits[s.key]
        for needed in s.after or ():
            if needed in waits:
                waits[needed] |= before
        barrier = barrier or (s.after is None and s.do is not None)  # a claim takes no time
        if commands:
            after = None if barrier else frozenset(waits[s.key])
            items.extend(BatchItem(s.key, typed(c), after) for c in commands)
            barrier = False
    return items


def batches_of(items: Sequence[BatchItem], *, fuse: bool = True, most: int | None = None) -> list[Batch]:
    """
    The batches, each as early as its dependencies allow.

    Args:
        items: The commands, in order.
        fuse: Without it, every command is a batch of its own, in order.
        most: How many a batch may hold; the next one of its kind then waits for it.
    """
    if not fuse:
        return [Single(i.command.netns, [i], {n - 1} if n else ()) for n, i in enumerate(items)]
    batches: list[Batch] = []
    open_batches: dict[tuple[type[Batch], str | None], list[int]] = {}
    last_batch: dict[str, int] = {}
    floor = 0
    for item in items:
        kind = kind_of(item.command)
        slot = (kind, item.command.netns)
        needed: set[int] = set()
        if item.after is None:
            needed = set(range(len(batches)))
        else:
            needed = {last_batch[k] for k in item.after if k in last_batch}
            if floor:
                needed.add(floor - 1)
        if item.key in last_batch:  # the commands of one step keep their order
            needed.add(last_batch[item.key])
        lowest = max(needed, default=0)
        place = -1
        if not issubclass(kind, Single):
            place = next((n for n in open_batches.get(slot, ()) if n >= lowest and n >= floor - 1), -1)
        if place in needed and not batches[place].joins(item):
            place = -1
        if place >= 0 and most is not None and len(batches[place].items) >= most:
            needed.add(place)
            open_batches[slot] = [n for n in open_batches[slot] if n > place]
            place = next(iter(open_batches[slot]), -1)
        if place < 0:
            place = len(batches)
            batches.append(kind(item.command.netns))
            open_batches.setdefault(slot, []).append(place)
        batches[place].items.append(item)
        batches[place].after |= needed - {place}
        last_batch[item.key] = place
        if item.after is None:
            floor = len(batches)
    return batches


def kind_of(command: AnyCommand) -> type[Batch]:  # noqa: PLR0911 - one for each kind
    """The kind of batch that a command is carried out in."""
    match command:
        case Spawn():
            return Spawned
        case Sysctl() | WriteFile() | MakeDir() | RemoveDir() | RemoveFiles():
            return Writes if command.is_plain else Single
        case Announce(netns=str()):
            return Writes
        case Ip() | AddLink() | DeleteLink() | Announce():
            return IpBatch if fits(command) else Single
        case Chain() | Rule() | RestoreRules():
            return restorer(command) or Single
        case Nft(text=text):
            return Single if text[:1] in {"", "-"} else NftFile  # an option is no statement
        case _:
            return Single
