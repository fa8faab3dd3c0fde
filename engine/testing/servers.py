"""
Servers and clients in network namespaces, without processes.

A socket belongs to the network namespace in which it was made, whoever uses it: a thread enters the namespace, makes
the socket and hands it over.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from nsctl.engine.testing.lab import Lab
from nsctl.engine.testing.namespaces import NEWNET, setns

INTERNET: Final = "internet/"
"""As a place: the neighbour. (The slash keeps it from being the name of a namespace.)"""

ANY = "0.0.0.0"  # noqa: S104  of a namespace, that is
"""All addresses of the place."""

Place = str | int | None
"""
Where a socket is made: None is the lab host, `INTERNET` the neighbour, text a name in /run/netns, a number a process.
"""


@dataclass
class Server:
    """A server in a thread: what it received, and from which addresses."""

    port: int
    peers: list[str] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)


def socket_in(
    lab: Lab, place: Place = None, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET
) -> socket.socket:
    """
    A socket that belongs to a network namespace of a lab.

    Args:
        lab: The lab.
        place: See `Place`; a number is a process's as the test process sees it.
        kind: SOCK_STREAM, SOCK_DGRAM, …
        family: AF_INET, AF_INET6, …
    """
    fd = _namespace(lab, place)
    try:
        return _in_a_thread(fd, family, kind)
    finally:
        os.close(fd)


def _namespace(lab: Lab, place: Place) -> int:
    match place:
        case None:
            path, call = f"/proc/{lab.pid}/ns/net", None
        case int():
            path, call = f"/proc/{place}/ns/net", None
        case "internet/":
            path, call = f"/proc/{lab.internet_pid}/ns/net", None
        case _:
            path, call = f"/run/netns/{place}", lab
    if call is None:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return lab.call(os.open, path, os.O_RDONLY | os.O_CLOEXEC)


def _in_a_thread(fd: int, family: int, kind: int) -> socket.socket:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_make, fd, family, kind).result()


def _make(fd: int, family: int, kind: int) -> socket.socket:
    setns(fd, NEWNET)
    return socket.socket(family, kind)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def tcp_server(
    lab: Lab, place: Place = None, address: str = ANY, port: int = 0, reply: bytes = b"hello"
) -> Iterator[Server]:
    """
    A TCP server that sends `reply` to whoever connects, until the block ends.

    Args:
        lab: The lab.
        place: Where.
        address: At which of the place's addresses.
        port: 0 takes a free one; see `Server.port`.
        reply: What it sends.

    Raises:
        OSError: The address is in use, or not there.
    """
    with socket_in(lab, place, family=_family(address)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(64)
        server = Server(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    connection, peer = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), connection:
                    server.peers.append(peer[0])
                    connection.settimeout(2)
                    connection.sendall(reply)

        with _thread(serve, listener):
            yield server


@contextlib.contextmanager
def udp_server(lab: Lab, place: Place = None, address: str = ANY, port: int = 0) -> Iterator[Server]:
    """A UDP server that sends back what it gets, until the block ends."""
    with socket_in(lab, place, socket.SOCK_DGRAM, _family(address)) as listener:
        listener.bind((address, port))
        server = Server(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    message, peer = listener.recvfrom(65536)
                except OSError:
                    return
                if not peer:
                    return  # shut down
                server.peers.append(peer[0])
                server.received.append(message)
                with contextlib.suppress(OSError):
                    listener.sendto(message, peer)

        with _thread(serve, listener):
            yield server


@contextlib.contextmanager
def _thread(serve: Callable[[], None], listener: socket.socket) -> Iterator[None]:
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        # Wakes the thread up; a UDP socket that is not connected says so, and wakes all the same.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def ask_tcp(lab: Lab, place: Place, address: str, port: int, *, timeout: float = 2.0) -> bytes | None:
    """What a TCP server says at first; None if nobody answers (or refuses) within `timeout` seconds."""
    with socket_in(lab, place, family=_family(address)) as client:
        client.settimeout(timeout)
        try:
            client.connect((address, port))
            return client.recv(65536)
        except OSError:
            return None


def ask_udp(
    lab: Lab, place: Place, address: str, port: int, message: bytes = b"hello", *, timeout: float = 2.0
) -> bytes | None:
    """What comes back for a datagram; None if nothing does within `timeout` seconds."""
    with socket_in(lab, place, socket.SOCK_DGRAM, _family(address)) as client:
        client.settimeout(timeout)
        try:
            client.connect((address, port))
            client.send(message)
            return client.recv(65536)
        except OSError:
            return None
