"""
From single steps to the batches that the kernel is fastest with.

People review single commands; `ip -batch`, `iptables-restore --noflush` and `nft -f -` carry out hundreds of them in
one process.
This module is pure: it sorts items into batches and says which batch waits for which.
Plans, dry runs, journal, effects, audit and undo stay per step.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from nsctl.engine.model.plan import Command, Spawn, Step
from nsctl.engine.runner.batch import Batch, BatchItem, Single, Spawned, Writes, is_native
from nsctl.engine.runner.ip_batch import IpBatch
from nsctl.engine.runner.iptables_restore import Ip6tablesRestore, IptablesRestore
from nsctl.engine.runner.lines import is_quotable
from nsctl.engine.runner.nft_file import NftFile, nft_lines

__all__ = ["BATCH_MOST", "batches_of", "do_items", "kind_of", "undo_items"]

BATCH_MOST = 1024
"""Commands of one process on the host: what is done in namespaces begins while the next process is at work."""
_BATCH_WORDS = 99
"""More on one line, and `ip -batch` exits."""
_RESTORE_LINE = 8192
"""A longer line, and `iptables-restore` reads what it has no room for (10,239 bytes) as the next one."""
_IP_OBJECTS = frozenset({"link", "addr", "address", "route", "rule", "netns", "neigh"})
_RULE_VERBS = frozenset({"-N", "-A", "-I", "-D", "-F", "-X"})
_IPTABLES: dict[str, type[Batch]] = {"iptables": IptablesRestore, "ip6tables": Ip6tablesRestore}
_RESTORE: dict[str, type[Batch]] = {cls.tool: cls for cls in (IptablesRestore, Ip6tablesRestore)}


def do_items(steps: Sequence[Step]) -> list[BatchItem]:
    """What has to be done for these steps, in order."""
    return [BatchItem(s.key, s.do, None if s.after is None else frozenset(s.after)) for s in steps if s.do is not None]


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
        barrier = barrier or s.after is None
        if commands:
            after = None if barrier else frozenset(waits[s.key])
            items.extend(BatchItem(s.key, c, after) for c in commands)
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


def kind_of(command: Command | Spawn) -> type[Batch]:
    """The kind of batch that a command is carried out in."""
    if isinstance(command, Spawn):
        return Spawned
    argv = command.argv
    tool = argv[0]
    plain = command.stdin is None and command.ok == (0,) and is_quotable(*argv)
    if is_native(command):
        return Writes
    if tool == "ip" and plain and argv[1:2] and argv[1] in _IP_OBJECTS:
        if argv[1:3] != ("netns", "exec") and len(argv) <= _BATCH_WORDS:
            return IpBatch
    elif tool == "nft" and command.ok == (0,):
        return NftFile if nft_lines(command) else Single
    else:
        return _kind_of_rules(command, plain=plain)
    return Single


def _kind_of_rules(command: Command, *, plain: bool) -> type[Batch]:
    argv = command.argv
    tool = argv[0]
    if tool in _IPTABLES and plain:
        match argv[1:]:
            case ("-w", "-t", _, verb, _, *_) if verb in _RULE_VERBS and len(" ".join(argv)) < _RESTORE_LINE:
                return _IPTABLES[tool]
    elif tool in _RESTORE and argv[1:] == ("-w", "--noflush") and command.stdin is not None:
        return _RESTORE[tool]
    return Single
