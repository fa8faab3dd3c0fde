from __future__ import annotations

import json
import os

import pytest

from tests.lab import Lab, assert_back, snapshot

FILE = "/run/lab/many.toml"
MANY = '[sandbox.s]\nmode = "bridge"\nsubnet = "10.0.0.0/20"\nisolate = ["net"]\ncount = {}\n'
PORTS = 1023
"""The most ports a bridge of the kernel's has (BR_MAX_PORTS - 1)."""


def names(lab: Lab) -> list[str]:
    return lab.call(os.listdir, "/run/netns")


def ports(lab: Lab) -> int:
    return len(lab.run(["ip", "-o", "link", "show", "master", "nsbr0"], check=True).stdout.splitlines())


def rules(lab: Lab) -> list[str]:
    saved = lab.run(["iptables-save"], check=True).stdout.splitlines()
    return [line for line in saved if line.startswith("-A")]


@pytest.mark.slow
def test_a_thousand_sandboxes_come_up_work_and_go(lab: Lab) -> None:
    lab.write(FILE, MANY.format(1000))
    before = snapshot(lab)
    lab.write(FILE, MANY.format(1))
    lab.nsctl("apply", FILE, check=True)
    rules_of_one = rules(lab)
    lab.write(FILE, MANY.format(1000))
    assert lab.nsctl("apply", FILE, check=True, timeout=120).stdout == "done: 999 made, 1 left as they were\n"

    assert (len(names(lab)), ports(lab)) == (1000, 1000)
    assert rules(lab) == rules_of_one
    listed = {s["name"]: s for s in json.loads(lab.nsctl("ls", "--json", check=True).stdout)}
    assert len(listed) == 1000
    assert {s["state"] for s in listed.values()} == {"up"}
    assert len({address for s in listed.values() for address in s["addresses"]}) == 1000
    for number in (1, 2, 499, 1000):
        address, _, length = listed[f"s-{number}"]["addresses"][0].partition("/")
        assert length == "20"
        found = lab.nsctl("exec", f"s-{number}", "--", "ip", "-4", "-br", "address", "show", "eth0", check=True).stdout
        assert found.split()[2] == f"{address}/20"
        lab.nsctl("exec", "s-700", "--", "ping", "-c", "1", "-W", "5", address, check=True)
    assert lab.nsctl("check", "s-1", "s-500", "s-1000").returncode == 0
    assert lab.nsctl("apply", FILE, check=True).stdout == "nothing to do: 1000 as the file says\n"

    lab.nsctl("up", "bridge", "--name", "more", "--subnet", "10.0.0.0/20", "--isolate", "net", check=True)
    assert ports(lab) == 1001
    lab.write(FILE, MANY.format(PORTS))  # and `more`: one too many
    done = lab.nsctl("apply", FILE)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"s-{PORTS}: nsbr0 has {PORTS} sandboxes, and a bridge has no more ports" in done.stderr
    assert (len(names(lab)), ports(lab), rules(lab)) == (1001, 1001, rules_of_one)

    lab.write(FILE, MANY.format(PORTS - 1))
    assert lab.nsctl("apply", FILE, check=True).stdout == "done: 22 made, 1000 left as they were\n"
    done = lab.nsctl("up", "bridge", "--name", "last", "--subnet", "10.0.0.0/20", "--isolate", "net")
    assert (done.returncode, "a bridge has no more ports" in done.stderr) == (2, True)
    assert ports(lab) == PORTS

    lab.write(FILE, MANY.format(1000))
    gone = lab.nsctl("down", "--file", FILE, check=True, timeout=120).stdout
    assert len(gone.splitlines()) == PORTS - 1
    assert names(lab) == ["more"]
    lab.nsctl("down", "more", check=True)
    assert_back(lab, before, within=20)
