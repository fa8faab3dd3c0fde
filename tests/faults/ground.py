"""A lab host to try faults on: canaries planted, nsctl at hand, and known exactly as it was."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.faults.warm import PARENT, Done, Running, Warm
from tests.lab import (
    TOOLS,
    Call,
    Canaries,
    FakeFirewalld,
    Faults,
    Lab,
    Shims,
    Snapshot,
    assert_back,
    diff,
    missing,
    plant_canaries,
    shim,
    snapshot,
)

BACK_ENDS = tuple(f"{family}-{kind}-restore" for family in ("iptables", "ip6tables") for kind in ("nft", "legacy"))
"""What nsctl calls when it undoes with the very back end that it did with."""
BASE = ("up", "bridge", "--name", "base", "--subnet", "10.0.3.0/24")
"""A sandbox that shares its network with the one that faults happen to."""
MODES = {
    "none": ("up", "none", "--name", "web"),
    "host": ("up", "host", "--name", "web"),
    "bridge": ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24"),
    "internal bridge": ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24", "--internal"),
    "named network": ("up", "bridge", "--name", "web", "--network", "lan", "--subnet", "10.0.3.0/24"),
    "joined bridge": (
        "up",
        "bridge",
        "--name",
        "web",
        "--join",
        "nsbr9",
        "--ip",
        "10.99.9.7",
        "--gateway",
        "10.99.9.2",
    ),
    "workload": ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24", "--env", "A=b", "--", "sleep", "1000003"),
    "second on a bridge": ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24"),
    "container": ("up", "container", "--name", "web", "--target", "base"),
    "bridge in a zone": ("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24"),
}
"""
What is tried on → the command line.

Two of them are there beside `BASE`, the last one beside a stand-in of firewalld.
"""
FIREWALLD = "bridge in a zone"
BESIDE = ("second on a bridge", "container")


def settled(lab: Lab) -> Snapshot:
    """The host once it is at rest: an init is ready before it has become its last program."""
    deadline = time.monotonic() + 5
    last = snapshot(lab)
    while time.monotonic() < deadline:
        time.sleep(0.03)
        now = snapshot(lab)
        if not diff(last, now):
            break
        last = now
    return last


class Ground:
    """
    A lab with canaries, and nsctl in it.

    Args:
        warm: Starts nsctl.
        shims: Whether tools can be made to fail.
        up: Command lines of nsctl's that are carried out first; the host as they leave it is what counts as *before*.
        mode: What is tried on it, if it needs more than that.
    """

    def __init__(self, warm: Warm, *, shims: bool = False, up: Sequence[Sequence[str]] = (), mode: str = "") -> None:
        if mode == FIREWALLD and (reason := missing("tool:firewall-cmd")):
            pytest.skip(reason)
        self.warm = warm
        self.lab = Lab()
        self.firewalld: FakeFirewalld | None = None
        try:
            if mode == FIREWALLD:
                self.firewalld = FakeFirewalld(self.lab)
            self.canaries: Canaries = plant_canaries(self.lab)
            self.empty: Snapshot = snapshot(self.lab)
            self._shims: Shims | None = shim(self.lab, (*TOOLS, *BACK_ENDS), parent=PARENT) if shims else None
            for argv in up:
                self.good(*argv)
            self.before: Snapshot = settled(self.lab) if up else self.empty
        except BaseException:
            self.lab.close()
            raise

    def close(self) -> None:
        """Take it away."""
        if self.firewalld is not None:
            self.firewalld.close()
        self.lab.close()

    @property
    def shims(self) -> Shims:
        """The shims over its tools."""
        if self._shims is None:
            raise AssertionError("a ground without shims")
        return self._shims

    def plan(self, faults: Faults) -> None:
        """From now on these faults in tools."""
        self.shims.plan(faults)

    def start(self, *argv: str, **how: Any) -> Running:
        """Start nsctl; see `Warm.start`."""
        return self.warm.start(self.lab, *argv, **how)

    def nsctl(self, *argv: str, **how: Any) -> Done:
        """
        Run nsctl to its end.

        Raises:
            AssertionError: It printed a traceback, or said that it failed in a way nobody thought of.
        """
        return civil(self.warm.run(self.lab, *argv, **how))

    def good(self, *argv: str, **how: Any) -> Done:
        """Run nsctl to its end, which has to be a good one."""
        done = self.nsctl(*argv, **how)
        if done.status != 0:
            raise AssertionError(str(done))
        return done

    def names(self) -> list[str]:
        """The sandboxes that are up."""
        rows = json.loads(self.good("ls", "--json").stdout)
        return [row["name"] for row in rows]

    def attached(self, name: str, **how: Any) -> None:
        """
        The sandbox has the attachments of which the interfaces are there, or its owner's, and no others.

        Raises:
            AssertionError: It has not.
        """
        listed = {one["interface"] for one in json.loads(self.good("inspect", name, **how).stdout)["attachments"]}
        there: set[str] = set()
        if self.lab.exists(f"/run/netns/{name}"):
            links = self.lab.run(["ip", "-n", name, "-j", "link", "show", "type", "veth"], check=True).stdout
            there = {link["ifname"] for link in json.loads(links or "[]")}
        assert listed == there, (name, listed, there)

    def back(self, before: Snapshot | None = None) -> None:
        """
        The host is as it was, canaries and all.

        Raises:
            AssertionError: It is not; the differences are listed.
        """
        assert_back(self.lab, before or self.before)

    def settled(self, name: str = "web", *, whole: bool = True) -> bool:
        """
        After a fault and what followed it: the sandbox is either up and whole, or there is nothing of it.

        In the end the host is as before.

        Args:
            name: The sandbox.
            whole: Without it, it need not be whole: a shim still stands where its init should.

        Returns:
            Whether it was up.
        """
        up = name in self.names()
        if up:
            if whole:
                self.good("check")
                self.attached(name)
            self.good("down", name)
        self.back()
        return up


def civil(done: Done) -> Done:
    """
    The same.

    Raises:
        AssertionError: It printed a traceback, or said that it failed in a way nobody thought of.
    """
    if any(word in done.stdout + done.stderr for word in ("Traceback", "internal error")):
        raise AssertionError(str(done))
    return done


def is_stage(call: Call) -> bool:
    """
    Whether the call is a stage of a sandbox's init, which becomes the next stage: none of them ever comes to an end.
    """
    return call.argv[0] in {"unshare", "setpriv"} or (call.argv[0] == "nsenter" and "unshare" in call.argv)


def before_the_init(calls: list[Call]) -> list[Call]:
    """The calls up to the one that starts the init; what the init calls is the same whether steps are fused or not."""
    return calls[: next((n for n, call in enumerate(calls, 1) if is_stage(call)), len(calls))]
