"""
Labs, and what befalls them: hosts made of namespaces, in which system tests and fault tests do what they like.

A test asks for the fixture `lab` (or `lab_factory`, for several) and works with the functions below.
The lab itself is nsctl's published one, `nsctl.testing`, offered here beside what breaks things: `shims` are the faults
that can be injected into tools, `strace` those into nsctl itself, `misfortunes` what befalls a whole host.
"""

from __future__ import annotations

from nsctl.testing import (
    ENVIRONMENT,
    HOST_ADDRESS,
    INTERNET,
    INTERNET_ADDRESS,
    KEPT,
    Lab,
    LabError,
    Place,
    Python,
    Server,
    Snapshot,
    ask_tcp,
    ask_udp,
    assert_back,
    assert_same,
    diff,
    in_lab,
    kill_group,
    leftovers,
    nsctl_argv,
    snapshot,
    socket_in,
    tcp_server,
    udp_server,
)
from tests.lab.canaries import Canaries, canaries_alive, plant_canaries
from tests.lab.firewalld import FakeFirewalld, start_firewalld
from tests.lab.misfortunes import full, reboot, set_boot_id
from tests.lab.needs import missing, missing_for_labs, needs
from tests.lab.shims import TOOLS, Call, Faults, Shims, shim
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
    "Python",
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
    "in_lab",
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
