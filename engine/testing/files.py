"""What a snapshot reads from files: sysctls, mounts, processes, trees. Everything here runs in the lab's own thread."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterator

from nsctl.engine.testing.network import Section

SHIM_DIRECTORY = "/run/shim"
"""Where tests keep what they put beside a lab host's own things; never part of a snapshot."""
FILLER = ".nsctl-lab-filler"
"""The name of the file that fills a disk in a test; never part of a snapshot."""
ESCAPED = "nsctl-lab-escaped"
"""Processes with this in their words were made by a test to outlive everything; never part of a snapshot."""

IDLE = "sleep 2147483647 & wait"
"""In the words of an init without a workload."""
FORKNOEXEC = 0x40
"""PF_FORKNOEXEC of linux/sched.h, in the ninth field of /proc/PID/stat (proc(5))."""

# Write-only, unset (they fail), or a number that traffic changes.
_VOLATILE_SYSCTLS = frozenset({"flush", "stable_secret", "nf_conntrack_count"})
_HASHED = ("/etc/hosts", "/etc/resolv.conf")


def sysctls() -> Section:
    """All of /proc/sys/net in the calling thread's network namespace, and the host's name."""
    section = dict(_sysctls_below("/proc/sys/net"))
    section["kernel/hostname"] = _read("/proc/sys/kernel/hostname").strip()
    return section


def _sysctls_below(directory: str) -> Iterator[tuple[str, str]]:
    for entry in _entries(directory):
        if entry.is_dir():
            yield from _sysctls_below(entry.path)
        elif entry.name not in _VOLATILE_SYSCTLS:
            yield entry.path.removeprefix("/proc/sys/"), _read(entry.path).strip()


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []  # not there, or gone meanwhile (as the sysctls of a link)


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, 1 << 16).decode(errors="backslashreplace")
        finally:
            os.close(fd)
    except OSError as error:
        return f"({error.strerror})"


def mounts() -> Section:
    """
    The lab host's mount table: mount point → what is mounted there, the topmost last.

    Left out are the shims, and /run/netns bound to itself, which the first `ip netns add` leaves for good.
    """
    section: Section = {}
    with open("/proc/1/mountinfo", encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            left, right = (part.split() for part in line.split(" - ", 1))
            root, point, options, tags = left[3], left[4], left[5], left[6:]
            fstype, source, more = (*right, "")[:3]
            shims = source.endswith("-shim") or point.startswith(SHIM_DIRECTORY)
            if shims or (point, root) == ("/run/netns", "/netns"):
                continue
            propagation = ",".join(tag.partition(":")[0] for tag in tags) or "private"
            section.setdefault(point, []).append(f"{fstype} {source}{root} {options} {more} {propagation}")
    return section


def processes() -> Section:
    """
    All processes in the lab's PID namespace except its init: number and command line → namespaces.

    An idle init's child that was forked a moment ago still goes by the words of its parent, and is given time.
    """
    for _ in range(50):
        if not any(_is_copy(number) for number in os.listdir("/proc") if number.isdigit()):
            break
        time.sleep(0.02)
    section: Section = {}
    for number in os.listdir("/proc"):
        if not number.isdigit() or number == "1":
            continue
        try:
            with open(f"/proc/{number}/cmdline", encoding="utf-8", errors="backslashreplace") as file:
                words = file.read().rstrip("\0").replace("\0", " ")
            with open(f"/proc/{number}/comm", encoding="utf-8", errors="backslashreplace") as file:
                command = words or f"({file.read().strip()}, ended but not waited for)"
            namespaces = {kind: os.readlink(f"/proc/{number}/ns/{kind}") for kind in ("net", "mnt", "pid") if words}
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        if ESCAPED not in command:
            section[f"{number} {command}"] = namespaces
    return section


def _is_copy(number: str) -> bool:
    try:
        with open(f"/proc/{number}/stat", encoding="utf-8", errors="backslashreplace") as file:
            flags = int(file.read().rpartition(")")[2].split()[6])
        if not flags & FORKNOEXEC:
            return False
        with open(f"/proc/{number}/cmdline", encoding="utf-8", errors="backslashreplace") as file:
            return IDLE in file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def trees(roots: Collection[str], state_directory: str, kept: Collection[str]) -> Section:
    """
    Everything below some directories: path → type, mode, owner and content.

    Args:
        roots: The directories.
        state_directory: nsctl's; it may come to be there.
        kept: Names (patterns) in it that are left out.
    """
    section: Section = {}
    left_out = {SHIM_DIRECTORY, "/run/netns", "/run/xtables.lock", "/run/mount"}
    for root in roots:
        for entry in _tree(root, left_out):
            directory, name = os.path.split(entry.path)
            ours = entry.path == state_directory
            if ours or (directory == state_directory and any(fnmatch.fnmatch(name, pattern) for pattern in kept)):
                continue
            section[entry.path] = _describe(entry.path)
    return section | {path: _describe(path) for path in _HASHED}


def _tree(root: str, left_out: Collection[str]) -> Iterator[os.DirEntry[str]]:
    for entry in _entries(root):
        if entry.path not in left_out and entry.name != FILLER:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _tree(entry.path, left_out)


def _describe(path: str) -> str:
    try:
        status = os.lstat(path)
        facts = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
        if stat.S_ISLNK(status.st_mode):
            return f"{facts} -> {os.readlink(path)}"
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                return f"{facts} {status.st_size} bytes {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except FileNotFoundError:
        return "absent"
    return facts


def namespaces() -> dict[str, int]:
    """Names in /run/netns → an open descriptor of each."""
    try:
        names = sorted(os.listdir("/run/netns"))
    except FileNotFoundError:
        return {}
    return {name: os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in names}
