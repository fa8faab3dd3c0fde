"""What is said of a way out, against packets on the real kernel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lab import INTERNET, Lab, ask_tcp, ask_udp, missing, tcp_server, udp_server
from tests.system.judged import CASES

pytestmark = [pytest.mark.system, pytest.mark.needs("bridge", "veth", "iptables"), pytest.mark.warm]

FAR = "198.51.100.9"
"""An address of both neighbours'."""
SECOND = f"""\
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip netns add isp
ip link add eth1 type veth peer name far netns isp
ip address add 192.0.2.1/24 dev eth1
ip link set eth1 up
ip -n isp link set lo up
ip -n isp address add 192.0.2.2/24 dev far
ip -n isp address add {FAR}/32 dev lo
ip -n isp link set far up
"""
JUDGE = """\
import json, sys
from pathlib import Path
from nsctl.engine.executor import Session
from nsctl.engine.executor.ways_out import ways_out
from nsctl.engine.reach.model import number
for line in sys.stdin:
    with Session.read(Path("/run/nsctl")) as session:
        verdict = ways_out(session.ctx, to=number(line.strip()))["web"]
    found = {"reached": verdict.reached, "doubts": verdict.doubts, "protocols": dict(verdict.protocols)}
    print(json.dumps(found | {"causes": [cause._asdict() for cause in verdict.causes]}), flush=True)
"""
SHORT, LONG = 0.3, 5.0
"""How long an answer is waited for, in seconds, where none is expected, and where one is."""


class Ground:
    """A lab host with a sandbox, two uplinks with servers behind them, and a judge that stays."""

    def __init__(self, lab: Lab, stack: ExitStack) -> None:
        self.lab = lab
        lab.neighbour(["ip", "address", "add", f"{FAR}/32", "dev", "lo"], check=True)
        self.sh(SECOND)
        for place in (INTERNET, "isp"):
            stack.enter_context(tcp_server(lab, place, port=443))
            stack.enter_context(udp_server(lab, place, FAR, 53))
        assert lab.nsctl("up", "bridge", "--name", "web", "--subnet", "10.0.3.0/24").returncode == 0
        self._judge = lab.popen([sys.executable, "-I", "-c", JUDGE], stdin=subprocess.PIPE, stderr=None)

    def sh(self, script: str) -> None:
        self.lab.run(["sh", "-ec", script], check=True)

    def judged(self) -> dict[str, Any]:
        assert self._judge.stdin is not None
        assert self._judge.stdout is not None
        self._judge.stdin.write(f"{FAR}\n")
        self._judge.stdin.flush()
        found: dict[str, Any] = json.loads(self._judge.stdout.readline())
        return found

    def reached(self, expected: dict[str, bool]) -> dict[str, bool]:
        """Which protocols get an answer."""
        asks: dict[str, Callable[[float], bool]] = {
            "tcp": lambda wait: ask_tcp(self.lab, "web", FAR, 443, timeout=wait) is not None,
            "udp": lambda wait: ask_udp(self.lab, "web", FAR, 53, timeout=wait) is not None,
            "icmp": self._ping,
        }
        with ThreadPoolExecutor(len(asks)) as pool:
            waits = {name: LONG if expected[name] else SHORT for name in asks}
            done = {name: pool.submit(ask, waits[name]) for name, ask in asks.items()}
            return {name: one.result() for name, one in done.items()}

    def _ping(self, wait: float) -> bool:
        return self.lab.run(["ip", "netns", "exec", "web", "ping", "-c1", f"-W{wait}", FAR]).returncode == 0


@pytest.fixture(scope="module")
def ground(_labs: None) -> Iterator[Ground]:
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        yield Ground(lab, stack)


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_of_a_way_out_is_what_packets_find(ground: Ground, name: str) -> None:
    case = CASES[name]
    if "nft" in name and (reason := missing("nft")):
        pytest.skip(reason)
    if "legacy" in name and (reason := missing("iptables-legacy")):
        pytest.skip(reason)
    ground.sh("iptables-save >/run/rules")
    try:
        ground.sh(case.act)
        said = ground.judged()
        expected = {protocol: protocol not in case.lost for protocol in ("tcp", "udp", "icmp")}
        assert said["protocols"] == expected, said
        assert said["reached"] is any(expected.values()), said
        assert ground.reached(expected) == expected, said
        blamed = [
            cause for cause in said["causes"] if cause["kind"] == case.kind and re.search(case.says, cause["what"])
        ]
        assert bool(blamed) == bool(case.kind), said
        assert len(said["causes"]) == len(blamed), said
        assert not case.hint or {cause["hint"] for cause in blamed} == {case.hint}, said
    finally:
        ground.sh(f"{case.undo}; iptables -t mangle -F; iptables-restore </run/rules")
    deadline = time.monotonic() + LONG
    while ground.judged()["reached"] is not True:
        assert time.monotonic() < deadline, ground.judged()


def test_nobody_is_blamed_for_what_cannot_be_told(ground: Ground) -> None:
    ground.sh("iptables-save >/run/rules")
    try:
        ground.sh("iptables -I FORWARD -m limit --limit 1/hour -j DROP")
        said = ground.judged()
        assert said["reached"] is None
        assert said["causes"] == []
        assert any("--limit 1/hour -j DROP" in doubt for doubt in said["doubts"]), said
        # Where it comes to the same whether it matches or not, it can be told.
        ground.sh(
            "iptables -D FORWARD 1; iptables -I FORWARD -j DROP; iptables -I FORWARD -m limit --limit 1/hour -j DROP"
        )
        assert ground.judged()["reached"] is False
        ground.sh("iptables -D FORWARD 1; iptables -D FORWARD 1; iptables -I FORWARD -m limit --limit 1/hour -j LOG")
        assert ground.judged()["reached"] is True
    finally:
        ground.sh("iptables-restore </run/rules")
