"""Canaries: things on a lab host that look like nsctl's and are not. Whatever happens, they stay as they are."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import Any

from nsctl.engine.testing import files
from nsctl.engine.testing.lab import Lab
from nsctl.engine.testing.snapshot import Snapshot, snapshot

_LINKS = """\
link add name nsbr9 address 02:6e:73:00:00:09 type bridge
link set dev nsbr9 addrgenmode none
address add 10.99.9.1/24 dev nsbr9
link set dev nsbr9 alias nsctl:not-ours
link add name ns-xyz address 02:6e:73:00:00:0a master nsbr9 type veth peer name ns-xyz-eth1 address 02:6e:73:00:00:0b
link set dev ns-xyz addrgenmode none
link set dev ns-xyz-eth1 addrgenmode none
link set dev nsbr9 up
link set dev ns-xyz up
link set dev ns-xyz-eth1 up
address add 198.51.100.77/32 dev lo
route add 192.0.2.128/25 via 10.99.9.2 dev nsbr9
route add blackhole 192.0.2.0/26 table 77
rule add from 192.0.2.0/26 lookup 77 priority 77
netns add webby
netns add neighbour
"""
_RULES = """\
*filter
:NSCTL-OTHER - [0:0]
-A FORWARD -s 192.0.2.0/24 -j ACCEPT
-A FORWARD -i nsbr9 -m comment --comment "nsctl:not-ours" -j NSCTL-OTHER
-A NSCTL-OTHER -o nsbr9 -j ACCEPT
COMMIT
*nat
:NSCTL-ELSE - [0:0]
-A POSTROUTING -s 10.99.9.0/24 ! -o nsbr9 -m comment --comment "nsctl" -j MASQUERADE
-A PREROUTING -p tcp --dport 8099 -j NSCTL-ELSE
-A NSCTL-ELSE -p tcp --dport 8099 -j DNAT --to-destination 10.99.9.2:80
COMMIT
"""
_RULES6 = """\
*filter
:NSCTL-OTHER - [0:0]
-A FORWARD -s 2001:db8:99::/48 -m comment --comment "nsctl:not-ours" -j NSCTL-OTHER
COMMIT
"""


_LENT = ("net/ipv4/conf/ns-xyz-eth1/forwarding", "0")
"""As a link of the host's that is no port it forwards while a network with a way out is up; then it does not again."""


@dataclass(frozen=True)
class Canaries:
    """What was planted: section and name → what it is."""

    planted: dict[tuple[str, str], Any]


def plant_canaries(lab: Lab) -> Canaries:
    """
    Plant a bridge, a veth pair, addresses, routes, a rule, firewall chains and rules, namespaces, a process and files.
    """
    before = snapshot(lab)
    lab.run(["ip", "-batch", "-"], input=_LINKS, check=True)
    lab.run(["iptables-restore", "--noflush"], input=_RULES, check=True)
    lab.run(["ip6tables-restore", "--noflush"], input=_RULES6, check=True)
    lab.write("/proc/sys/net/ipv4/conf/nsbr9/forwarding", "1")
    lab.write("/run/nsctl-not-ours", "an administrator's\n")
    lab.write("/run/nsctl.d/sandboxes/web/init.pid", "1\n")
    lab.popen(
        ["nsenter", "--net=/run/netns/webby", "sleep", "1000009"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _wait_for_process(lab, "sleep 1000009")
    _wait_for_carrier(lab, "nsbr9")
    after = snapshot(lab)
    return Canaries(
        {
            (section, name): value
            for section, entries in after.sections.items()
            for name, value in entries.items()
            if before.sections.get(section, {}).get(name) != value and (name, value) != _LENT
        }
    )


def _wait_for_process(lab: Lab, words: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if any(words in name and "nsenter" not in name for name in lab.call(files.processes)):
            return
        time.sleep(0.001)
    raise AssertionError(f"{words} did not start")


def _wait_for_carrier(lab: Lab, link: str) -> None:
    # The kernel deals with it some time after the command, and adds routes then.
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if " state UP " in lab.run(["ip", "-oneline", "link", "show", "dev", link], check=True).stdout:
            return
        time.sleep(0.001)
    raise AssertionError(f"{link} has no carrier")


def canaries_alive(lab: Lab, canaries: Canaries, now: Snapshot | None = None) -> None:
    """
    Every canary is there, and as it was planted.

    Others may have added to the same chains: of the lines of a chain, those planted must be there, in their order.

    Args:
        now: A snapshot that was taken anyway.

    Raises:
        AssertionError: Some are not; all are named.
    """
    sections = (now or snapshot(lab)).sections
    harmed = []
    for (section, name), planted in canaries.planted.items():
        found = sections.get(section, {}).get(name)
        if isinstance(planted, list) and isinstance(found, list):
            lines = iter(found)
            intact = all(line in lines for line in planted)
        else:
            intact = found == planted
        if not intact:
            harmed.append(f"{section}: {name}: was {planted}, is {found}")
    if harmed:
        raise AssertionError("canaries were harmed:\n  " + "\n  ".join(harmed))
