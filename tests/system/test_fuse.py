"""Fused or one by one, the host comes to be the same; and a failure inside a batch is its own step's."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tests.lab import Lab, Snapshot, assert_back, assert_same, diff, shim, snapshot
from tests.system.alike import alike

SUBNET = ("--subnet", "10.0.3.0/24")
CASES: dict[str, list[str]] = {
    "none": ["none"],
    "none, network only": ["none", "--isolate", "net"],
    "none, no namespace of processes": ["none", "--isolate", "net,mount,uts"],
    "none, with a workload": ["none", "--env", "LANG=C", "--cap-drop", "kill", "--", "sleep", "1000"],
    "none, a workload in a network only": ["none", "--isolate", "net", "--", "sleep", "1000"],
    "host": ["host"],
    "host, hostname only": ["host", "--isolate", "uts"],
    "bridge": ["bridge"],
    "bridge, network only": ["bridge", *SUBNET, "--isolate", "net"],
    "bridge, internal": ["bridge", *SUBNET, "--internal"],
    "bridge, every option": [
        *("bridge", *SUBNET, "--ip", "10.0.3.77", "--gateway", "10.0.3.254", "--bridge", "br-x", "--ifname", "wan0"),
        *("--mac", "02:42:0a:00:03:4d", "--mtu", "1400", "--uplink", "eth0", "--allow-overlap"),
    ],
    "bridge, beside another": ["bridge", "--bridge", "nsbr0"],
    "bridge, a second network": ["bridge", "--subnet", "10.0.9.0/24"],
    "container": ["container", "--target", "first"],
    "container, network only": ["container", "--target", "first", "--isolate", "net"],
}
BESIDE = ("beside", "second", "container")


def down(lab: Lab, *names: str, fuse: bool) -> None:
    lab.nsctl("down", *([] if fuse else ["--no-batch"]), *names, check=True)


def with_option(words: Sequence[str], *more: str) -> list[str]:
    """The words with more of them before the workload."""
    at = words.index("--") if "--" in words else len(words)
    return [*words[:at], *more, *words[at:]]


@pytest.mark.parametrize("case", CASES)
def test_fused_or_not_up_and_down_leave_the_same(lab: Lab, case: str) -> None:
    words = with_option(CASES[case], "--name", "box")
    if any(word in case for word in BESIDE):
        lab.nsctl("up", "bridge", "--name", "first", *SUBNET, check=True)
    before = snapshot(lab)

    lab.nsctl("up", *words, check=True)
    fused = alike(lab)
    assert lab.nsctl("check").returncode == 0
    down(lab, "box", fuse=True)
    assert_back(lab, before)

    lab.nsctl("up", *with_option(words, "--no-batch"), check=True)
    assert_same(fused, alike(lab))
    assert lab.nsctl("check").returncode == 0
    down(lab, "box", fuse=False)
    assert_back(lab, before)


LAB = """\
[network.lan]
mode = "bridge"
subnet = "10.0.3.0/24"

[sandbox.web]
network = "lan"
command = ["sleep", "1000"]

[sandbox.client]
network = "lan"
isolate = ["net"]
count = 4

[sandbox.inside]
mode = "bridge"
subnet = "10.0.4.0/24"
internal = true
isolate = ["net"]

[sandbox.probe]
mode = "container"
target = "web"
"""


def life(lab: Lab, *, fuse: bool) -> list[Snapshot]:
    """
    A lab's life: made, partly taken down, completed and changed, changed back, gone; how the host looked in between.
    """
    more = [] if fuse else ["--no-batch"]
    seen = []
    for text in (LAB, LAB.replace("1000", "2000"), LAB):
        lab.write("/run/lab.toml", text)
        lab.nsctl("apply", "/run/lab.toml", *more, check=True)
        assert lab.nsctl("check").returncode == 0
        seen.append(alike(lab))
        if len(seen) == 1:
            down(lab, "client-2", "client-3", "inside", fuse=fuse)
            seen.append(alike(lab))
    down(lab, "client-1", "client-2", "client-3", "client-4", "probe", "web", "inside", fuse=fuse)
    return seen


def test_fused_or_not_a_lab_file_makes_changes_and_removes_the_same(lab: Lab) -> None:
    lab.write("/run/lab.toml", LAB)
    before = snapshot(lab)
    fused = life(lab, fuse=True)
    assert_back(lab, before)
    for one, other in zip(fused, life(lab, fuse=False), strict=True):
        # A port begins with what links begin with at the time, which is set before or after it is made.
        assert [line for line in diff(one, other) if not re.search("conf/ns-[^/]+/forwarding", line)] == []
    assert_back(lab, before)


@pytest.mark.parametrize("words", [["bridge", *SUBNET, "--isolate", "net"], ["none", "--isolate", "net"]])
def test_a_failure_inside_a_batch_is_of_its_own_step_with_that_steps_command(lab: Lab, words: list[str]) -> None:
    shims = shim(lab, ["ip", "iptables-restore"], record=True)
    before = snapshot(lab)
    lab.nsctl("up", *words, "--name", "box", check=True)
    calls = shims.calls
    lab.nsctl("down", "box", check=True)
    assert_back(lab, before)
    tried = 0
    for argv in dict.fromkeys(c.argv for c in calls):
        # Lines of a batch may come at another call each time, so the stop is planned for all batches of the tool.
        lines = {line for c in calls if c.argv == argv for line in (c.stdin or "").splitlines()}
        most = max(c.lines for c in calls if c.argv == argv)
        for stop in range(most if argv[0] == "ip" else 0):
            shims.plan({"ip -batch -": f"batch-stop:{stop}"})
            done = lab.nsctl("up", *words, "--name", "box")
            assert (done.returncode, done.stdout) == (1, ""), done
            message = done.stderr.splitlines()[0]
            [line] = [
                line
                for line in lines
                if f") failed: ip {line}: injected failure" in message
                or f") failed: ip -n box {line}: injected failure" in message
            ]
            assert line
            assert message.endswith("everything was undone")
            tried += 1
            shims.plan({})
            assert_back(lab, before)
    assert tried >= 1


def test_a_rule_that_the_kernel_refuses_is_named_by_its_own_command(lab: Lab) -> None:
    shims = shim(lab, ["iptables-restore"])
    before = snapshot(lab)
    shims.plan({"iptables-restore *": "restore-stop:0"})
    done = lab.nsctl("up", "bridge", *SUBNET)
    assert done.returncode == 1
    assert ") failed: iptables -w -t " in done.stderr
    assert "injected" in done.stderr
    shims.plan({})
    assert_back(lab, before)


def test_what_a_tool_refuses_inside_a_batch_is_told_in_the_tools_own_words(lab: Lab) -> None:
    # The kernel refuses this address only when it is given: nothing of the plan could have known.
    before = snapshot(lab)
    plan = lab.nsctl("up", "bridge", *SUBNET, "--name", "web", "--isolate", "net", "--dry-run", "--format", "json")
    lab.write("/run/plan.json", plan.stdout.replace("10.0.3.2/24", "10.0.3.2/99"))
    for more in ([], ["--no-batch"]):
        done = lab.nsctl("apply", "/run/plan.json", *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert ") failed: ip -n web addr add 10.0.3.2/99 " in done.stderr
        assert "10.0.3.2/99" in done.stderr.partition(" failed: ")[2].partition(": ")[2]
    lab.run(["rm", "/run/plan.json"], check=True)
    assert_back(lab, before)
