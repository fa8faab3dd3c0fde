"""
Netlink: the wire, and nothing but reading.

/sys/class/net belongs to the network namespace that mounted it and lies in any other, and every `ip -j` is a process;
a netlink socket costs microseconds and belongs to the namespace it was opened in.
The layout of messages is that of linux/netlink.h.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EAGAIN, EINVAL, ENOBUFS
from struct import Struct
from typing import TYPE_CHECKING, TypeVar

from nsctl.engine.host.setns import NETNS_DIR, NEWNET, cookie_of, own_cookie, setns
from nsctl.engine.host.threads import deaf
from nsctl.engine.model.errors import NsctlError

if TYPE_CHECKING:
    import socket
    from types import TracebackType
    from typing import Self

__all__ = [
    "DumpInterruptedError",
    "Netlink",
    "NoNamespaceError",
    "attribute",
    "attributes",
    "cookie_at",
    "in_netns",
    "socket_in",
    "visited",
]

T = TypeVar("T")

_SOL_NETLINK, _GET_STRICT_CHK = 270, 12

_HEADER = Struct("=IHHII")
_ATTRIBUTE = Struct("=HH")
_ERROR = Struct("=i").unpack_from
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

_REQUEST, _MULTI, _DUMP_INTR, _DUMP = 0x1, 0x2, 0x10, 0x300
_NOOP, _MSG_ERROR, _DONE = 1, 2, 3

_BUFFER = 65536
"""Bytes; the kernel fills at most 32 KiB at a time unless one message alone is larger."""
_LARGEST = 1 << 24
_ATTEMPTS = 25
_PAUSE_MAX = 0.25
"""Seconds between attempts, doubled up to here: five seconds in all."""


class NoNamespaceError(Exception):
    """There is no network namespace of this name: no such file, or a plain one."""


class DumpInterruptedError(NsctlError):
    """The dump was interrupted by changes in each of many attempts."""


class _Again(Exception):
    """The answer is unusable and has to be asked for once more: it did not fit."""


def in_netns(name: str, function: Callable[[], T]) -> T:
    """
    Call a function in a thread of its own that has joined the network namespace /run/netns/NAME.

    The thread ends with the call, so nothing else of the process ever sees that namespace.

    Raises:
        NoNamespaceError: There is no such namespace.
        OSError: No privilege, or no thread to be had.
    """

    def body() -> T:
        _enter(name)
        return function()

    return _in_thread(body, f"netns {name}")


def visited(names: Sequence[str], look: Callable[[str], T]) -> dict[str, T | None]:
    """
    What a function sees in each of these network namespaces; None where there is no such namespace.

    One thread goes from one to the next and ends in the last: nothing has to come back. A second one gains nothing:
    most of the time is Python's own.

    Args:
        names: The namespaces.
        look: Called in each, with its name.

    Raises:
        OSError: No privilege, no descriptor, or no thread to be had.
    """
    found: dict[str, T | None] = {}

    def body() -> None:
        for name in names:
            try:
                _enter(name)
            except NoNamespaceError:
                found[name] = None
            else:
                found[name] = look(name)

    _in_thread(body, "visitor")
    return found


def _in_thread(body: Callable[[], T], name: str) -> T:
    import threading

    results: list[T] = []
    errors: list[BaseException] = []

    def caught() -> None:
        try:
            results.append(body())
        except BaseException as e:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(e)
        deaf()

    thread = threading.Thread(target=caught, name=name)
    try:
        thread.start()
    except RuntimeError as e:
        raise OSError(EAGAIN, f"no thread to look into network namespaces with ({name})") from e
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def cookie_at(path: str) -> int | None:
    """The cookie of a network namespace by its file; None where there is none, or the kernel has none."""

    def body() -> int | None:
        _enter_at(path)
        return own_cookie()

    try:
        return _in_thread(body, path)
    except NoNamespaceError:
        return None


def _enter(name: str) -> None:
    _enter_at(f"{NETNS_DIR}/{name}")


def _enter_at(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, ProcessLookupError) as e:
        raise NoNamespaceError(path) from e
    try:
        setns(fd, NEWNET)
    except OSError as e:
        if e.errno == EINVAL:
            raise NoNamespaceError(path) from e
        raise
    finally:
        os.close(fd)


def socket_in(netns: str | None = None) -> socket.socket:
    """
    A socket for `Netlink` that talks to the host's network namespace, or to the one named.

    Raises:
        NoNamespaceError: There is no such namespace.
        OSError: No privilege.
    """
    import socket

    def opened() -> socket.socket:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)

    return opened() if netns is None else in_netns(netns, opened)


class Netlink:
    """
    A conversation with the kernel; a context manager that closes the socket.

    Args:
        sock: From `socket_in`.
        attempts: How often to ask while what is asked for changes.
    """

    def __init__(self, sock: socket.socket, attempts: int = _ATTEMPTS) -> None:
        self._socket = sock
        self._attempts = attempts
        try:
            self._socket.bind((0, 0))
            self._port = self._socket.getsockname()[0]
            # The kernel then honours the filters in dump requests (one link's addresses, one table's routes).
            # Where it is too old to, it sends more, and whoever decodes it leaves that out.
            with suppress(OSError):
                self._socket.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        except BaseException:
            self._socket.close()
            raise
        self._sequence = 0
        self._buffer = _BUFFER

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def cookie(self) -> int | None:
        """The cookie of the namespace that the socket is in; see `own_cookie`."""
        return cookie_of(self._socket)

    def get(self, kind: int, body: bytes) -> bytes | None:
        """
        The one object asked for, without netlink's header; None when the answer is empty.

        Raises:
            OSError: What the kernel answered (ENODEV for a link that is not there).
        """
        answers = self._ask(kind, 0, body)
        return answers[0] if answers else None

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """
        All objects of a kind, each without netlink's header.

        Raises:
            OSError: What the kernel answered.
            DumpInterruptedError: The objects changed during each of many attempts.
        """
        return self._ask(kind, _DUMP, body)

    def dump_once(self, kind: int, body: bytes) -> tuple[list[bytes], bool]:
        """
        The objects of a kind as one dump tells of them, and whether those are all.

        Where they changed meanwhile each is as it was a moment ago, but some may be missing.

        Raises:
            OSError: What the kernel answered.
        """
        self._send(kind, _DUMP, body)
        try:
            found, changed = self._answers()
        except _Again:
            return [], False
        return found, not changed

    def _ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        for attempt in range(self._attempts):
            if attempt:
                time.sleep(min(0.001 * 2**attempt, _PAUSE_MAX))
            self._send(kind, flags, body)
            try:
                found, changed = self._answers()
            except _Again:
                continue
            if not changed:
                return found
        raise DumpInterruptedError(
            "the kernel's network configuration keeps changing while it is read",
            hint="see what changes it (ip monitor), then try again",
        )

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)

    def _answers(self) -> tuple[list[bytes], bool]:
        # What was found, and whether it changed meanwhile.
        found: list[bytes] = []
        changed = False
        while True:
            data = self._receive()
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, flags, sequence, port = _HEADER.unpack_from(data, offset)
                if length < _HEADER.size:
                    break
                start, end = offset + _HEADER.size, offset + length
                offset += (length + 3) & ~3
                if sequence != self._sequence or port != self._port:
                    continue  # the rest of an earlier answer that was given up
                changed = changed or bool(flags & _DUMP_INTR)
                if kind in (_DONE, _MSG_ERROR):
                    (status,) = _ERROR(data, start)
                    if status < 0:
                        raise OSError(-status, os.strerror(-status))
                    return found, changed
                if kind != _NOOP:
                    found.append(data[start:end])
                if not flags & _MULTI:
                    return found, changed

    def _receive(self) -> bytes:
        import socket

        while True:
            try:
                data, _, flags, sender = self._socket.recvmsg(self._buffer)
            except OSError as e:
                if e.errno == ENOBUFS:
                    raise _Again from e
                raise
            if sender[0] != 0:
                continue  # not the kernel
            if flags & socket.MSG_TRUNC:
                if self._buffer < _LARGEST:
                    self._buffer *= 4
                raise _Again
            return data


def attribute(data: bytes, wanted: int) -> bytes | None:
    """The first attribute of a type, wherever in the data; None where there is none."""
    offset, end, unpack = 0, len(data), _ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        size, kind = unpack(data, offset)
        if size < _ATTRIBUTE.size:
            return None
        if kind & _TYPE_MASK == wanted:
            return data[offset + 4 : offset + size]
        offset += (size + 3) & ~3
    return None


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from an offset to the end of the data, by type; the last of several counts."""
    found: dict[int, bytes] = {}
    end, unpack = len(data), _ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        size, kind = unpack(data, offset)
        if size < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + size]
        offset += (size + 3) & ~3
    return found
