"""
A client that wants more than it may; run in a lab as `python -I liar.py LIE`, it tells why it was refused.

What it asks for is `up none --name lie`, which must not come to be.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from nsctl.engine.resident import client, wire

LIE = sys.argv[1]
ARGV = ["nsctl", "-v", "up", "none", "--name", "lie"]


class Liar(client._Client):
    def _memory(self, server: int) -> int:
        shown = {
            "its own memory": "/proc/self/mem",
            "another's memory": "/proc/1/mem",
            "no memory": "/dev/null",
            "memory that it can't write": f"/proc/{server}/mem",
        }
        if LIE in shown:
            return os.open(shown[LIE], os.O_RDONLY if "can't" in LIE else os.O_RDWR)
        memory = super()._memory(server)
        if LIE == "fewer rights since":
            os.setresgid(7, 7, 0)
        if LIE == "a connection of somebody else's" and os.fork():
            os.wait()
            os._exit(0)
        return memory

    def run(self, argv: list[str]) -> int:
        if LIE != "a number that was used again":
            return super().run(argv)
        return _again(self, argv)


def _again(liar: Liar, argv: list[str]) -> int:
    """Who connected ends, and another process has its number, and the connection."""
    first = os.fork()
    if first == 0:
        liar._socket.connect(wire.SOCKET)
        os._exit(0)
    os.waitpid(first, 0)
    with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
        file.write(str(first - 1))
    second = os.fork()
    if second:
        os.waitpid(second, 0)
        os._exit(0 if second == first else 1)
    server, _ = liar._server()
    liar._hold()
    liar._argv, liar._serving = argv, server
    liar._until = time.monotonic() + 5
    return liar._wait()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    liar = Liar()
    try:
        told = f"begun {liar.run(ARGV)}"
    except (client._NotAskedError, OSError) as e:
        told = str(e)
    sys.stdout.write(f"{told}\n")


main()
