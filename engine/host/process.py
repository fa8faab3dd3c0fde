"""Processes, read from /proc."""

from __future__ import annotations

import os
from errno import EMFILE, ENFILE, ENOMEM
from typing import NamedTuple

from nsctl.engine.model.names import MASK

__all__ = [
    "Hideout",
    "children",
    "command_of",
    "hideouts",
    "inhabitants",
    "inhabitants_of",
    "init_of",
    "is_descendant",
    "netns_inode_of",
    "not_there",
    "outputs_of",
    "pid_in",
    "someone_in",
    "start_of",
]

_LEAST = 8
"""Words of a line of mountinfo, at the least."""


def not_there(error: OSError) -> None:
    """
    Take a failed look for an absent thing, unless it failed for want of descriptors or memory.

    What only could not be looked at must not count as gone: it would never be undone.

    Raises:
        OSError: The very error.
    """
    if error.errno in {EMFILE, ENFILE, ENOMEM}:
        raise error


def start_of(pid: int) -> int | None:
    """
    When the process started, in clock ticks since boot (field 22 of /proc/PID/stat); None for none, or a dead one.

    A zombie is dead: it only waits for its parent.
    """
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in ("Z", "X", "x") else None


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third (the state) on."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            data = f.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command's name in parentheses, and may hold anything, `)` and blanks included.
    return data[data.rindex(b")") + 2 :].decode("ascii").split()


def children(pid: int) -> tuple[int, ...]:
    """The process's children, oldest first, dead ones left out."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            found = [int(word) for word in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        # Gone, or a kernel without CONFIG_PROC_CHILDREN.
        found = _children_by_search(pid) if os.path.exists(f"/proc/{pid}") else []
    return tuple(child for child in found if start_of(child) is not None)


def _children_by_search(pid: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(int(name))
            if fields and int(fields[1]) == pid:
                found.append(int(name))
    return sorted(found)


def init_of(pid: int) -> int:
    """
    The process that holds a sandbox's namespaces.

    It is the child that `unshare --fork` put in a PID namespace of its own, or the process itself.
    """
    own = _inode(f"/proc/{pid}/ns/pid")
    for child in children(pid):
        if _inode(f"/proc/{child}/ns/pid") != own:
            return child
    return pid


class Hideout(NamedTuple):
    """
    A mount namespace in which nsctl has hidden something.

    Args:
        inode: Its number.
        pids: Who is in it.
        source: What nsctl's last mount there is called.
        place: Where that is.
    """

    inode: int
    pids: list[int]
    source: str
    place: str


def hideouts() -> list[Hideout]:
    """The mount namespaces in which nsctl has hidden something, its own and that of the first process left out."""
    by_inode: dict[int, list[int]] = {}
    own = {_inode("/proc/self/ns/mnt"), _inode("/proc/1/ns/mnt")}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (inode := _inode(f"/proc/{entry}/ns/mnt")) is not None and inode not in own:
            by_inode.setdefault(inode, []).append(int(entry))
    return [Hideout(inode, pids, *mask) for inode, pids in by_inode.items() if (mask := _last_mask(pids)) is not None]


def _last_mask(pids: list[int]) -> tuple[str, str] | None:
    for pid in pids:
        try:
            with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
                lines = [line.split() for line in f]
        except OSError as e:
            not_there(e)
            continue
        found = [(w[w.index("-") + 2], w[4]) for w in lines if len(w) > _LEAST]
        return next((mask for mask in reversed(found) if mask[0].startswith(MASK)), None)
    return None


def netns_inode_of(pid: int) -> int | None:
    """The inode number of the process's network namespace."""
    return _inode(f"/proc/{pid}/ns/net")


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def command_of(pid: int) -> str:
    """The process's argument vector as one string, words parted by NUL; empty where it has none."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return os.fsdecode(f.read())
    except OSError as e:
        not_there(e)
        return ""


def outputs_of(pid: int) -> tuple[str, ...]:
    """The files that the process's standard output and error go to."""
    found = []
    for fd in (1, 2):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
    return tuple(found)


def pid_in(path: str) -> int | None:
    """The PID that a pidfile holds; None where there is no such file, or no PID in it (yet)."""
    try:
        with open(path, "rb") as f:
            word = f.read(32).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return int(word) if word.isdigit() and int(word) > 0 else None


def inhabitants() -> dict[int, int]:
    """For each network namespace that a living process is in: its inode number, and the PID of one."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        inode = netns_inode_of(int(name)) if name.isdigit() else None
        if inode is not None and inode not in found and start_of(int(name)) is not None:
            found[inode] = int(name)
    return found


def inhabitants_of(netns: int) -> list[int]:
    """The living processes in the network namespace with this inode number."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return sorted(pid for pid in pids if netns_inode_of(pid) == netns and start_of(pid) is not None)


def is_descendant(pid: int, of: int) -> bool:
    """Whether a process is another one or a descendant of it, as long as all in between live."""
    while pid not in {0, of}:
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0
    return pid == of


def someone_in(netns: int) -> int | None:
    """A process in the network namespace with this inode number."""
    for name in os.listdir("/proc"):
        if name.isdigit() and netns_inode_of(int(name)) == netns:
            return int(name)
    return None
