"""Raw netlink: what the kernel itself takes."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nsctl.engine.testing.namespaces import NEWNET, setns
from scripts.benchmark.cost import Work
from scripts.benchmark.host import Host
from scripts.benchmark.variant import BRIDGE, GATEWAY, Variant, address
from scripts.benchmark.variants.wire import VETH, Letters, Socket

__all__ = ["Floor"]


class Floor(Variant):
    """Links, addresses and routes only: no firewall, no forwarding, no sysctl, and namespaces without names."""

    key = "netlink"
    title = "raw netlink (floor)"
    note = "the kernel alone: links, addresses and routes, from a process that runs already; no firewall"
    quick = True
    strangers = False

    def __init__(self, software: Path | None = None) -> None:
        super().__init__(software)
        self._namespaces: dict[int, int] = {}  # descriptors
        self._letters: Letters

    def missing(self) -> str:
        """Whether pyroute2 is there."""
        return "" if importlib.util.find_spec("pyroute2") else "no pyroute2 (pip install -e '.[bench]')"

    def prepare(self, host: Host) -> None:
        """Encode."""
        del host
        self._letters = Letters()

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """In the measuring process: its CPU time counts."""
        with _own_time(work), Socket() as host:
            if numbers[0] == 1:
                host.send(*self._letters.bridge)
                host.send(self._letters.gateway(socket.if_nametoindex(BRIDGE)))
            bridge = socket.if_nametoindex(BRIDGE)
            home = host.netns()
            try:
                for number in numbers:
                    self._attach(host, home, bridge, number)
            finally:
                os.close(home)

    def _attach(self, host: Socket, home: int, bridge: int, number: int) -> None:
        _unshare()
        try:
            inside = Socket()
        finally:
            setns(home, NEWNET)
        with inside:
            self._namespaces[number] = fd = inside.netns()
            host.send(self._letters.veth(number, bridge, fd), count=VETH)
            inside.send(*self._letters.inside(address(number)))

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """The namespaces go, and the kernel takes their links with them in the background."""
        with _own_time(work):
            for number in reversed(numbers):
                os.close(self._namespaces.pop(number))
            if numbers[0] == 1:
                with Socket() as host:
                    host.send(self._letters.remove(socket.if_nametoindex(BRIDGE)))

    def check(self, work: Work, number: int) -> None:
        """It reaches its gateway; there is no way out."""
        with Socket() as host:
            home = host.netns()
        setns(self._namespaces[number], NEWNET)
        try:
            work.run("ping", "-q", "-n", "-c", "1", "-W", "5", str(GATEWAY))
        finally:
            setns(home, NEWNET)
            os.close(home)

    def finish(self, work: Work) -> None:
        """Namespaces live as long as somebody holds them."""
        del work
        while self._namespaces:
            os.close(self._namespaces.popitem()[1])


def _unshare() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


@contextmanager
def _own_time(work: Work) -> Iterator[None]:
    begun = resource.getrusage(resource.RUSAGE_THREAD)
    yield
    ended = resource.getrusage(resource.RUSAGE_THREAD)
    work.cpu += ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
