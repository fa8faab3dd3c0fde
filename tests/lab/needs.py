"""What this kernel and this machine can do: really tried, once per session."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil

import pytest

from nsctl.engine.testing.lab import ENVIRONMENT, Lab, LabError

_OPTIONS = {
    "vlan": "link eth0 type vlan id 7",
    "macvlan": "link eth0 type macvlan mode bridge",
    "macvtap": "link eth0 type macvtap mode bridge",
    "ipvlan": "link eth0 type ipvlan mode l2",
    "ipvtap": "link eth0 type ipvtap mode l2",
    "vxlan": "type vxlan id 7 dstport 4789 local 203.0.113.2",
    "geneve": "type geneve id 7 remote 203.0.113.1",
    "gre": "type gre local 203.0.113.2 remote 203.0.113.1",
    "vrf": "type vrf table 7",
    "xfrm": "type xfrm dev eth0 if_id 7",
}
_COMMANDS = {
    "iptables": "iptables -t nat -A POSTROUTING -m comment --comment x -j MASQUERADE",
    "ip6tables": "ip6tables -A FORWARD -m comment --comment x -j ACCEPT",
    "iptables-legacy": "iptables-legacy -A FORWARD -j ACCEPT",
    "nft": "nft add table inet probe",
    "conntrack": "conntrack -L",
    "strace": "strace -qq -o /dev/null -e inject=getcwd:error=EIO:when=1 true",
    "ping": "ping -c 1 -W 1 203.0.113.1",
    "tun": "ip tuntap add dev probe0 mode tap",
    "tap": "ip tuntap add dev probe0 mode tap",
}


def needs(*features: str) -> pytest.MarkDecorator:
    """
    Skip a test where a feature is missing.

    Args:
        features: Kinds of links (`bridge`, `vxlan`, `wireguard`, …), which are tried in a lab, as are `iptables`,
            `ip6tables`, `iptables-legacy`, `nft`, `conntrack`, `strace`, `ping` and `tun`; or `tool:NAME`, which need
            only be installed.
    """
    return pytest.mark.needs(*features)


# Used once before anything is compared: what the kernel loads a module for at its first use adds sysctls, for good.
_WARM_UP = """\
ip link add name br0 type bridge
ip link add name v0 type veth peer name v1
ip link set dev v0 master br0
iptables -t nat -A POSTROUTING -m comment --comment x -j MASQUERADE
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1
iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT
iptables -A FORWARD -m physdev --physdev-is-bridged -j REJECT
ip6tables -t nat -A POSTROUTING -j MASQUERADE
ip6tables -A FORWARD -m conntrack --ctstate ESTABLISHED -j REJECT
"""


@functools.cache
def missing_for_labs() -> str:
    """Why there can be no labs here; empty if there can."""
    if os.geteuid() != 0:
        return "labs need root"
    try:
        with Lab() as lab:
            for command in _WARM_UP.splitlines():
                with contextlib.suppress(FileNotFoundError):
                    lab.run(command.split())
    except (LabError, OSError) as error:
        return f"labs don't work here: {error}"
    return ""


@functools.cache
def missing(feature: str) -> str:
    """Why a feature can't be used here; empty if it can."""
    if feature.startswith("tool:"):
        tool = feature.removeprefix("tool:")
        return "" if shutil.which(tool, path=ENVIRONMENT["PATH"]) else f"{tool} is not installed"
    if reason := missing_for_labs():
        return reason
    command = _COMMANDS.get(feature, f"ip link add name probe0 {_OPTIONS.get(feature, f'type {feature}')}")
    with Lab() as lab:
        try:
            tried = lab.run(command.split(), timeout=20)
        except FileNotFoundError:
            return f"{command.split()[0]} is not installed"
    return "" if tried.returncode == 0 else f"no {feature} here: {tried.stderr.strip()}"
