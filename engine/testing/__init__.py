"""
For authors of modes: plans as golden cases, a lab to work in, and every step failed in turn on the real kernel.

A `Lab` is a host of its own, made of namespaces, with a neighbour that plays the Internet.
Nothing that happens in it reaches the machine, and it vanishes with the process.

nsctl's own tests use the same; nsctl itself never imports this.
"""

from __future__ import annotations

from nsctl.engine.testing.cases import UPDATE, cases_in, check_case, facts_from_json, plan_case
from nsctl.engine.testing.lab import (
    ENVIRONMENT,
    HOST_ADDRESS,
    INTERNET_ADDRESS,
    Lab,
    LabError,
    kill_group,
    nsctl_argv,
)
from nsctl.engine.testing.leftovers import leftovers
from nsctl.engine.testing.python import Python, in_lab
from nsctl.engine.testing.servers import (
    INTERNET,
    Place,
    Server,
    ask_tcp,
    ask_udp,
    socket_in,
    tcp_server,
    udp_server,
)
from nsctl.engine.testing.snapshot import KEPT, Snapshot, assert_back, assert_same, diff, snapshot
from nsctl.engine.testing.steps import Failure, fail_every_step

__all__ = [
    "ENVIRONMENT",
    "HOST_ADDRESS",
    "INTERNET",
    "INTERNET_ADDRESS",
    "KEPT",
    "UPDATE",
    "Failure",
    "Lab",
    "LabError",
    "Place",
    "Python",
    "Server",
    "Snapshot",
    "ask_tcp",
    "ask_udp",
    "assert_back",
    "assert_same",
    "cases_in",
    "check_case",
    "diff",
    "facts_from_json",
    "fail_every_step",
    "in_lab",
    "kill_group",
    "leftovers",
    "nsctl_argv",
    "plan_case",
    "snapshot",
    "socket_in",
    "tcp_server",
    "udp_server",
]
