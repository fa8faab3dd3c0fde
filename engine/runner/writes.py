"""
Plain writes that need no process: a sysctl costs 0.008 ms written and 0.84 run.

Each does exactly what its command would; `--no-batch` runs the command.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock

from nsctl.engine.host.process import start_of
from nsctl.engine.model.commands import Announce, AnyCommand, MakeDir, RemoveDir, RemoveFiles, Sysctl, WriteFile

__all__ = ["own_namespaces", "perform", "performing", "processes_in", "stop_and_wait"]

_AT_ONCE = 256
"""Processes that are watched at once, with a descriptor each."""
_SET_ADDRESS = 0x8924
"""SIOCSIFHWADDR, of linux/sockios.h."""
_ETHERNET = 1
"""ARPHRD_ETHER, of linux/if_arp.h."""
_looking_up = Lock()
"""
Held while a name below /proc/sys is looked up.

The kernel keeps an entry of that name for each namespace that was asked for it, compares with all of them, and takes
one lock of its own each time: with 1,000 namespaces two threads at it take 0.38 ms for each, one after the other 0.24.
That is the price of the directory `net/ipv4`, which each namespace has of its own: opened once, it is paid once for all
that is set below it.
"""


@contextmanager
def performing(netns: str | None) -> Iterator[Callable[[AnyCommand], None]]:
    """`perform` for several commands of one namespace, which the calling thread is in all the while."""
    families: dict[str, int] | None = None if netns is None else {}
    try:
        yield partial(perform, families=families)
    finally:
        for fd in (families or {}).values():
            os.close(fd)


def perform(command: AnyCommand, families: dict[str, int] | None = None) -> None:
    """
    Do what the command would do; the calling thread is in its namespace.

    Args:
        command: The command.
        families: Descriptors of directories below /proc/sys in that namespace, for several settings: those that are
            missing are opened, and are the caller's to close.

    Raises:
        OSError: It did not work.
    """
    match command:
        case Sysctl(key=key, value=value):
            fd = _opened(key, families)
            try:
                os.write(fd, f"{value}\n".encode())
            finally:
                os.close(fd)
        case Announce(link=link, mac=mac):
            _announce(link, bytes.fromhex(mac.replace(":", "")))
        case WriteFile(path=path, content=content, mode=mode):
            _install(path, content.encode(errors="surrogateescape"), int(mode, 8))
        case MakeDir(path=path, mode=mode):
            os.mkdir(path, int(mode, 8))
            os.chmod(path, int(mode, 8))
        case RemoveDir(path=path):
            os.rmdir(path)
        case RemoveFiles(paths=paths):
            _remove(paths)
        case _:
            raise TypeError(f"not a plain write: {command.argv}")


def _opened(key: str, families: dict[str, int] | None) -> int:
    flags = os.O_WRONLY | os.O_CLOEXEC
    net, family, *rest = key.split("/")
    if families is None or net != "net" or not rest:
        with _looking_up:
            return os.open(f"/proc/sys/{key}", flags)
    name = f"{net}/{family}"
    if name not in families:
        with _looking_up:
            families[name] = os.open(f"/proc/sys/{name}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return os.open("/".join(rest), flags, dir_fd=families[name])


def _announce(link: str, mac: bytes) -> None:
    # As netdevice(7) has it.
    import fcntl
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
        fcntl.ioctl(s, _SET_ADDRESS, struct.pack("16sH14s8x", link.encode(), _ETHERNET, mac))


def _install(path: str, content: bytes, mode: int) -> None:
    # As install(1) does: take the old file away, make a new one, never follow a symbolic link.
    with suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        while content:
            content = content[os.write(fd, content) :]
    finally:
        os.close(fd)


def processes_in(inodes: Iterable[int], kind: str = "net") -> list[int]:
    """The processes that are in any of these namespaces, nsctl itself excepted; one look at /proc."""
    wanted = set(inodes)
    found: list[int] = []
    if not wanted:
        return found
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.stat(f"/proc/{entry}/ns/{kind}").st_ino in wanted and int(entry) != os.getpid():
                    found.append(int(entry))
            except OSError:
                continue
    return found


def own_namespaces(pid: int, kind: str) -> set[int]:
    """The inode number of a process's namespace of this kind, if it is not nsctl's own too."""
    try:
        inode = os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except OSError:
        return set()
    return {inode} - {os.stat(f"/proc/self/ns/{kind}").st_ino}


def stop_and_wait(processes: Mapping[int, int], deadline: float, *, kill: bool = True) -> bool:
    """
    Kill processes by descriptors, which no PID reuse can fool, and wait until they are gone.

    Args:
        processes: PIDs and start times: a process of another start time is somebody else.
        deadline: Of the monotonic clock.
        kill: Without it, only wait.

    Returns:
        Whether all are gone.

    Raises:
        OSError: There is not one descriptor to be had.
    """
    left = dict(processes)
    while left:
        if not _stop_some(left, deadline, kill=kill):
            return False
    return True


def _stop_some(left: dict[int, int], deadline: float, *, kill: bool) -> bool:
    # As many as there are descriptors for: a process may have 1,024, and a large lab has more inits.
    import select
    import signal

    poll = select.poll()
    fds: set[int] = set()
    watched = 0
    try:
        while left and len(fds) < _AT_ONCE:
            pid, start = left.popitem()
            try:
                fd = os.pidfd_open(pid)
                fds.add(fd)
                if start_of(pid) != start:
                    continue
            except ProcessLookupError:
                continue
            except OSError:  # no more descriptors
                left[pid] = start
                if not watched:
                    raise
                break
            poll.register(fd, select.POLLIN)
            if kill:
                with suppress(OSError):  # gone in between
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            watched += 1
        while watched:
            ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                return False
            for fd, _ in ready:
                poll.unregister(fd)
            watched -= len(ready)
    finally:
        for fd in fds:
            os.close(fd)
    return True


def _remove(paths: Iterable[str]) -> None:
    # As rm(1) does: what can't be removed does not keep the others.
    failed: OSError | None = None
    for path in paths:
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as e:
            failed = failed or e
    if failed is not None:
        raise failed
