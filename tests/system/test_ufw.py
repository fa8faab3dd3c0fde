"""The real ufw: its policies drop, its reload flushes its own chains, and nsctl's stay as they are."""

from __future__ import annotations

import json

import pytest

from tests.lab import INTERNET, INTERNET_ADDRESS, Lab, ask_tcp, assert_back, needs, snapshot, tcp_server
from tests.system.support import down, said, up
from tests.system.test_identity import switch

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables", "ip6tables", "tool:ufw")]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
PORT = 5012
ACTS = (
    "ufw --force enable",
    "ufw reload",
    "ufw allow 22/tcp",
    "ufw --force disable",
    "ufw --force enable",
    "ufw delete allow 22/tcp",
    "ufw reload",
)
BACK_ENDS = [pytest.param(kind, marks=needs("iptables-legacy")) for kind in ("nft", "legacy")]


@pytest.fixture(params=BACK_ENDS)
def host(lab: Lab, request: pytest.FixtureRequest) -> Lab:
    """A lab host with a configuration of ufw's own."""
    switch(lab, request.param)
    for place in ("/etc/ufw", "/lib/ufw"):
        copy = f"/run/copy{place}"
        sh(lab, f"mkdir -p {copy}; cp -a {place}/. {copy}/; mount --bind {copy} {place}")
    sh(lab, "mkdir -p /run/default; cp -a /etc/default/. /run/default/; mount --bind /run/default /etc/default")
    return lab


def sh(lab: Lab, script: str) -> str:
    return lab.run(["sh", "-ec", script], check=True).stdout


def reaches(lab: Lab, name: str = "web") -> bool:
    with tcp_server(lab, INTERNET, port=PORT):
        return ask_tcp(lab, name, INTERNET_ADDRESS, PORT) is not None


def stays_out(lab: Lab) -> bool:
    with tcp_server(lab, "web", port=PORT):
        return ask_tcp(lab, INTERNET, "10.0.3.2", PORT) is None


def found(lab: Lab) -> list[str]:
    return [d["found"] for d in json.loads(lab.nsctl("check", "--json").stdout)["drift"]]


@pytest.mark.parametrize("policy", ["DROP", "REJECT", "ACCEPT"])
def test_a_sandbox_reaches_the_outside_and_nobody_comes_in_whatever_it_does(host: Lab, policy: str) -> None:
    sh(host, f"sed -i 's/^DEFAULT_FORWARD_POLICY=.*/DEFAULT_FORWARD_POLICY=\"{policy}\"/' /etc/default/ufw")
    host.neighbour(["ip", "route", "add", "10.0.0.0/8", "via", "203.0.113.2"], check=True)
    for act in ACTS:  # what it puts in at first and never takes out again is there
        sh(host, act)
    before = snapshot(host)
    up(host, *WEB)
    for act in ACTS:
        sh(host, act)
        if found(host):
            said(host, "repair")
        assert found(host) == [], act
        assert reaches(host), act
        assert stays_out(host), act
    down(host, "web")
    assert_back(host, before)


def test_it_is_enabled_while_a_sandbox_is_up(host: Lab) -> None:
    host.neighbour(["ip", "route", "add", "10.0.0.0/8", "via", "203.0.113.2"], check=True)
    up(host, *WEB)
    sh(host, "ufw --force enable")
    assert found(host) == []
    assert reaches(host)
    assert stays_out(host)
    sh(host, "ufw route deny from 10.0.3.0/24 to 203.0.113.1")  # what it says of certain packets
    up(host, "bridge", "--name", "db", "--subnet", "10.0.4.0/24")
    assert reaches(host, "db")
    down(host, "web", "db")
    assert "NSCTL" not in sh(host, "iptables-save")
