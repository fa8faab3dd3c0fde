"""
Whether a caller is accepted: it gets nothing that it could not do itself.

Three things have to be so. It is the process that connected, held by a descriptor and not by its number. It shows that
it could take the server over anyhow: it has opened the server's memory for writing, which the kernel allows to those
alone who may attach to it with ptrace. And it is in the same namespaces, with the same rights, so that what runs here
runs as it would there.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
from typing import NamedTuple

from nsctl.engine.resident import wire
from nsctl.engine.resident.traits import status_of

__all__ = ["Memory", "Peer", "RefusalError", "Request", "check", "received"]

_SO_PEERPIDFD = 77
"""Since Linux 6.5; Python has no name for it."""
_CREDENTIALS = struct.Struct("3i")
_EQUAL = (
    "Uid",
    "Gid",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
)
"""Fields of /proc/PID/status: who it is, and what it may do."""
_LABELS = ("current", "exec", "apparmor/current", "apparmor/exec", "smack/current")
"""Below /proc/PID/attr: what a security module calls it, and what it would call what it starts."""
_ROOT = "0\t0\t0\t0"


class RefusalError(Exception):
    """The command is to be run by the caller itself."""


class Request(NamedTuple):
    """
    What is asked for.

    Args:
        groups: Its words; see `client`.
        files: The descriptors that came with it.
        sender: PID, user and group of who sent it, as the kernel says.
    """

    groups: list[list[bytes]]
    files: list[int]
    sender: tuple[int, int, int]


class Memory(NamedTuple):
    """The server's /proc/PID/mem: PID, and the identity of the file, which stays as long as it is held open."""

    pid: int
    device: int
    inode: int

    @classmethod
    def own(cls) -> Memory:
        """Of this process, for as long as it lives."""
        fd = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)  # it stays open
        status = os.fstat(fd)
        return cls(os.getpid(), status.st_dev, status.st_ino)

    def is_writable_through(self, fd: int) -> bool:
        """Whether a descriptor is this memory, open for writing."""
        import fcntl

        status = os.fstat(fd)
        return (
            (status.st_dev, status.st_ino) == (self.device, self.inode)
            and os.readlink(f"/proc/self/fd/{fd}") == f"/proc/{self.pid}/mem"
            and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        )


class Peer:
    """
    The process that connected.

    Args:
        connection: It is told of with each message who sent it.
        by_pidfd: Whether the kernel is asked for a descriptor of it; else, and before Linux 6.5, its number is pinned
            by an echo.
    """

    def __init__(self, connection: socket.socket, *, by_pidfd: bool = True) -> None:
        self._connection = connection
        pid, self.user, self.group = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        self.pid = pid
        fd = _pidfd_of(connection) if by_pidfd else None
        self._proven = fd is not None
        try:
            self._fd = os.pidfd_open(pid) if fd is None else fd
        except (OSError, ValueError):
            raise RefusalError("who called has gone") from None

    def prove(self) -> None:
        """
        Make sure that the number belongs to who connected: whoever answers has it, and it has had one owner since.

        Raises:
            RefusalError: It does not.
        """
        if self._proven:
            return
        nonce = os.urandom(16).hex().encode()
        self._connection.sendmsg([wire.joined([[wire.ECHO, nonce]])])
        answer = received(self._connection)
        if answer.groups != [[wire.ECHO, nonce]] or answer.sender[0] != self.pid:
            raise RefusalError("who called is not who answers")

    def lives(self) -> bool:
        """Whether it has not ended: its number is still its own, and what was read of it was its."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Let it go."""
        os.close(self._fd)


def _pidfd_of(connection: socket.socket) -> int | None:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as e:
        if e.errno == errno.ENOPROTOOPT:
            return None
        raise RefusalError("who called has gone") from None


def received(connection: socket.socket) -> Request:
    """
    The next message.

    Raises:
        RefusalError: There is none, or it is no request.
    """
    space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4 * 253)
    message, ancillary, flags, _ = connection.recvmsg(wire.MOST, space, socket.MSG_CMSG_CLOEXEC)
    files: list[int] = []
    sender = (0, -1, -1)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files += struct.unpack(f"{len(data) // 4}i", data[: len(data) // 4 * 4])
        elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            sender = _CREDENTIALS.unpack(data)
    if not message or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise RefusalError("there is no whole request")
    try:
        return Request(wire.parted(message), files, sender)
    except ValueError:
        raise RefusalError("it is no request") from None


def check(peer: Peer, request: Request, memory: Memory, shown: int) -> None:
    """
    Refuse who could not do it all alone.

    Args:
        peer: Who connected.
        request: What was sent.
        memory: The server's.
        shown: The descriptor that is to be the server's memory.

    Raises:
        RefusalError: The caller is to run its command itself.
    """
    pid = peer.pid
    if (peer.user, peer.group) != (0, 0) or request.sender != (pid, 0, 0):
        raise RefusalError("the caller is not root, or not who connected")
    peer.prove()
    if not memory.is_writable_through(shown):
        raise RefusalError("the caller has not shown that it may do what the server may")
    own = os.getpid()
    if os.readlink("/proc/self") != str(own):
        raise RefusalError("/proc is not of this PID namespace")
    ours, theirs = status_of(own), status_of(pid)
    for field in _EQUAL:
        if ours.get(field) != theirs.get(field):
            raise RefusalError(f"the caller's {field} is another")
    if (theirs["Uid"], theirs["Gid"]) != (_ROOT, _ROOT):
        raise RefusalError("the caller is not root")
    if theirs.get("Seccomp", "0") != "0":
        raise RefusalError("the caller's system calls are filtered")
    for kind in os.listdir("/proc/self/ns"):
        if os.readlink(f"/proc/self/ns/{kind}") != os.readlink(f"/proc/{pid}/ns/{kind}"):
            raise RefusalError(f"the caller is in another namespace ({kind})")
    if _root(own) != _root(pid):
        raise RefusalError("the caller has another root directory")
    for name in (*(f"attr/{label}" for label in _LABELS), "personality"):
        if _told(own, name) != _told(pid, name):
            raise RefusalError(f"the caller has another label or personality ({name})")


def _root(pid: int) -> tuple[str, int, int]:
    status = os.stat(f"/proc/{pid}/root")
    return os.readlink(f"/proc/{pid}/root"), status.st_dev, status.st_ino


def _told(pid: int, name: str) -> bytes | int:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError as e:  # no security module, or none of that name: the same of both
        return e.errno or sys.maxsize
