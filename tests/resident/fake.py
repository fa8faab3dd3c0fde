"""A server that is not what it should be; run in a lab as `python -I fake.py WHAT`, for one client."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from nsctl.engine.cli.resident import _bound
from nsctl.engine.resident import wire
from nsctl.engine.resident.caller import received

WHAT = sys.argv[1]
LATE = 1.0


def main() -> None:
    sleeper = os.fork()
    if sleeper == 0:
        os.closerange(0, 10)
        time.sleep(60)
        os._exit(0)
    listening = _bound()
    sys.stdout.write("listens\n")
    sys.stdout.flush()
    if WHAT == "never accepts":
        time.sleep(60)
    connection, _ = listening.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    if WHAT == "closes":
        return
    if WHAT == "is silent":
        time.sleep(60)
    shown = os.getpid() if WHAT == "greets and is silent" else sleeper  # whom the client kills where it gives up
    socket.send_fds(connection, [wire.joined([[wire.HELLO]])], [os.pidfd_open(shown)])
    if WHAT == "greets and is silent":
        os.kill(os.getpid(), signal.SIGSTOP)
    ticket = received(connection).files[0]
    if WHAT.startswith("refuses"):
        connection.send(wire.joined([[wire.REFUSED, b"no"]]))
    elif WHAT == "babbles":
        connection.send(b"\xff\xfe")
    elif WHAT == "says that it has ended, without having begun":
        connection.send(wire.joined([[wire.ENDED, b"0"]]))
    elif WHAT == "wants it too late":
        time.sleep(LATE)
        sys.stdout.write("had it\n" if _took(ticket) else "had it not\n")
    elif _took(ticket):
        _go_on(connection)


def _took(ticket: int) -> bool:
    try:
        return os.read(ticket, 1) == b"1"
    except BlockingIOError:
        return False


def _go_on(connection: socket.socket) -> None:
    if WHAT == "begins and is gone":
        return
    if WHAT == "begins and babbles":
        connection.send(b"\xff\xfe")
        return
    if WHAT == "begins and says so late":
        time.sleep(LATE)
    connection.send(wire.joined([[wire.BEGUN]]))
    if WHAT == "begins, and is killed by TERM":
        connection.send(wire.joined([[wire.DIED, b"%d" % signal.SIGTERM]]))
    elif WHAT != "begins, says so, and is gone":
        connection.send(wire.joined([[wire.ENDED, b"7"]]))


main()
