"""
The laboratory: hosts made of namespaces, in which system tests and fault tests do what they like.

A test asks for the fixture `lab` (or `lab_factory`, for several) and works with the functions below.
`host` describes what a lab is, `snapshot` what counts as a change, `shims` the faults that can be injected into tools,
`strace` those into nsctl itself.
"""

from __future__ import annotations

from tests.lab.canaries import Canaries, canaries_alive, plant_canaries
from tests.lab.firewalld import FakeFirewalld, start_firewalld
from tests.lab.host import (
    ENVIRONMENT,
    HOST_ADDRESS,
    INTERNET_ADDRESS,
    Lab,
    LabError,
    kill_group,
    nsctl_argv,
)
from tests.lab.leftovers import leftovers
from tests.lab.misfortunes import full, reboot, set_boot_id
from tests.lab.needs import missing, missing_for_labs, needs
from tests.lab.servers import INTERNET, Place, Server, ask_tcp, ask_udp, socket_in, tcp_server, udp_server
from tests.lab.shims import TOOLS, Call, Faults, Shims, shim
from tests.lab.snapshot import KEPT, Snapshot, assert_back, assert_same, diff, snapshot
from tests.lab.strace import Strace, nsctl_strace, strace

__all__ = [
    "ENVIRONMENT",
    "HOST_ADDRESS",
    "INTERNET",
    "INTERNET_ADDRESS",
    "KEPT",
    "TOOLS",
    "Call",
    "Canaries",
    "FakeFirewalld",
    "Faults",
    "Lab",
    "LabError",
    "Place",
    "Server",
    "Shims",
    "Snapshot",
    "Strace",
    "ask_tcp",
    "ask_udp",
    "assert_back",
    "assert_same",
    "canaries_alive",
    "diff",
    "full",
    "kill_group",
    "leftovers",
    "missing",
    "missing_for_labs",
    "needs",
    "nsctl_argv",
    "nsctl_strace",
    "plant_canaries",
    "reboot",
    "set_boot_id",
    "shim",
    "snapshot",
    "socket_in",
    "start_firewalld",
    "strace",
    "tcp_server",
    "udp_server",
]
