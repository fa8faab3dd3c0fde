"""
firewalld on a lab host: the real one, with a bus of its own, or a stand-in for sweeps, which have no second to wait.

The stand-in answers on the bus what nsctl asks, and its `firewall-cmd` knows what nsctl says; zones are lines in a
file.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from struct import pack, unpack_from

from nsctl.engine.testing.lab import Lab
from tests.lab.mounts import MS_BIND, mount

__all__ = ["FakeFirewalld", "start_firewalld"]

_BUS = "/run/dbus/system_bus_socket"
_CLIENT = "/usr/bin/firewall-cmd"
_START = """\
mkdir -p /run/etc-firewalld /run/dbus
cp -a /etc/firewalld/. /run/etc-firewalld/
mount --bind /run/etc-firewalld /etc/firewalld
sed -i 's/^FirewallBackend=.*/FirewallBackend={}/' /etc/firewalld/firewalld.conf
dbus-daemon --system --fork --nopidfile
firewalld --nopid
"""
_FAKE_CLIENT = """\
#!/bin/sh
# Stands in for firewall-cmd: --zone=ZONE --add-interface=LINK, or --remove-interface=LINK.
zone=${1#--zone=} link=${2#*=}
case $2 in
--add-interface=*)
    while read -r there name; do
        [ "$name" = "$link" ] || continue
        [ "$there" = "$zone" ] || { echo "Error: ZONE_CONFLICT: '$link' already bound to '$there'" >&2; exit 16; }
        echo "Warning: ZONE_ALREADY_SET: '$link' already bound to '$zone'" >&2
        exit 0
    done </run/zones
    { cat /run/zones; echo "$zone $link"; } >/run/.zones.$$ ;;
--remove-interface=*)
    grep -qx "$zone $link" /run/zones || { echo "Error: UNKNOWN_INTERFACE: '$link' is not in any zone" >&2; exit 17; }
    grep -vx "$zone $link" /run/zones >/run/.zones.$$ ;;
*) exit 2 ;;
esac
mv /run/.zones.$$ /run/zones
echo success
"""


def start_firewalld(lab: Lab, backend: str = "nftables", *, within: float = 60.0) -> None:
    """
    Start a bus and the real firewalld on a lab host, with a configuration of their own; both end with the lab.

    Args:
        lab: The lab.
        backend: `nftables` or `iptables`.
        within: How long that may take; seconds.

    Raises:
        AssertionError: It does not run by then.
    """
    lab.run(["sh", "-ec", _START.format(backend)], check=True)
    until_running(lab, within=within)


def until_running(lab: Lab, *, within: float = 60.0) -> None:
    """
    Wait until firewalld answers.

    Raises:
        AssertionError: It does not by then.
    """
    deadline = time.monotonic() + within
    while lab.run(["firewall-cmd", "--state"]).returncode != 0:
        if time.monotonic() > deadline:
            raise AssertionError("firewalld does not run")
        time.sleep(0.1)


class FakeFirewalld:
    """
    The stand-in.

    Args:
        lab: Where it runs; it ends with the test process, and no process of the lab belongs to it.
    """

    def __init__(self, lab: Lab) -> None:
        lab.write("/run/zones", "")
        lab.write("/run/firewall-cmd", _FAKE_CLIENT, 0o755)
        self.silent = False
        """Whether it has stopped answering."""
        self._run = lab.call(os.open, "/run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._listener = lab.call(self._bind)
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def _bind() -> socket.socket:
        mount("/run/firewall-cmd", _CLIENT, flags=MS_BIND)
        Path(_BUS).parent.mkdir(exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(_BUS)
        listener.listen(64)
        return listener

    def close(self) -> None:
        """End it."""
        if self._run >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            os.close(self._run)
            self._run = -1

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client:
            try:
                if client.recv(4096).startswith(b"\0AUTH EXTERNAL ") and not self.silent:
                    client.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
                    self._answers(client, b"")
            except OSError:
                return
            while self.silent:
                time.sleep(0.01)

    def _answers(self, client: socket.socket, data: bytes) -> None:
        while not data.startswith(b"BEGIN\r\n"):
            data += client.recv(4096)
        data = data.removeprefix(b"BEGIN\r\n")
        while not self.silent:
            while len(data) < 16 or len(data) < size(data):
                some = client.recv(4096)
                if not some:
                    return
                data += some
            message, data = data[: size(data)], data[size(data) :]
            client.sendall(reply(unpack_from("<I", message, 8)[0], *self._answer(message)))

    def _answer(self, message: bytes) -> tuple[str, bytes]:
        if b"NameHasOwner" in message:
            return "b", pack("<I", 1)
        if b"GetConnectionUnixProcessID" in message:
            return "u", pack("<I", 1)
        if b"getActiveZones" in message:
            return "a{sa{sas}}", zones(self._zones())
        return "s", text(":1.1", 0)

    def _zones(self) -> dict[str, list[str]]:
        fd = os.open("zones", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._run)
        with os.fdopen(fd, encoding="utf-8") as file:
            found: dict[str, list[str]] = {}
            for line in file:
                zone, link = line.split()
                found.setdefault(zone, []).append(link)
        return found


def size(message: bytes) -> int:
    """How long a message is that begins so; bytes."""
    length, _, header = unpack_from("<III", message, 4)
    return int(16 + header + -header % 8 + length)


def reply(serial: int, signature: str, body: bytes) -> bytes:
    """A message that returns from a call."""
    header = pack("<BB2sI", 5, 1, b"u\0", serial)  # REPLY_SERIAL
    header += pack("<BB2sB", 8, 1, b"g\0", len(signature)) + signature.encode() + b"\0"
    start = pack("<cBBBIII", b"l", 2, 1, 1, len(body), 1, len(header))
    return start + header + b"\0" * (-len(header) % 8) + body


def text(value: str, at: int) -> bytes:
    """A text, as it stands at a place of a message's body."""
    raw = value.encode()
    return b"\0" * (-at % 4) + pack("<I", len(raw)) + raw + b"\0"


def zones(found: dict[str, list[str]]) -> bytes:
    """What getActiveZones returns."""
    # Each array's length stands before it, and what is in it begins at a multiple of eight or four.
    entries = b""
    for zone, links in found.items():
        entries += b"\0" * (-len(entries) % 8) + text(zone, 0)
        entries += b"\0" * (-len(entries) % 4)
        names = b""
        for link in links:
            names += text(link, len(names))
        head = text("interfaces", 0)
        inner = head + b"\0" * (-len(head) % 4) + pack("<I", len(names)) + names
        place = len(entries) + 4
        entries += pack("<I", len(inner)) + b"\0" * (-place % 8) + inner
    return pack("<I", len(entries)) + b"\0" * 4 + entries
