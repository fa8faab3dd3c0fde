"""What is compared: ways to attach sandboxes to a bridge, and to take them away again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from scripts.benchmark.cost import Work
from scripts.benchmark.host import Host
from tests.lab import ENVIRONMENT, INTERNET_ADDRESS

__all__ = ["BRIDGE", "GATEWAY", "NETWORK", "Variant", "address", "find_tool", "netns"]

NETWORK = IPv4Network("10.77.0.0/16")
"""The sandboxes' network, the same for all variants."""
GATEWAY = NETWORK[1]
BRIDGE = "bench0"


def address(number: int) -> IPv4Address:
    """The address of a sandbox, the first of which is number 1."""
    return NETWORK[number + 1]


def netns(number: int) -> str:
    """The name of a sandbox and of its network namespace."""
    return f"s-{number}"


def find_tool(*tools: str, software: Path | None = None, where: str = ENVIRONMENT["PATH"]) -> list[str]:
    """Those tools that are not installed, neither on the machine nor in `software`."""
    path = where if software is None else ":".join([where, *(f"{software}{place}" for place in where.split(":"))])
    return [tool for tool in tools if shutil.which(tool, path=path) is None]


class Variant:
    """One way. Sandboxes have numbers; those that come one by one and those that come in bulk begin with 1."""

    key = ""
    """For --only, and in the JSON file."""
    title = ""
    """In tables."""
    note = ""
    """What should be known about it when comparing."""
    bulk = True
    """Whether it is measured with many sandboxes."""
    singly = True
    """Whether it is measured with one sandbox at a time."""
    heavy = False
    """Whether each takes so long that only a tenth as many as of others' are measured."""
    quick = False
    """Whether it can be measured with any number of them in reasonable time."""
    strangers = True
    """Whether it is others' software, which may write outside of /run."""

    keeps: frozenset[str] = frozenset()
    """Links that it leaves by design."""

    def __init__(self, software: Path | None = None) -> None:
        self.software = software

    def missing(self) -> str:
        """Why it can't be measured here; empty if it can."""
        return ""

    def prepare(self, host: Host) -> None:
        """Make, once and unmeasured, what it needs on its host: configuration, a daemon."""

    def up(self, work: Work, numbers: Sequence[int]) -> None:
        """Attach sandboxes; those with smaller numbers are there."""
        raise NotImplementedError

    def down(self, work: Work, numbers: Sequence[int]) -> None:
        """Take sandboxes away; those with smaller numbers stay."""
        raise NotImplementedError

    def sweep(self, work: Work) -> None:
        """Remove, unmeasured, what it leaves by design after the last one."""

    def finish(self, work: Work) -> None:
        """Remove, at the end, what would outlive the lab."""

    def check(self, work: Work, number: int) -> None:
        """
        See whether a sandbox reaches the outside.

        Raises:
            Failed: It does not.
        """
        inside = ("nsenter", f"--net=/run/netns/{netns(number)}")
        work.run(*inside, "ping", "-q", "-n", "-c", "1", "-W", "5", INTERNET_ADDRESS)
