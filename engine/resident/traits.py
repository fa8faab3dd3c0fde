"""
What a process has from whoever started it, beyond its rights: a child of the server takes it over from the caller.

Each is read of both. Where they differ the child sets its own, and reads again: what it could not set is a refusal.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

__all__ = ["TRAITS", "Trait", "differing", "status_of"]

_LIMITS = 16
"""RLIM_NLIMITS."""
_IOPRIO_GET, _IOPRIO_SET = {"x86_64": (252, 251), "aarch64": (31, 30)}.get(os.uname().machine, (-1, -1))
_IOPRIO_WHO_PROCESS = 1


class Trait(NamedTuple):
    """
    One thing that is inherited.

    Args:
        name: What it is, for who is refused because of it.
        read: Of which process, by its PID.
        take: Sets it in this process.
    """

    name: str
    read: Callable[[int], Any]
    take: Callable[[Any], object]


def differing(pid: int) -> str | None:
    """
    Take over what another process has.

    Args:
        pid: The process.

    Returns:
        What could not be taken over; None if there is nothing.
    """
    own = os.getpid()
    for name, read, take in TRAITS:
        try:
            theirs = read(pid)
            if read(own) == theirs:
                continue
            take(theirs)
            if read(own) == theirs:
                continue
        except (OSError, ValueError):
            pass
        return name
    return None


def status_of(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="backslashreplace") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def _of_file(name: str) -> tuple[Callable[[int], bytes | None], Callable[[bytes], object]]:
    """A trait that is read from, and written to, a file in /proc; not every kernel has each."""

    def read(pid: int) -> bytes | None:
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(value: bytes) -> None:
        with open(f"/proc/self/{name}", "wb", buffering=0) as file:
            file.write(value)

    return read, write


def _cgroups(pid: int) -> dict[str, str]:
    """Hierarchy → path; the unified one has no name."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    return {controllers: path for _, controllers, path in lines}


def _join_cgroups(wanted: dict[str, str]) -> None:
    here = _cgroups(os.getpid())
    places = dict(_hierarchies())
    for controllers, path in wanted.items():
        if here.get(controllers) != path:
            if controllers not in places:
                raise OSError(f"no cgroup hierarchy of {controllers} is mounted")
            with open(f"{places[controllers]}{path}/cgroup.procs", "wb", buffering=0) as file:
                file.write(b"0")


def _hierarchies() -> Iterator[tuple[str, str]]:
    """The cgroup hierarchies that are mounted as a whole: controllers, as /proc/PID/cgroup writes them, and place."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ", 2)
            _, _, _, root, place, *_ = before.split(" ")
            if root == "/" and kind == "cgroup2":
                yield "", place
            elif root == "/" and kind == "cgroup":
                words = [
                    word for word in options.strip().split(",") if word not in {"rw", "ro", "xattr", "clone_children"}
                ]
                yield ",".join(word for word in words if not word.startswith("release_agent=")), place


def _limits(pid: int) -> list[tuple[int, int]]:
    return [resource.prlimit(pid, kind) for kind in range(_LIMITS)]


def _limit(wanted: list[tuple[int, int]]) -> None:
    for kind, (now, then) in enumerate(zip(_limits(0), wanted, strict=True)):
        if now != then:
            resource.setrlimit(kind, then)


def _scheduling(pid: int) -> tuple[int, int]:
    return os.sched_getscheduler(pid), os.sched_getparam(pid).sched_priority


def _schedule(wanted: tuple[int, int]) -> None:
    os.sched_setscheduler(0, wanted[0], os.sched_param(wanted[1]))


def _niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def _be_nice(wanted: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, wanted)


def _io_priority(pid: int) -> int:
    if _IOPRIO_GET < 0:
        return 0
    return int(ctypes.CDLL(None).syscall(_IOPRIO_GET, _IOPRIO_WHO_PROCESS, pid))


def _set_io_priority(wanted: int) -> None:
    ctypes.CDLL(None).syscall(_IOPRIO_SET, _IOPRIO_WHO_PROCESS, 0, wanted)


def _groups(pid: int) -> list[int]:
    return [int(word) for word in status_of(pid)["Groups"].split()]


def _umask(pid: int) -> int:
    return int(status_of(pid)["Umask"], 8)


TRAITS: tuple[Trait, ...] = (
    Trait("cgroups", _cgroups, _join_cgroups),
    Trait("supplementary groups", _groups, os.setgroups),
    Trait("login", *_of_file("loginuid")),
    Trait("score for the OOM killer", *_of_file("oom_score_adj")),
    Trait("scheduling policy", _scheduling, _schedule),
    Trait("niceness", _niceness, _be_nice),
    Trait("I/O priority", _io_priority, _set_io_priority),
    Trait("CPU affinity", os.sched_getaffinity, lambda wanted: os.sched_setaffinity(0, wanted)),
    Trait("timer slack", *_of_file("timerslack_ns")),
    Trait("filter of core dumps", *_of_file("coredump_filter")),
    Trait("name", *_of_file("comm")),
    Trait("umask", _umask, os.umask),
    # The last one: with fewer descriptors the others might not be read.
    Trait("limits", _limits, _limit),
)
