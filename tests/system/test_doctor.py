"""`doctor`: what is said of a host, with each check brought to fail."""

from __future__ import annotations

import json

import pytest

from nsctl.engine.doctor.examine import CHECKS
from tests.lab import Lab, snapshot
from tests.system.support import as_nobody, data, up

pytestmark = [pytest.mark.system, pytest.mark.needs("bridge", "veth", "iptables")]

SECOND = "ip link add eth1 type veth peer name far; ip link set eth1 up; ip link set far up;"
ILLS = {
    "tools": ("mount --bind /dev/null /usr/bin/nsenter", "fail", "the tool 'nsenter' is missing"),
    "other tools": ("mount --bind /dev/null /usr/sbin/conntrack", "warn", "conntrack is missing: flows that began"),
    "iptables": ("iptables-legacy -A FORWARD -j ACCEPT", "fail", "the host has legacy iptables rules, while"),
    "managers": ("ip link add docker0 type bridge", "ok", "docker: its rules are left as they are"),
    "uplinks": ("ip route del default", "warn", "no default route"),
    "rp_filter": (
        f"{SECOND} ip route add default dev eth1 metric 9; echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter",
        "warn",
        "rp_filter is strict on eth0, eth1, and there are several uplinks",
    ),
    "mtu": ("ip route replace default via 203.0.113.1 mtu 1400", "ok", "1400 bytes inside (eth0 1500, a route 1400)"),
    "resolvers": (
        "echo nameserver 127.0.0.53 >/run/r; mount --bind /run/r /etc/resolv.conf",
        "warn",
        "names won't resolve in sandboxes: 127.0.0.53 is the host's only name server",
    ),
    "resolvers-none": ("echo search x >/run/r; mount --bind /run/r /etc/resolv.conf", "warn", "names no name server"),
    "subnets": ("ip route add 10.77.0.0/16 dev eth0; ip route add 172.16.0.0/16 dev eth0", "fail", "every /24 of"),
    "subnets-overlap": (
        f"{SECOND} ip address add 203.0.113.9/25 dev eth1",
        "warn",
        "eth0 has 203.0.113.0/24, and eth1 203.0.113.0/25: they overlap",
    ),
    "way out": ("iptables -A FORWARD -s 10.0.0.0/8 -j DROP", "fail", "would have no way out: rule 1 of FORWARD drops"),
    "way out-host": ("ip route del default", "warn", "the host has no default route"),
    "way out-untold": ("iptables -A FORWARD -m limit --limit 1/h -j DROP", "warn", "can't be told"),
    "way out-refused": (
        "iptables-legacy -A FORWARD -j ACCEPT",
        "fail",
        "a bridge network can't be made: the host has leg",
    ),
    "settings": ("mount -o bind,ro /proc/sys /proc/sys", "fail", "/proc/sys/net is read-only: no setting of a network"),
    "runtime": ("mount -o remount,ro /run", "fail", "/run is read-only"),
    "runtime-full": ("head -c 60M /dev/zero >/run/big", "warn", " MiB left"),
    "store": ("mkdir -m 0755 /run/nsctl", "fail", "/run/nsctl is not a directory that root alone may use"),
    "netns": ("touch /run/netns", "fail", "/run/netns is no directory"),
    "audit trail": ("mount -o remount,ro /var/log", "fail", "is read-only: no change begins"),
    "audit trail-full": ("head -c 60M /dev/zero >/var/log/big", "warn", " MiB left: no change begins"),
    "resident": (
        "mkdir -m 0700 /run/nsctl; touch /run/nsctl/resident.sock",
        "warn",
        "the resident process was killed, and /run/nsctl/resident.sock is left",
    ),
    "forwarding": ("echo 1 >/proc/sys/net/ipv4/ip_forward", "ok", "the host forwards between all links"),
}


def report(lab: Lab, *words: str) -> dict[str, dict[str, str]]:
    done = lab.nsctl("doctor", "--json", *words)
    told = json.loads(done.stdout)
    checks = {check["check"]: check for check in told["checks"]}
    statuses = [check["status"] for check in told["checks"]]
    assert told["status"] == next(s for s in ("fail", "warn", "ok") if s in statuses)
    assert done.returncode == (4 if "fail" in statuses else 0), done
    return checks


@pytest.mark.cold
def test_a_host_as_most_are_is_fine_and_stays_as_it_is(lab: Lab) -> None:
    before = snapshot(lab)
    done = lab.nsctl("doctor")
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = done.stdout.splitlines()
    assert [line[:6].rstrip() for line in lines] == ["ok"] * len(CHECKS), done.stdout
    assert any("a sandbox on a bridge would have a way out" in line for line in lines)
    assert snapshot(lab) == before
    assert not lab.exists("/run/nsctl")
    assert not lab.exists("/var/log/nsctl")


@pytest.mark.cold
@pytest.mark.parametrize("ill", ILLS)
def test_what_is_in_the_way_is_found_with_a_hint(lab: Lab, ill: str) -> None:
    script, status, says = ILLS[ill]
    lab.run(["sh", "-ec", script], check=True)
    found = report(lab)[ill.partition("-")[0]]
    assert found["status"] == status, found
    assert says in found["what"], found
    assert bool(found["hint"]) == (status != "ok"), found


@pytest.mark.cold
@pytest.mark.parametrize(
    ("check", "ill"),
    [
        ("runtime", "mkdir -m 0700 /run/nsctl; mount -o remount,ro /run"),
        ("settings", "mount -o bind,ro /proc/sys /proc/sys"),
    ],
)
def test_the_hint_for_what_is_read_only_is_the_command_that_helps(lab: Lab, check: str, ill: str) -> None:
    lab.run(["sh", "-ec", ill], check=True)
    found = report(lab)[check]
    assert found["status"] == "fail"
    lab.run(["sh", "-ec", found["hint"].partition(";")[0]], check=True)
    assert report(lab)[check]["status"] == "ok"


def test_root_without_capabilities_is_told_from_root(lab: Lab) -> None:
    from tests.lab import nsctl_argv

    done = lab.run(["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--", *nsctl_argv("doctor")])
    assert done.returncode == 4
    assert "fail  privileges   root without CAP_NET_ADMIN" in done.stdout


def test_a_lost_carrier_is_told(lab: Lab) -> None:
    lab.neighbour(["ip", "link", "set", "eth0", "down"], check=True)
    assert report(lab)["uplinks"]["what"] == "eth0, which a default route leads to, is down or has no carrier"
    assert report(lab)["way out"]["what"].startswith("the host's uplink eth0 has no carrier")


def test_without_root_it_says_what_it_could_not_see(lab: Lab) -> None:
    done = as_nobody(lab, "doctor", "--json")
    checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0
    assert "not root" in checks["privileges"]["what"]
    for name in ("iptables", "way out"):
        assert (checks[name]["status"], checks[name]["hint"]) == ("warn", "sudo nsctl doctor")
    assert checks["uplinks"]["what"] == "eth0"


def test_with_sandboxes_up_it_counts_them_and_finds_the_same(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web")
    before = snapshot(lab)
    checks = {check["check"]: check for check in data(lab, "doctor", "--json")["checks"]}
    assert checks["store"]["what"] == "/run/nsctl, 1 sandbox up"
    assert {check["status"] for check in checks.values()} == {"ok"}
    assert snapshot(lab) == before


@pytest.mark.cold
def test_the_resident_process_is_looked_at_and_not_asked(lab: Lab) -> None:
    assert report(lab)["resident"]["what"] == "none runs: each command loads its code"
    lab.nsctl("resident", "start", check=True)
    pid = lab.read("/run/nsctl/resident.lock").strip()
    assert report(lab)["resident"]["what"] == f"PID {pid} waits for commands"
    assert lab.nsctl("resident", "status").stdout.endswith("requests: 1\n")
    lab.run(["kill", "-STOP", pid], check=True)
    found = report(lab)["resident"]
    assert found["what"] == f"the resident process (PID {pid}) is stopped: commands run without it"
    lab.run(found["hint"].split(), check=True)
    assert report(lab)["resident"]["status"] == "ok"
    lab.run(["touch", "--date=2000-01-01", "/run/nsctl/resident.lock"], check=True)  # long before the code was written
    assert report(lab)["resident"]["what"].startswith("code has changed since the resident process")
    lab.run(["kill", "-KILL", pid], check=True)
    found = report(lab)["resident"]
    assert found["what"].startswith("the resident process was killed")
    lab.nsctl(*found["hint"].split()[1:], check=True)
    assert report(lab)["resident"]["status"] == "ok"
