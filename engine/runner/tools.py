"""
Which file a tool's name stands for.

The environment's PATH is never used: only these directories, only files that belong to root and that nobody else may
write.
"""

from __future__ import annotations

import os
import stat
from functools import cache

from nsctl.engine.model.errors import Refused

__all__ = ["TOOL_PATH", "find_tool", "iptables_backend", "missing_tool"]

TOOL_PATH = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
_PACKAGES = {
    "ip": "iproute2",
    "bridge": "iproute2",
    "tc": "iproute2",
    "firewall-cmd": "firewalld",
    "iptables": "iptables",
    "iptables-restore": "iptables",
    "iptables-save": "iptables",
    "ip6tables": "iptables",
    "nft": "nftables",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "mount": "mount",
    "systemctl": "systemd",
    "sysctl": "procps",
    "pkill": "procps",
    "ping": "iputils-ping",
}


@cache
def find_tool(name: str, backend: str = "") -> str | None:
    """
    The path of a tool, or None.

    Args:
        name: A plain name.
        backend: For iptables and its kin: `nft` or `legacy`, to get the very back end that was used before.

    Raises:
        Refused: The file, or its directory, could have been put there by somebody other than root.
    """
    if "/" in name:
        return None
    names = [name]
    if backend and "tables" in name:
        head, _, tail = name.partition("-")
        names.insert(0, f"{head}-{backend}" + (f"-{tail}" if tail else ""))
    for candidate in names:
        for directory in TOOL_PATH:
            path = f"{directory}/{candidate}"
            try:
                st = os.stat(path)
                parent = os.stat(directory)
            except OSError:
                continue
            if not stat.S_ISREG(st.st_mode) or not st.st_mode & 0o111:
                continue
            if os.geteuid() == 0 and (st.st_uid or parent.st_uid or (st.st_mode | parent.st_mode) & 0o022):
                raise Refused(
                    f"{path} could have been put there by somebody other than root",
                    hint=f"chown root {path}; chmod go-w {path}",
                )
            return path
    return None


def missing_tool(name: str) -> Refused:
    """The error for a tool that is not there."""
    package = _PACKAGES.get(name)
    return Refused(
        f"the tool '{name}' is missing",
        hint=f"apt install {package}" if package else f"looked in {':'.join(TOOL_PATH)}",
    )


@cache
def iptables_backend() -> str:
    """
    `nft` or `legacy`: where the symbolic links of `iptables` lead; empty where it is missing.

    The multi-call binary goes by the name it is called by, so the last link of that name counts.
    """
    path = find_tool("iptables")
    for _ in range(8):
        if path is None:
            return ""
        base = os.path.basename(path)
        if "nft" in base:
            return "nft"
        if "legacy" in base:
            return "legacy"
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:
            break
    return "legacy" if path else ""  # before 1.8 there was only one
