"""
Fusing: from single steps to the batches that the kernel is fastest with.

People review single commands; `ip -batch`, `iptables-restore --noflush` and `nft -f -` carry out hundreds of them in
one process.
This module is pure: it sorts items into runs and says which run waits for which.
Plans, dry runs, journal, effects, audit and undo stay per step.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from nsctl.engine.model.plan import Command, Spawn, Step

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = [
    "BATCH",
    "BATCH_MOST",
    "NFT",
    "RESTORE",
    "SINGLE",
    "SPAWN",
    "WRITES",
    "Item",
    "Run",
    "batches_of",
    "do_items",
    "ends_processes",
    "ip_batch_line",
    "ip_batch_text",
    "nft_text",
    "restore_line",
    "restore_text",
    "undo_items",
]

BATCH = "ip -batch"
RESTORE = "iptables-restore"
NFT = "nft -f"
WRITES = "native"
SINGLE = "solo"
SPAWN = "spawn"

_OCTAL = frozenset("01234567")
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%!")
_UNQUOTABLE = '"\\#\n\r'
"""What no quoting gets through unharmed: `ip -batch` takes `#` for a comment even between quotes."""
_BATCH_WORDS = 99
"""More on one line, and `ip -batch` exits."""
BATCH_MOST = 1024
"""Commands of one process on the host: what is done in namespaces begins while the next process is at work."""
_DOWN_FIRST = 100
"""Links more than which are set down before they are deleted together."""
_RESTORE_LINE = 8192
"""A longer line, and `iptables-restore` reads what it has no room for (10,239 bytes) as the next one."""
_IP_OBJECTS = frozenset({"link", "addr", "address", "route", "rule", "netns", "neigh"})
_RULE_VERBS = frozenset({"-N", "-A", "-I", "-D", "-F", "-X"})
_IPTABLES = {"iptables": 4, "ip6tables": 6}
_RESTORE = {"iptables-restore": 4, "ip6tables-restore": 6}


@dataclass(frozen=True, slots=True)
class Item:
    """
    One command of one step.

    Args:
        key: The step's key.
        command: The command.
        after: The keys whose items must come before; None: all earlier ones, and all later ones wait.
    """

    key: str
    command: Command | Spawn
    after: frozenset[str] | None


@dataclass(slots=True)
class Run:
    """
    What one process (or one round of writes) does.

    Args:
        kind: BATCH, RESTORE, NFT, WRITES, SPAWN or SINGLE.
        netns: The namespace it happens in.
        family: 4 or 6, for RESTORE.
        items: In order.
        after: The indices of the runs that must be over.
    """

    kind: str
    netns: str | None
    family: int = 4
    items: list[Item] = field(default_factory=list)
    after: set[int] = field(default_factory=set)


def do_items(steps: Sequence[Step]) -> list[Item]:
    """What has to be done for these steps, in order."""
    return [Item(s.key, s.do, None if s.after is None else frozenset(s.after)) for s in steps]


def undo_items(steps: Sequence[Step], going: Container[str] | None = None) -> list[Item]:
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
    items: list[Item] = []
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
            items.extend(Item(s.key, c, after) for c in commands)
            barrier = False
    return items


def batches_of(items: Sequence[Item], *, fuse: bool = True, most: int | None = None) -> list[Run]:
    """
    The runs, each as early as its dependencies allow.

    Args:
        items: The commands, in order.
        fuse: Without it, every command is a run of its own, in order.
        most: How many a run may hold; the next one of its kind then waits for it.
    """
    if not fuse:
        return [Run(SINGLE, i.command.netns, items=[i], after={n - 1} if n else set()) for n, i in enumerate(items)]
    runs: list[Run] = []
    open_runs: dict[tuple[str, str | None, int], list[int]] = {}
    last_run: dict[str, int] = {}
    floor = 0
    for item in items:
        kind, family = _kind_of(item.command)
        slot = (kind, item.command.netns, family)
        needed: set[int] = set()
        if item.after is None:
            needed = set(range(len(runs)))
        else:
            needed = {last_run[k] for k in item.after if k in last_run}
            if floor:
                needed.add(floor - 1)
        if item.key in last_run:  # the commands of one step keep their order
            needed.add(last_run[item.key])
        lowest = max(needed, default=0)
        place = -1
        if kind not in {SINGLE, SPAWN}:
            place = next((n for n in open_runs.get(slot, ()) if n >= lowest and n >= floor - 1), -1)
        if place in needed and kind == RESTORE and _crosses(item, runs[place]):
            place = -1
        if place >= 0 and most is not None and len(runs[place].items) >= most:
            needed.add(place)
            open_runs[slot] = [n for n in open_runs[slot] if n > place]
            place = next(iter(open_runs[slot]), -1)
        if place < 0:
            place = len(runs)
            runs.append(Run(kind, item.command.netns, family))
            open_runs.setdefault(slot, []).append(place)
        runs[place].items.append(item)
        runs[place].after |= needed - {place}
        last_run[item.key] = place
        if item.after is None:
            floor = len(runs)
    return runs


def _crosses(item: Item, run: Run) -> bool:
    # A restore commits one table after the other: what waits for a rule of another table may not be in the same one.
    before = {t for i in run.items if item.after is None or i.key in item.after for t in _tables(i.command)}
    return not before <= set(_tables(item.command))


def _tables(command: Command | Spawn) -> list[str]:
    if command.argv[0] in _IPTABLES:
        return [command.argv[3]]
    return [line[1:] for line in (getattr(command, "stdin", "") or "").split("\n") if line.startswith("*")]


def _kind_of(command: Command | Spawn) -> tuple[str, int]:
    if isinstance(command, Spawn):
        return SPAWN, 0
    argv = command.argv
    tool = argv[0]
    plain = command.stdin is None and command.ok == (0,) and not any(c in w for w in argv for c in _UNQUOTABLE)
    if is_native(command):
        return WRITES, 0
    if tool == "ip" and plain and argv[1:2] and argv[1] in _IP_OBJECTS:
        if argv[1:3] != ("netns", "exec") and len(argv) <= _BATCH_WORDS:
            return BATCH, 0
    elif tool == "nft" and command.ok == (0,):
        return (NFT if _nft_lines(command) else SINGLE), 0
    else:
        return _kind_of_rules(command, plain=plain)
    return SINGLE, 0


def _kind_of_rules(command: Command, *, plain: bool) -> tuple[str, int]:
    argv = command.argv
    tool = argv[0]
    if tool in _IPTABLES and plain:
        match argv[1:]:
            case ("-w", "-t", _, verb, _, *_) if verb in _RULE_VERBS and len(" ".join(argv)) < _RESTORE_LINE:
                return RESTORE, _IPTABLES[tool]
    elif tool in _RESTORE and argv[1:] == ("-w", "--noflush") and command.stdin is not None:
        return RESTORE, _RESTORE[tool]
    return SINGLE, 0


def ends_processes(command: Command | Spawn) -> bool:
    """Whether the command only kills: then nsctl does it by process descriptors, and waits until they are gone."""
    match command.argv:
        case ("pkill", *_):
            return True
        case ("sh", "-c", script, *_):
            return script.startswith("exec pkill ")
        case _:
            return False


def is_native(command: Command) -> bool:
    """Whether the command is a plain write that nsctl does without a process: 0.008 ms in place of 0.84."""
    argv = command.argv
    if command.ok != (0,):
        return False
    match argv:
        case ("sysctl", "-qw", setting):
            return _is_sysctl(setting) and command.stdin is None
        case ("install", "-m", mode, "/dev/stdin", *paths):
            plain = len(paths) == 1 and _OCTAL.issuperset(mode) and command.stdin is not None
        case ("ip", "link", "set", "dev", _, "address", _):  # on a link that is up: an announcement
            return command.netns is not None and command.stdin is None
        case ("mkdir", "-m", mode, *paths):
            plain = len(paths) == 1 and _OCTAL.issuperset(mode)
        case ("rmdir", *paths):
            plain = len(paths) == 1
        case ("rm", "-f", *paths):
            plain = True
        case _:
            return False
    return plain and command.netns is None and all(p.startswith("/") for p in paths)


def _is_sysctl(setting: str) -> bool:
    # Keys with slashes are paths below /proc/sys as they stand; sysctl turns the dots of other spellings into slashes.
    key, equals, _ = setting.partition("=")
    return bool(equals) and "/" in key and _SAFE.issuperset(key) and not {"", ".", ".."} & set(key.split("/"))


def ip_batch_line(command: Command) -> str:
    """A line for `ip -batch`."""
    return restore_line(*command.argv[1:])


def restore_line(*words: str) -> str:
    """A line for `iptables-restore`, which quotes as `ip -batch` does."""
    return " ".join(w if w and _SAFE.issuperset(w) else f'"{w}"' for w in words)


def ip_batch_text(run: Run, group: int | None = None) -> tuple[str, list[list[Item]]]:
    """
    The input of `ip -batch` for a run, and for each of its lines the items it is of.

    Args:
        run: The run.
        group: A number that no link's group has: links are then put into it and deleted all at once,
            since the kernel takes 16-20 ms for each by itself, and 74 for a hundred together.
            Many are set down first: a bridge that is up deals with each port that leaves (of 1,000, 0.2 s in 0.9);
            with a few that costs more than it saves (45 and 49 ms for two and their bridge).
    """
    plain = [(ip_batch_line(i.command), [i]) for i in run.items if isinstance(i.command, Command)]
    doomed = _deleted_together(run) if group is not None and run.netns is None else []
    if len(doomed) > 1:
        going = set(map(id, doomed))
        first = next(n for n, (_, items) in enumerate(plain) if id(items[0]) in going)
        grouped = [(f"link set dev {_deleted_link(i)} group {group}", [i]) for i in doomed]
        rest = [(line, items) for line, items in plain[first:] if id(items[0]) not in going]
        down = [(f"link set group {group} down", doomed)] if len(doomed) > _DOWN_FIRST else []
        ends = [*down, (f"link del group {group}", doomed)]
        plain = [*plain[:first], *grouped, *ends, *rest]
    return "".join(f"{line}\n" for line, _ in plain), [items for _, items in plain]


def _deleted_together(run: Run) -> list[Item]:
    # They all move up to the first of them: not past anything that one of them waits for, and past no barrier.
    moved: list[Item] = []
    passed: set[str] = set()
    for item in run.items:
        free = item.after is not None and item.key not in passed and passed.isdisjoint(item.after)
        if free and _deleted_link(item) is not None:
            moved.append(item)
        elif moved:
            if item.after is None:
                break
            passed.add(item.key)
    return moved


def _deleted_link(item: Item) -> str | None:
    match item.command.argv:
        case ("ip", "link", "del", "dev", name):
            return name
        case _:
            return None


def _nft_lines(command: Command) -> list[str]:
    # What a command of nft's says, in lines; nothing for one that does not say it in a file or a single word.
    match command.argv:
        case ("nft", "-f", "-") if command.stdin is not None:
            return command.stdin.splitlines()
        case ("nft", statement) if command.stdin is None and statement[:1] not in {"", "-"} and "\n" not in statement:
            return [statement]
        case _:
            return []


def nft_text(run: Run) -> tuple[str, list[Item]]:
    """The input of `nft -f -` for a run, which is done as a whole or not at all, and for each of its lines the item."""
    lines = [(line, i) for i in run.items if isinstance(i.command, Command) for line in _nft_lines(i.command)]
    return "".join(f"{line}\n" for line, _ in lines), [item for _, item in lines]


def restore_text(run: Run) -> tuple[str, list[str]]:
    """The input of `iptables-restore --noflush` for a run, and for each line the key of its step."""
    tables: dict[str, list[tuple[str, str]]] = {}
    for item in run.items:
        argv = item.command.argv
        if argv[0] in _RESTORE:
            table = ""
            for line in (getattr(item.command, "stdin", "") or "").split("\n"):
                if line.startswith("*"):
                    table = line[1:]
                elif line and line != "COMMIT" and not line.startswith("#"):
                    tables.setdefault(table, []).append((line, item.key))
            continue
        # `-N` stays as it is: the usual `:CHAIN - [0:0]` would flush a chain of that name, whoever made it.
        tables.setdefault(argv[3], []).append((restore_line(*argv[4:]), item.key))
    text: list[str] = []
    owner: list[str] = []
    for table, lines in tables.items():
        text += [f"*{table}", *(line for line, _ in lines), "COMMIT"]
        owner += [lines[0][1], *(key for _, key in lines), lines[-1][1]]
    return "\n".join(text) + "\n", owner
