"""
The system bus, as far as is needed to ask a service one thing, where firewall-cmd would be a Python of its own.

The wire format is that of the D-Bus specification (https://dbus.freedesktop.org/doc/dbus-specification.html).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from struct import calcsize, pack, unpack_from
from types import TracebackType
from typing import Any, Self

__all__ = ["SOCKET", "Bus", "BusError", "NobodyThereError"]

SOCKET = "/run/dbus/system_bus_socket"
_BUS = "org.freedesktop.DBus"
_CALL, _RETURN, _ERROR = 1, 2, 3
_NO_AUTO_START = 2
_PATH, _INTERFACE, _MEMBER, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 5, 6, 8
_FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
_LARGEST = 1 << 24
"""Bytes of a message; firewalld's are some kilobytes."""
_DEEPEST = 32


class BusError(OSError):
    """The bus, or the service, can't be talked to, or says no."""


class NobodyThereError(BusError):
    """There is no bus, or no daemon behind it."""


class Bus:
    """
    A connection to the system bus.

    Args:
        within: For all that is asked of it; seconds.

    Raises:
        NobodyThereError: There is no bus.
        BusError: It does not answer, or does not let nsctl in.
    """

    def __init__(self, within: float) -> None:
        self._deadline = time.monotonic() + within
        self._serial = 0
        self._read = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._wait()
            self._socket.connect(SOCKET)
            self._socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
            while b"\r\n" not in self._read:
                self._more()
            answer, _, self._read = self._read.partition(b"\r\n")
            _let_in(answer)
            self._socket.sendall(b"BEGIN\r\n")
            self.call(_BUS, "/org/freedesktop/DBus", _BUS, "Hello")
        except BaseException as e:
            self.close()
            if isinstance(e, FileNotFoundError | ConnectionRefusedError):
                raise NobodyThereError("there is no system bus") from e
            if isinstance(e, OSError) and not isinstance(e, BusError):
                raise BusError(f"the system bus does not answer: {e.strerror or e}") from e
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def owner(self, name: str) -> int | None:
        """
        The PID of the owner of a name on the bus; None without one.

        Nothing is started by asking.

        Raises:
            BusError: The bus does not answer.
        """
        there = self.call(_BUS, "/org/freedesktop/DBus", _BUS, "NameHasOwner", name)
        if not there[0]:
            return None
        try:
            return int(self.call(_BUS, "/org/freedesktop/DBus", _BUS, "GetConnectionUnixProcessID", name)[0])
        except BusError:  # it has just gone
            return None

    def call(self, service: str, path: str, interface: str, member: str, *words: str) -> list[Any]:
        """
        Call a method whose arguments are texts, and return what it returns.

        Raises:
            BusError: It fails, or takes too long.
        """
        self._serial += 1
        body = b""
        for word in words:
            body += _text(word, len(body))
        fields = [
            (_PATH, "o", path),
            (_INTERFACE, "s", interface),
            (_MEMBER, "s", member),
            (_DESTINATION, "s", service),
        ]
        header = b""
        for code, kind, value in [*fields, *([(_SIGNATURE, "g", "s" * len(words))] if words else [])]:
            header += b"\0" * (-len(header) % 8) + bytes([code, 1]) + kind.encode() + b"\0"
            raw = value.encode()
            header += bytes([len(raw)]) + raw + b"\0" if kind == "g" else _text(value, len(header))
        start = pack("<cBBBIII", b"l", _CALL, _NO_AUTO_START, 1, len(body), self._serial, len(header))
        try:
            self._wait()
            self._socket.sendall(start + header + b"\0" * (-len(header) % 8) + body)
            return self._answer(member)
        except BusError:
            raise
        except OSError as e:
            raise BusError(f"{service} does not answer: {e.strerror or e}") from e
        except (IndexError, struct.error) as e:
            raise BusError("a message that ends too early") from e

    def _answer(self, member: str) -> list[Any]:
        while True:
            kind, fields, body, order = self._message()
            if fields.get(_REPLY_SERIAL) != self._serial:
                continue  # a signal, or an answer to what was asked before
            signature = str(fields.get(_SIGNATURE, ""))
            values, at = [], 0
            for one in _split(signature):
                value, at = _value(one, body, at, order)
                values.append(value)
            if kind == _RETURN:
                return values
            raise BusError(f"{member}: {values[0] if values else 'it says no'}")

    def _message(self) -> tuple[int, dict[int, Any], bytes, str]:
        while len(self._read) < 16:  # noqa: PLR2004 - the fixed part of a header
            self._more()
        order = "<" if self._read[:1] == b"l" else ">"
        kind = self._read[1]
        length, _, header = unpack_from(f"{order}III", self._read, 4)
        begin = 16 + header + -header % 8
        if begin + length > _LARGEST:
            raise BusError("the system bus sends a message that is too large")
        while len(self._read) < begin + length:
            self._more()
        message, self._read = self._read[: begin + length], self._read[begin + length :]
        found, _ = _value("a(yv)", message[: 16 + header], 12, order)
        return kind, dict(found), message[begin:], order

    def _more(self) -> None:
        self._wait()
        some = self._socket.recv(65536)
        if not some:
            raise BusError("the system bus ended the connection")
        self._read += some

    def _wait(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise BusError("no answer on the system bus in time")
        self._socket.settimeout(left)


def _let_in(answer: bytes) -> None:
    if not answer.startswith(b"OK "):
        raise BusError("the system bus does not let nsctl in")


def _text(value: str, at: int) -> bytes:
    raw = value.encode()
    return b"\0" * (-at % 4) + pack("<I", len(raw)) + raw + b"\0"


def _split(signature: str) -> list[str]:
    # The complete types of a signature, one by one.
    found = []
    while signature:
        size = _length(signature)
        found.append(signature[:size])
        signature = signature[size:]
    return found


def _length(signature: str) -> int:
    if signature[:1] == "a":
        return 1 + _length(signature[1:])
    if signature[:1] not in {"(", "{"}:
        return 1
    depth = 0
    for n, letter in enumerate(signature, 1):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return n
    raise BusError(f"a message of no known shape: {signature!a}")


def _value(kind: str, data: bytes, at: int, order: str, depth: int = 0) -> tuple[Any, int]:
    # A value of one complete type, and where the next one begins.
    if depth > _DEEPEST:
        raise BusError("a message that is too deep")
    first = kind[:1]
    if first in _FIXED:
        size = calcsize(_FIXED[first])
        at += -at % size
        found: Any = unpack_from(order + _FIXED[first], data, at)[0]
        at += size
    elif first in {"s", "o", "g"}:
        head = 1 if first == "g" else 4
        at += -at % head
        size = data[at] if first == "g" else unpack_from(f"{order}I", data, at)[0]
        found = data[at + head : at + head + size].decode(errors="backslashreplace")
        at += head + size + 1
    elif first == "v":
        inner, at = _value("g", data, at, order, depth + 1)
        found, at = _value(inner, data, at, order, depth + 1)
    elif first == "a":
        found, at = _array(kind[1:], data, at, order, depth)
    elif first in {"(", "{"}:
        at += -at % 8
        values = []
        for one in _split(kind[1:-1]):
            value, at = _value(one, data, at, order, depth + 1)
            values.append(value)
        found = tuple(values)
    else:
        raise BusError(f"a message of no known shape: {kind!a}")
    if at > len(data):
        raise BusError("a message that ends too early")
    return found, at


def _array(kind: str, data: bytes, at: int, order: str, depth: int) -> tuple[Any, int]:
    size, at = _value("u", data, at, order, depth + 1)
    boundary = 8 if kind[:1] in {"(", "{", "x", "t", "d"} else 4 if kind[:1] in {"s", "o", "a", "b", "i", "u"} else 1
    at += -at % boundary
    end = at + size
    if end > len(data):
        raise BusError("a message that ends too early")
    values = []
    while at < end:
        value, at = _value(kind, data, at, order, depth + 1)
        values.append(value)
    return (dict(values) if kind[:1] == "{" else values), at
