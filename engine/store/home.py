"""
Where a store is at home: the boot and the namespaces that its rows speak of.

From another PID or time namespace the same processes have other numbers and start times, from another mount namespace
/run/netns may be empty: what only can't be seen from there must never count as gone.
"""

from __future__ import annotations

import os
import re

from nsctl.engine.host.setns import NETNS_DIR, own_cookie
from nsctl.engine.store.database import Elsewhere

__all__ = ["check_home", "here", "netns_place"]

_KINDS = {"net": "network", "pid": "PID", "time": "time", "mnt": "mount"}
_FLAGS = {"net": "-n", "pid": "-p", "time": "-T", "mnt": "-m"}
"""Of nsenter(1)."""
_PEERS = rf"^\d+ \d+ \S+ \S+ {NETNS_DIR} \S+ .*?shared:(\d+).* - "


def here() -> dict[str, str]:
    """The namespaces of this process: kind → inode number, and the network's cookie, which is never reused."""
    found = {kind: inode for kind in _KINDS if (inode := _inode("self", kind))}
    cookie = own_cookie()
    return found if cookie is None else found | {"cookie": str(cookie)}


def netns_place() -> dict[str, str]:
    """Which directory /run/netns is, and its mount peer group; empty where there is none."""
    try:
        status = os.stat(NETNS_DIR)
    except OSError:
        return {}
    place = {"dir": f"{status.st_dev}:{status.st_ino}"}
    if peers := _peers():
        place["peers"] = peers
    return place


def check_home(home: dict[str, str], place: str) -> None:
    """
    Refuse to act, or to tell, from where a store's rows can't be seen.

    Args:
        home: What `here` and `netns_place` gave where the rows were written.
        place: The state directory, for messages.

    Raises:
        Elsewhere: This is not where they were.
    """
    now = here()
    observed = ("net", "pid", "time")
    away: list[str] = [kind for kind in observed if kind in home and home[kind] != now.get(kind)]
    if not away and "cookie" in home and "cookie" in now and home["cookie"] != now["cookie"]:
        away = ["net"]
    # What is mounted at /run/netns in one of them shows in the other, if it is the same shared mount.
    shared = home.get("peers") and home["peers"] == _peers()
    if not away and "mnt" in home and home["mnt"] != now.get("mnt") and not shared:
        away = ["mnt"]
    if away:
        kinds = " and ".join(_KINDS[kind] for kind in away)
        raise Elsewhere(
            f"the sandboxes in {place} were made in another {kinds} namespace, and can't be seen from this one",
            hint=_way_back(home, away),
        )
    if "dir" in home and netns_place().get("dir", home["dir"]) != home["dir"]:
        raise Elsewhere(
            f"{NETNS_DIR} is another directory than it was, so the namespaces of the sandboxes can't be seen",
            hint=f"something is mounted over it: umount {NETNS_DIR}",
        )


def _way_back(home: dict[str, str], away: list[str]) -> str:
    pids = sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), key=lambda pid: (pid != 1, pid))
    # Whoever sees other PIDs may see the processes there, too, but not under which number they see themselves.
    kinds = [kind for kind in _KINDS if kind in home]
    for pid in pids:
        if all(_inode(str(pid), kind) == home[kind] for kind in kinds):
            flags = " ".join(_FLAGS[kind] for kind in away)
            return f"run it there: nsenter -t {pid} {flags} -- nsctl ..."
    if "pid" in away:
        return "no process of that namespace can be seen from here: run nsctl where they were made"
    return "run nsctl where they were made, or set NSCTL_STATE_DIR"


def _inode(pid: str, kind: str) -> str:
    try:
        return str(os.stat(f"/proc/{pid}/ns/{kind}").st_ino)
    except OSError:
        return ""


def _peers() -> str:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            found = re.findall(_PEERS, file.read(), re.MULTILINE)
    except OSError:
        return ""
    return found[-1] if found else ""
