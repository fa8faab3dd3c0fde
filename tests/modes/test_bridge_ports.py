"""A bridge of the kernel's has 1023 ports: whoever would be the 1024th is told so before anything is changed."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

import pytest

from nsctl import Conflict, Facts
from nsctl.modes import bridge

SUBNET = IPv4Network("10.8.0.0/16")


def crowd(size: int) -> Facts:
    """A host with that many sandboxes on one bridge, and one on another bridge."""
    macs = {f"02:00:{end}:00:{n >> 8:02x}:{n & 255:02x}": f"s{n}" for n in range(size) for end in ("00", "01")}
    networks = {"nsbr0": IPv4Interface(f"{SUBNET[1]}/16"), "nsbr1": IPv4Interface("10.9.0.1/16")}
    return Facts(networks=networks, claims={"mac/nsbr0": macs, "mac/nsbr1": {"02:00:00:00:00:01": "else"}})


def test_the_1023rd_sandbox_of_a_bridge_is_planned() -> None:
    assert bridge.choose(bridge.Options(subnet=SUBNET), crowd(1022)).bridge == "nsbr0"


def test_the_1024th_sandbox_of_a_bridge_is_refused() -> None:
    with pytest.raises(Conflict, match="nsbr0 has 1023 sandboxes, and a bridge has no more ports"):
        bridge.choose(bridge.Options(subnet=SUBNET), crowd(1023))


def test_sandboxes_of_other_networks_do_not_count() -> None:
    assert bridge.choose(bridge.Options(subnet=IPv4Network("10.9.0.0/16")), crowd(2000)).bridge == "nsbr1"
