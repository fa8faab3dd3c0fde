"""setns(2), and the cookie of a network namespace."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import _socket

__all__ = ["NETNS_DIR", "NEWNET", "NEWPID", "cookie_of", "named_inode", "own_cookie", "setns", "unshare"]

NETNS_DIR = "/run/netns"
"""Where `ip netns` and nsctl keep named network namespaces."""
_SO_NETNS_COOKIE = 71
"""Of asm-generic/socket.h."""
NEWNET, NEWPID = 0x40000000, 0x20000000
"""CLONE_NEWNET and CLONE_NEWPID, of linux/sched.h."""


def setns(fd: int, kind: int) -> None:
    """
    Put the calling thread into the namespace of an open descriptor; of a PID namespace, its future children.

    Args:
        fd: The descriptor: of a namespace, or a pidfd.
        kind: NEWNET or NEWPID; of a pidfd several, with `|`.

    Raises:
        OSError: It is none of that kind, or there is no privilege.
    """
    if sys.version_info >= (3, 12):
        os.setns(fd, kind)
        return
    import ctypes

    if _libc().setns(fd, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(kind: int) -> None:
    """
    Put the calling thread into a new namespace.

    Args:
        kind: NEWNET, or another of the CLONE_ flags of linux/sched.h.

    Raises:
        OSError: There is no privilege, or the kernel makes no more.
    """
    if sys.version_info >= (3, 12):
        os.unshare(kind)
        return
    import ctypes

    if _libc().unshare(kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def own_cookie() -> int | None:
    """
    The cookie of the network namespace that the calling thread is in: the kernel gives none twice until it reboots.

    Inode numbers are given again at once. None on kernels before 5.14.
    """
    import _socket  # what `socket` is made of, without its thousand names

    found = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        return cookie_of(found)
    finally:
        found.close()


def cookie_of(sock: _socket.socket) -> int | None:
    """The cookie of the network namespace that a socket is in; None on kernels before 5.14."""
    import _socket

    try:
        return int.from_bytes(sock.getsockopt(_socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder)
    except OSError:
        return None


def named_inode(path: str) -> int | None:
    """The number of the namespace that a name below /run/netns leads to; None for none, or a plain file."""
    try:
        found, directory = os.stat(path), os.stat(NETNS_DIR)
    except (FileNotFoundError, NotADirectoryError):
        return None
    # A namespace is a mount of its own; a file left without one belongs to the file system of its directory.
    return found.st_ino if found.st_dev != directory.st_dev else None


@cache
def _libc() -> Any:
    # Once: what ctypes makes of a library is a class of its own, 0.03 ms each, twice for each namespace of a lab.
    import ctypes

    return ctypes.CDLL(None, use_errno=True)
