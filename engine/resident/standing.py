"""How the resident process is, told from outside: it is not asked."""

from __future__ import annotations

import fcntl
import os

from nsctl.engine.resident import wire
from nsctl.engine.resident.code import PACKAGE

__all__ = ["LOCK", "changed_since", "holder", "somebody_listens", "state_of"]

LOCK = f"{wire.DIRECTORY}/resident.lock"
_LISTENS = 0x10000
"""__SO_ACCEPTCON of <linux/net.h>, as /proc/net/unix has it."""


def holder() -> tuple[int, bool] | None:
    """Who holds the lock, and whether systemd started it; None if nobody does."""
    try:
        fd = os.open(LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, _, how = os.pread(fd, 64, 0).decode("ascii", "replace").strip().partition(" ")
        return (int(pid), how == "systemd") if pid.isdigit() else None
    else:
        return None
    finally:
        os.close(fd)


def somebody_listens() -> bool:
    """Whether a process listens on the socket, be it only systemd; told without connecting, which would start it."""
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        sockets = [line.split() for line in file if line.rstrip().endswith(f" {wire.SOCKET}")]
    return any(int(fields[3], 16) & _LISTENS for fields in sockets)


def state_of(pid: int) -> str:
    """The letter that /proc has for the state of a process; empty for one that is not seen here."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:  # in another PID namespace, or gone
        return ""


def changed_since(moment: float) -> bool:
    """Whether any of nsctl's code was written since, in seconds of time.time()."""
    for folder, names, files in os.walk(PACKAGE, followlinks=True):
        names[:] = [name for name in names if name != "__pycache__"]
        if any(os.stat(os.path.join(folder, name)).st_ctime > moment for name in files if name.endswith(".py")):
            return True
    return False
