"""iptables, and who else manages packet filters."""

from __future__ import annotations

import os

from nsctl.engine.doctor.finding import FAIL, OK, WARN, Finding, Scene, exists, text

__all__ = ["backend", "managers"]

_DAEMONS = {"firewalld": "firewalld", "dockerd": "docker", "libvirtd": "libvirt", "virtnetworkd": "libvirt"}
"""The name of a process → whose it is."""
_LINKS = {"docker0": "docker", "virbr0": "libvirt", "podman0": "podman", "cni0": "kubernetes", "lxcbr0": "lxc"}


def backend(scene: Scene) -> Finding:
    """Which back end iptables drives, and whether the other one has rules too."""
    found = scene.facts.firewall
    if not found.backend:
        return Finding(FAIL, "iptables is missing", "apt install iptables")
    if found.mixed:
        return Finding(
            FAIL,
            f"the host has {found.mixed} iptables rules, while iptables drives {found.backend}",
            "two back ends contradict each other: move all rules to one (update-alternatives --config iptables)",
        )
    if scene.host.unseen:
        how = "" if scene.root else "sudo nsctl doctor"
        return Finding(WARN, f"iptables drives {found.backend}; {'; '.join(scene.host.unseen)}", how)
    policies = {rules.policy("filter", "FORWARD") for rules in scene.host.rulesets} - {"-"}
    policy = f", policy of FORWARD: {' '.join(sorted(policies))}" if policies else ""
    return Finding(OK, f"iptables drives {found.backend}{policy}")


def managers(scene: Scene) -> Finding:
    """Who else manages packet filters or networks on this host."""
    found = {owner for link, owner in _LINKS.items() if link in scene.host.links}
    found |= _running()
    if "ENABLED=yes" in (text("/etc/ufw/ufw.conf") or "").split() and exists("/usr/sbin/ufw"):
        found.add("ufw")
    if not found:
        return Finding(OK, "nobody else manages the firewall")
    return Finding(OK, f"{', '.join(sorted(found))}: its rules are left as they are, see the way out below")


def _running() -> set[str]:
    found: set[str] = set()
    own = _netns("self")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        name = _DAEMONS.get(text(f"/proc/{pid}/comm") or "")
        # One in a network namespace of its own is no affair of this host's.
        if name and _netns(pid) in {own, None}:
            found.add(name)
    return found


def _netns(pid: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None
