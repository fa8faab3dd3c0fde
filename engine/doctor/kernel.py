"""Kernel features: looked up, and tried only where a trial can load no module."""

from __future__ import annotations

import os

from nsctl.engine.doctor.finding import FAIL, OK, WARN, Finding, Scene, exists, text

__all__ = ["features", "namespaces", "tracking", "version"]

_COOKIE = (5, 14)
_KINDS = ("net", "mnt", "pid", "uts", "ipc")
_LIMITS = {"net": "net", "mnt": "mnt", "pid": "pid", "uts": "uts", "ipc": "ipc"}
_MODULES = {
    "bridge": ("bridge", "ip link add name nsctl0 type bridge"),
    "veth": ("veth", "ip link add name nsctl0 type veth peer name nsctl1"),
    "nf_nat": ("NAT", "iptables -t nat -A POSTROUTING -j MASQUERADE"),
    "nf_conntrack": ("connection tracking", "iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"),
    "xt_comment": ("comments in rules", "iptables -A FORWARD -m comment --comment x -j ACCEPT"),
}
"""Module → what it is, and what a trial of it is, in a network namespace of its own."""
_FULL = 0.9


def version(_: Scene) -> Finding:
    """The kernel's version."""
    release = os.uname().release
    numbers = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in release.split(".")[:2])
    if numbers < _COOKIE:
        return Finding(
            WARN,
            f"Linux {release} has no cookies for network namespaces: one that was replaced can look like the old one",
            "Linux 5.14 and later have them",
        )
    return Finding(OK, f"Linux {release}")


def namespaces(_: Scene) -> Finding:
    """The kinds of namespaces, and whether any may be made."""
    missing = [kind for kind in _KINDS if not exists(f"/proc/self/ns/{kind}")]
    if missing:
        return Finding(
            FAIL, f"the kernel has no namespaces of the kind {', '.join(missing)}", "another kernel is needed"
        )
    none = [kind for kind in _LIMITS if text(f"/proc/sys/user/max_{kind}_namespaces") == "0"]
    if none:
        keys = " ".join(f"user.max_{kind}_namespaces=10000" for kind in none)
        return Finding(FAIL, f"no namespace may be made of the kind {', '.join(none)}", f"sysctl -w {keys}")
    return Finding(OK, ", ".join(_KINDS))


def features(scene: Scene) -> Finding:
    """Links and parts of the packet filter that a bridge network needs."""
    places = [f"/lib/modules/{os.uname().release}/{name}" for name in ("modules.builtin", "modules.dep")]
    known = " ".join(found for path in places if (found := text_of_all(path)) is not None)
    lacking, unknown = [], []
    for module, (what, trial) in _MODULES.items():
        if exists(f"/sys/module/{module}") or f"/{module}.ko" in known:
            continue
        if known:  # the trial might load a module, for good
            lacking.append(what)
        elif not scene.root:
            unknown.append(what)
        elif scene.run(("unshare", "--net", "--", *trial.split()))[0] != 0:
            lacking.append(what)
    if lacking:
        return Finding(FAIL, f"the kernel has no {', '.join(lacking)}", "another kernel, or the rest of its modules")
    if unknown:
        return Finding(
            WARN, f"whether the kernel has {', '.join(unknown)} can't be told without root", "sudo nsctl doctor"
        )
    return Finding(OK, ", ".join(what for what, _ in _MODULES.values()))


def text_of_all(path: str) -> str | None:
    """A list of modules, which may be long."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return None


def tracking(_: Scene) -> Finding:
    """How full the table of connections is: when it is, new ones are dropped."""
    count, limit = (text(f"/proc/sys/net/netfilter/nf_conntrack_{name}") for name in ("count", "max"))
    if not (count or "").isdigit() or not (limit or "").isdigit() or limit == "0":
        return Finding(OK, "no connection is tracked so far")
    used, most = int(count or 0), int(limit or 0)
    if used > most * _FULL:
        hint = f"sysctl -w net.netfilter.nf_conntrack_max={most * 2}"
        return Finding(WARN, f"{used} of {most} connections are tracked: new ones are dropped when it is full", hint)
    return Finding(OK, f"{used} of {most} connections")
