"""Tools, and whether nsctl may do what it has to."""

from __future__ import annotations

import sys

from nsctl.engine.doctor.finding import FAIL, OK, WARN, Finding, Scene, text
from nsctl.engine.model.errors import Refused
from nsctl.engine.runner.tools import find_tool, missing_tool

__all__ = ["interpreter", "needed", "privileges", "useful"]

_NEEDED = ("ip", "iptables", "iptables-save", "iptables-restore", "unshare", "nsenter", "setpriv", "setsid", "mount")
_AND = ("umount", "sysctl", "pkill", "sh", "install", "mkdir", "rm", "rmdir")
_VERSIONS = {"ip": ("ip", "-V"), "iptables": ("iptables", "-V"), "unshare": ("unshare", "-V")}
_USEFUL = {
    "nft": ("nftables", "rules of nftables that drop packets can't be found"),
    "conntrack": ("conntrack", "flows that began while rules were missing go on when repair has put these back"),
}
_CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN", 18: "CAP_SYS_CHROOT", 19: "CAP_SYS_PTRACE", 5: "CAP_KILL"}
"""Bits of linux/capability.h."""


def privileges(scene: Scene) -> Finding:
    """Root, with the capabilities that namespaces and links take."""
    if not scene.root:
        return Finding(WARN, "not root: what only root can see is left out", "sudo nsctl doctor")
    effective = next(
        (line.split()[1] for line in (text("/proc/self/status") or "").splitlines() if "CapEff" in line), ""
    )
    held = int(effective or "0", 16)
    lacking = [name for bit, name in _CAPABILITIES.items() if not held >> bit & 1]
    if lacking:
        return Finding(FAIL, f"root without {', '.join(lacking)}", "is this a container? run nsctl on the host itself")
    return Finding(OK, "root, with all it takes")


def interpreter(_: Scene) -> Finding:
    """The interpreter."""
    return Finding(OK, f"{sys.version.split()[0]} ({sys.executable})")


def needed(scene: Scene) -> Finding:
    """The tools that plans are made of: there, root's, and with a version."""
    for tool in (*_NEEDED, *_AND):
        try:
            if find_tool(tool) is None:
                raise missing_tool(tool)
        except Refused as e:
            return Finding(FAIL, e.message, e.hint)
    found = []
    for tool, argv in _VERSIONS.items():
        status, output = scene.run(argv)
        if status != 0:
            return Finding(
                FAIL, f"{tool} does not start: {' '.join(argv)} exits with {status}", f"run it: {' '.join(argv)}"
            )
        found.append(_version(tool, output))
    return Finding(OK, ", ".join(found))


def _version(tool: str, output: str) -> str:
    words = output.replace("iproute2-", "iproute2 ").replace(",", " ").split()
    number = next((word for word in words if word.strip("v")[:1].isdigit()), "?")
    return f"{tool} {number.strip('v')}"


def useful(_: Scene) -> Finding:
    """The tools that nsctl can do without."""
    lacking = []
    for tool, (package, loss) in _USEFUL.items():
        try:
            if find_tool(tool) is None:
                lacking.append((f"{tool} is missing: {loss}", package))
        except Refused as e:
            return Finding(WARN, e.message, e.hint)
    if lacking:
        return Finding(WARN, "; ".join(what for what, _ in lacking), f"apt install {' '.join(p for _, p in lacking)}")
    return Finding(OK, f"{', '.join(_USEFUL)} are there")
