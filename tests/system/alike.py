"""Snapshots made comparable where the same thing was made twice: what a thing is counts, not which one it is."""

from __future__ import annotations

import re
from typing import Any

from tests.lab import Lab, Snapshot, snapshot

_NUMBERED = re.compile(r"(net|mnt|pid):\[\d+\]")
_GIVEN_OUT = {"link_netnsid", *(f"info_slave_data.{port}" for port in ("id", "no", "designated_port"))}


def alike(lab: Lab) -> Snapshot:
    """
    A snapshot without the numbers that the kernel gives out: interfaces, ports, inodes, processes, peers' namespaces.
    """
    found = snapshot(lab, ifindex=False)
    out: dict[str, dict[str, Any]] = {}
    for name, section in found.sections.items():
        if name == "namespaces":
            out[name] = dict.fromkeys(section, "there")
        elif name == "processes":
            commands = [_without_pid(key) for key in section]
            out[name] = {command: commands.count(command) for command in sorted(commands)}
        elif name == "files":
            out[name] = {k: "its own" if k.endswith((".pid", "/init.mounts")) else v for k, v in section.items()}
        elif name == "mounts":
            out[name] = {k: sorted(_NUMBERED.sub(r"\1:[N]", line) for line in v) for k, v in section.items()}
        elif name == "links" or name.startswith("links in "):
            out[name] = {
                k: {a: b for a, b in v.items() if a not in _GIVEN_OUT} if isinstance(v, dict) else v
                for k, v in section.items()
            }
        else:
            out[name] = section
    return Snapshot(out)


def _without_pid(key: str) -> str:
    return key.partition(" ")[2]
