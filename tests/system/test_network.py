"""What passes and what does not: forged sources, links that are not nsctl's, addresses that change hands."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nsctl.engine.model.names import derived_mac
from tests.lab import INTERNET_ADDRESS, Lab, assert_back, needs, snapshot
from tests.system.support import data, down, eventually, init_of, refused, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables"), pytest.mark.warm]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
DB = ("bridge", "--name", "db", "--subnet", "10.0.4.0/24")

SNIFF = """\
import socket, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.settimeout(0.05)
print("ready", flush=True)
wanted, until = bytes.fromhex(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    try:
        frame = sock.recv(2000)
    except TimeoutError:
        continue
    if wanted in frame:
        print("seen", frame.hex(), flush=True)
"""
"""Prints the frames that hold some bytes, for some seconds."""

FORGE = """\
import socket, struct, sys
source, target = map(socket.inet_aton, sys.argv[1:3])
payload = bytes.fromhex(sys.argv[3])
udp = struct.pack("!HHHH", 4444, 9, 8 + len(payload), 0) + payload
header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0, source, target)
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for _ in range(3):
    sock.sendto(header + udp, (sys.argv[2], 0))
"""
"""Sends datagrams with a source of one's choice."""


def python(script: str, *args: str) -> list[str]:
    return [sys.executable, "-I", "-c", script, *args]


def sniffing(lab: Lab, *at: str, wanted: str, seconds: float = 1.5, neighbour: bool = False) -> subprocess.Popen[str]:
    argv = [*at, *python(SNIFF, wanted, str(seconds))]
    child = lab.popen(argv, at=lab.internet if neighbour else None)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def seen(child: subprocess.Popen[str]) -> list[str]:
    output, _ = child.communicate(timeout=30)
    return [line.split()[1] for line in output.splitlines() if line.startswith("seen")]


def forge(lab: Lab, source: str, target: str, payload: str) -> None:
    lab.nsctl("exec", "web", "--", *python(FORGE, source, target, payload), check=True)


@pytest.mark.parametrize("source", ["10.0.4.2", "198.51.100.7", "203.0.113.9"])
def test_nothing_with_a_source_of_another_network_leaves_a_bridge(lab: Lab, source: str) -> None:
    up(lab, *WEB, "--allow-spoofing")  # else it would not even get into the bridge
    up(lab, *DB)
    outside = sniffing(lab, wanted="feedbeef0001", neighbour=True)
    forge(lab, source, INTERNET_ADDRESS, "feedbeef0001")
    assert seen(outside) == []
    # What has its own source gets out, with the host's address.
    outside = sniffing(lab, wanted="feedbeef0002", neighbour=True)
    forge(lab, "10.0.3.2", INTERNET_ADDRESS, "feedbeef0002")
    assert any("cb007102" + "cb007101" in frame for frame in seen(outside))


def test_the_second_network_has_a_way_out_too_even_if_the_guard_comes_first(lab: Lab) -> None:
    up(lab, *WEB)
    up(lab, *DB)
    for word in ("-D", "-A"):
        jump = ("-m", "comment", "--comment", "nsctl:jump", "-j", "NSCTL-FORWARD")
        lab.run(["iptables", word, "FORWARD", *jump], check=True)
    for name in ("web", "db"):
        assert lab.nsctl("exec", name, "--", "ping", "-c1", "-W3", INTERNET_ADDRESS).returncode == 0


def test_an_internal_network_with_a_default_route_of_its_own_reaches_nothing_of_the_hosts(lab: Lab) -> None:
    up(lab, *WEB, "--internal")
    lab.run(["ip", "-n", "web", "route", "add", "default", "via", "10.0.3.1"], check=True)
    assert lab.nsctl("exec", "web", "--", "ping", "-c1", "-W3", "10.0.3.1").returncode == 0
    assert lab.nsctl("exec", "web", "--", "ping", "-c1", "-W1", "203.0.113.2").returncode == 1


SECOND = """\
link add eth1 type veth peer name far netns second
address add 192.0.2.1/24 dev eth1
link set eth1 up
"""


@pytest.fixture
def second(lab: Lab) -> Lab:
    """A lab host with a second link, behind which is 192.0.2.2; the neighbour has a route there through the host."""
    lab.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], check=True)  # no address may come later
    lab.run(["ip", "netns", "add", "second"], check=True)
    lab.run(["ip", "netns", "exec", "second", "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], check=True)
    lab.run(["ip", "-batch", "-"], input=SECOND, check=True)
    lines = "address add 192.0.2.2/24 dev far\nlink set far up\nroute add default via 192.0.2.1\n"
    lab.run(["ip", "-n", "second", "-batch", "-"], input=lines, check=True)
    lab.neighbour(["ip", "route", "add", "192.0.2.0/24", "via", "203.0.113.2"], check=True)
    lab.run(["ip", "-n", "second", "neigh", "replace", "192.0.2.1", "lladdr", mac(lab, "eth1"), "dev", "far"])
    return lab


def mac(lab: Lab, link: str) -> str:
    found = json.loads(lab.run(["ip", "-j", "link", "show", "dev", link]).stdout)[0]["address"]
    assert isinstance(found, str)
    return found


PROBES = {
    "udp": "import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.sendto(b'x'*9,('192.0.2.2',9))",
    "tcp": "import socket; s=socket.socket(); s.settimeout(0.5); s.connect_ex(('192.0.2.2',9))",
    "icmp": "import subprocess; subprocess.run(['ping','-c1','-W1','192.0.2.2'],stdout=-3)",
}


def passes(lab: Lab, kind: str) -> bool:
    # From the neighbour (cb007101) to the second link's network (c0000202).
    far = sniffing(lab, "ip", "netns", "exec", "second", wanted="cb007101c0000202")
    lab.neighbour(python(PROBES[kind]))
    return bool(seen(far))


@pytest.mark.parametrize("kind", PROBES)
def test_the_host_forwards_between_other_links_neither_before_nor_meanwhile_nor_afterwards(
    second: Lab, kind: str
) -> None:
    before = snapshot(second)
    assert not passes(second, kind)
    up(second, *WEB)
    assert second.nsctl("exec", "web", "--", "ping", "-c1", "-W3", INTERNET_ADDRESS).returncode == 0
    assert not passes(second, kind)
    # Put back, they may stand in another order: what is for a bridge still comes through.
    second.run(["iptables", "-D", "NSCTL-GUARD", "1"], check=True)
    jump = ["-m", "comment", "--comment", "nsctl:jump", "-j", "NSCTL-FORWARD"]
    second.run(["iptables", "-D", "FORWARD", *jump], check=True)
    assert second.nsctl("repair").returncode == 0
    up(second, *DB)
    for name in ("web", "db"):
        assert second.nsctl("exec", name, "--", "ping", "-c1", "-W3", INTERNET_ADDRESS).returncode == 0
    assert not passes(second, kind)
    down(second, "web", "db")
    assert not passes(second, kind)
    assert_back(second, before)


def test_a_host_that_forwards_goes_on_forwarding(second: Lab) -> None:
    second.write("/proc/sys/net/ipv4/ip_forward", "1")
    assert passes(second, "udp")
    up(second, *WEB)
    assert passes(second, "udp")
    assert second.nsctl("exec", "web", "--", "ping", "-c1", "-W3", INTERNET_ADDRESS).returncode == 0


def test_a_hardware_address_is_one_sandboxes_only(lab: Lab) -> None:
    up(lab, *WEB, "--mac", "02:00:00:00:00:01")
    other = ("up", "bridge", "--name", "db", "--subnet", "10.0.3.0/24")
    refused(
        lab, *other, "--mac", "02:00:00:00:00:01", says="02:00:00:00:00:01 is the hardware address of 'web' on nsbr0"
    )
    refused(lab, *other, "--mac", mac(lab, "nsbr0"), says="is the hardware address of nsbr0 itself")
    up(lab, *DB, "--mac", "02:00:00:00:00:01")  # another network
    lines = '[sandbox.{}]\nmode = "bridge"\nsubnet = "10.0.5.0/24"\nmac = "02:00:00:00:00:05"\n'
    lab.write("/run/lab.toml", lines.format("a") + lines.format("b"), 0o600)
    refused(lab, "apply", "/run/lab.toml", says="is the hardware address of 'a' on nsbr2")


def test_a_hardware_address_inside_is_that_of_no_port_of_the_bridge(lab: Lab) -> None:
    up(lab, *WEB)
    other = ("up", "bridge", "--name", "db", "--subnet", "10.0.3.0/24")
    refused(lab, *other, "--mac", derived_mac("web", "ns-web"), says="is the hardware address of 'web' on nsbr0")
    own = derived_mac("db", "ns-db")
    refused(lab, *other, "--mac", own, says="is the hardware address of ns-db, the host's end of its own cable")
    port = (
        "link",
        "add",
        "p9",
        "address",
        "02:00:00:00:00:09",
        "master",
        "nsbr0",
        "type",
        "veth",
        "peer",
        "name",
        "p8",
    )
    lab.run(["ip", *port], check=True)
    refused(lab, *other, "--mac", "02:00:00:00:00:09", says="is the hardware address of p9, a port of nsbr0")
    late_mac = ("--ip", "10.0.3.9", "--mac", derived_mac("api", "ns-api"))
    saved = lab.nsctl(*other, *late_mac, "--dry-run", "--format", "json", check=True)
    lab.write("/run/plan.json", saved.stdout, 0o600)
    up(lab, "bridge", "--name", "api", "--subnet", "10.0.3.0/24")
    refused(lab, "apply", "/run/plan.json", says="on nsbr0 is api's", hint="make the plan again")
    down(lab, "api")
    up(lab, "bridge", "--name", "db", "--subnet", "10.0.3.0/24", "--mac", derived_mac("api", "ns-api"))
    late = ("up", "bridge", "--name", "api", "--subnet", "10.0.3.0/24")
    refused(lab, *late, says="has to be the hardware address of ns-api, .* and is that of 'db' on nsbr0")
    up(lab, *late[1:], "--ifname", "eth1")
    lines = '[sandbox.{}]\nmode = "bridge"\nsubnet = "10.0.5.0/24"\n'
    for given in ("a", "b"):  # the cable planned first, and after
        mac = f'mac = "{derived_mac("b" if given == "a" else "a", "ns-b" if given == "a" else "ns-a")}"\n'
        text = [lines.format(name) + (mac if name == given else "") for name in ("a", "b")]
        lab.write("/run/lab.toml", "".join(text), 0o600)
        refused(lab, "apply", "/run/lab.toml", says="hardware address of .*'(a|b)' on nsbr")


def test_an_address_of_a_link_that_is_down_is_in_the_way(lab: Lab) -> None:
    lab.run(["ip", "link", "add", "brx", "type", "bridge"], check=True)
    lab.run(["ip", "address", "add", "10.0.3.9/24", "dev", "brx"], check=True)
    refused(
        lab, "up", *WEB, says="the subnet 10.0.3.0/24 overlaps the address 10.0.3.9/24 of brx", hint="--allow-overlap"
    )
    lab.run(["ip", "address", "add", "10.77.0.9/24", "dev", "brx"], check=True)
    assert "10.77.1.2/24" in up(lab, "bridge", "--name", "web")


@pytest.mark.parametrize("options", [(), ("--mac", "02:00:00:00:00:07")])
def test_a_reused_address_is_reachable_at_once(lab: Lab, options: tuple[str, ...]) -> None:
    up(lab, "bridge", "--name", "peer", "--subnet", "10.0.3.0/24", "--ip", "10.0.3.9")
    up(lab, *WEB, "--ip", "10.0.3.2", *(("--mac", "02:00:00:00:00:06") if options else ()))
    ping = ("ping", "-c1", "-W1", "10.0.3.2")
    assert lab.run(ping).returncode == 0
    assert lab.nsctl("exec", "peer", "--", *ping).returncode == 0
    down(lab, "web")
    # An ARP request of 10.0.3.2 for 10.0.3.2: who had its last owner in mind learns of the new one.
    wire = sniffing(lab, wanted="0a000302", seconds=3)
    up(lab, *WEB, "--ip", "10.0.3.2", *options)
    assert lab.run(ping).returncode == 0
    assert lab.nsctl("exec", "peer", "--", *ping).returncode == 0
    announced = [f for f in seen(wire) if f[24:28] == "0806" and f[56:64] == f[76:84] == "0a000302"]
    assert announced
    inside = json.loads(lab.run(["ip", "-n", "web", "-j", "link", "show", "dev", "eth0"]).stdout)[0]["address"]
    assert all(f[44:56] == inside.replace(":", "") for f in announced)


def test_the_hardware_address_goes_with_the_address(lab: Lab) -> None:
    found = set()
    for name in ("one", "two"):
        up(lab, "bridge", "--name", name, "--subnet", "10.0.3.0/24", "--ip", "10.0.3.7")
        found.add(json.loads(lab.run(["ip", "-n", name, "-j", "link", "show", "dev", "eth0"]).stdout)[0]["address"])
        down(lab, name)
    assert len(found) == 1


def test_addresses_of_what_has_ended_are_named_with_what_frees_them(lab: Lab) -> None:
    small = ("--subnet", "10.0.3.0/29")
    names = [f"job-{n}" for n in range(1, 6)]
    for name in names:
        up(lab, "bridge", "--name", name, *small)
    for name in names[:2]:
        lab.run(["kill", "-KILL", str(init_of(lab, name))], check=True)
    assert eventually(lambda: sum(row["state"] == "dead" for row in data(lab, "ls", "--json")) == 2)
    says = "every address of 10.0.3.0/29 is taken, some by sandboxes that have ended: job-1, job-2"
    refused(lab, "up", "bridge", "--name", "more", *small, says=says, hint="nsctl down job-1 job-2")
    one = ("up", "bridge", "--name", "more", *small, "--ip", "10.0.3.2")
    refused(lab, *one, says="10.0.3.2 is taken by 'job-1', which has ended", hint="nsctl down job-1")
    down(lab, "job-1", "job-2")
    up(lab, "bridge", "--name", "more", *small)


def test_what_stays_on_a_strangers_bridge_is_not_forwarded_and_passes(lab: Lab) -> None:
    # Where br_netfilter is loaded it passes FORWARD, as it does on every host with Docker or Kubernetes.
    if not lab.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
        pytest.skip("br_netfilter is not loaded")

    def guests(bridge: str, net: str) -> tuple[str, str]:
        script = f"ip link add {bridge} type bridge; ip link set {bridge} up"
        for n in (1, 2):
            name = f"{bridge}-{n}"
            script += f"; ip netns add {name}; ip link add {name} master {bridge} type veth peer name eth0 netns {name}"
            script += f"; ip -n {name} addr add {net}.{n}/24 dev eth0; ip -n {name} link set eth0 up"
            script += f"; ip link set {name} up"
        lab.run(["sh", "-ec", script], check=True)
        return f"{bridge}-1", f"{net}.2"

    def reaches(guest: str, address: str) -> bool:
        return lab.run(["ip", "netns", "exec", guest, "ping", "-c1", "-W2", address]).returncode == 0

    early = guests("vms", "10.66.1")
    assert reaches(*early)
    up(lab, *WEB)
    assert reaches(*early)
    assert reaches(*guests("later", "10.66.2"))
    assert lab.nsctl("check").returncode == 0
