"""Sandboxes on one bridge: none sends in the name of another, of the bridge, or of nobody that is known."""

from __future__ import annotations

import json
import socket
import subprocess
from ipaddress import IPv4Address
from typing import Any

import pytest

from nsctl.engine.model.names import derived_mac
from nsctl.engine.testing.servers import socket_in
from tests.lab import Lab, assert_back, needs, shim, snapshot
from tests.system.support import down, eventually, refused, up
from tests.system.test_identity import switch
from tests.system.test_network import python
from tests.system.test_refusals import cover
from tests.system.test_stores import OTHER

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables", "nft"), pytest.mark.warm]

SUBNET = ("--subnet", "10.0.3.0/24")
WEB, DB, THIRD = "10.0.3.2", "10.0.3.3", "10.0.3.4"
GATEWAY = "10.0.3.1"
NONE = "0.0.0.0"  # noqa: S104 - a source
BROADCAST = "ff:ff:ff:ff:ff:ff"
IPV4, ARP, IPV6, VLAN, SERVICE = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
SIX = bytes([0x60, 0, 0, 0, 0, 5, 59, 64]) + bytes(32)
"""A header of IPv6, without a next one."""
MARK = bytes.fromhex("feedbeef")

SEND = """\
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("eth0", 0))
for frame in sys.argv[1:]:
    for _ in range(3):
        sock.send(bytes.fromhex(frame))
"""
LISTEN = """\
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind((sys.argv[1], 3))
sock.settimeout(10)
print("ready", flush=True)
mark, last, found = bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]), set()
while True:
    try:
        frame = sock.recv(2000)
    except TimeoutError:
        print("nothing more comes")
        break
    if last in frame:
        break
    at = frame.find(mark)
    if at >= 0:
        found.add(frame[at + len(mark)])
print(*sorted(found))
"""
"""Prints the numbers behind the mark of the frames that a link receives, until the last one comes."""


def mac_of(address: str) -> str:
    return derived_mac("address", address)


def raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ether(source: str, kind: int, body: bytes, target: str = BROADCAST) -> bytes:
    return raw(target) + raw(source) + kind.to_bytes(2) + body


def datagram(source: str, payload: bytes, target: str = "10.0.3.255") -> bytes:
    udp = (4444).to_bytes(2) + (9).to_bytes(2) + (8 + len(payload)).to_bytes(2) + bytes(2) + payload
    head = bytes([0x45, 0]) + (20 + len(udp)).to_bytes(2) + bytes([0, 7, 0, 0, 64, 17])
    addresses = IPv4Address(source).packed + IPv4Address(target).packed
    words = head + bytes(2) + addresses
    total = sum(int.from_bytes(words[n : n + 2]) for n in range(0, 20, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head + (~total & 0xFFFF).to_bytes(2) + addresses + udp


def arp(mac: str, address: str, payload: bytes, operation: int = 2, wanted: str = "", kind: bytes = b"") -> bytes:
    head = kind or bytes([0, 1, 8, 0, 6, 4])
    target = IPv4Address(wanted or address).packed
    return head + operation.to_bytes(2) + raw(mac) + IPv4Address(address).packed + bytes(6) + target + payload


ME, SIBLING, HOST = mac_of(WEB), mac_of(DB), derived_mac("bridge", "nsbr0")


def frames(payload: bytes) -> dict[str, bytes]:
    """What web must not send, each with a payload."""
    forged = datagram(DB, payload)
    claim = arp(ME, DB, payload)
    return {
        "a datagram from the sibling's address": ether(ME, IPV4, forged),
        "a datagram from both of the sibling's addresses": ether(SIBLING, IPV4, forged),
        "its own datagram from the sibling's hardware address": ether(SIBLING, IPV4, datagram(WEB, payload)),
        "a datagram from the bridge's address": ether(ME, IPV4, datagram(GATEWAY, payload)),
        "a datagram from an address of nobody": ether(ME, IPV4, datagram("10.0.3.99", payload)),
        "a datagram from no address": ether(ME, IPV4, datagram(NONE, payload)),
        "a datagram of a stranger's": ether(ME, IPV4, datagram("198.51.100.7", payload)),
        "a gratuitous ARP reply for the sibling's address": ether(ME, ARP, claim),
        "an announcement of an address of nobody": ether(ME, ARP, arp(ME, "10.0.3.99", payload)),
        "the same as a request": ether(ME, ARP, arp(ME, DB, payload, 1)),
        "the same with the sibling's hardware address inside": ether(ME, ARP, arp(SIBLING, DB, payload)),
        "the same with it outside": ether(SIBLING, ARP, claim),
        "the same with it in both": ether(SIBLING, ARP, arp(SIBLING, DB, payload)),
        "an ARP reply for the bridge's address": ether(ME, ARP, arp(ME, GATEWAY, payload)),
        "its own address at the sibling's hardware address": ether(ME, ARP, arp(SIBLING, WEB, payload)),
        "an ARP reply from no address": ether(ME, ARP, arp(ME, NONE, payload, 2, DB)),
        "an ARP probe from the sibling's hardware address": ether(SIBLING, ARP, arp(SIBLING, NONE, payload, 1, DB)),
        "ARP of IEEE 802": ether(ME, ARP, arp(ME, DB, payload, kind=bytes([0, 6, 8, 0, 6, 4]))),
        "ARP with longer addresses": ether(ME, ARP, arp(ME, WEB, payload, kind=bytes([0, 1, 8, 0, 8, 4]))),
        "a reverse ARP": ether(ME, 0x8035, arp(ME, DB, payload, 4)),
        "the datagram with tag 0": ether(ME, VLAN, bytes(2) + IPV4.to_bytes(2) + forged),
        "with two of them": ether(ME, VLAN, bytes(2) + VLAN.to_bytes(2) + bytes(2) + IPV4.to_bytes(2) + forged),
        "with a service tag": ether(ME, SERVICE, bytes(2) + IPV4.to_bytes(2) + forged),
        "with both": ether(ME, SERVICE, bytes(2) + VLAN.to_bytes(2) + bytes(2) + IPV4.to_bytes(2) + forged),
        "with the tag of a VLAN": ether(ME, VLAN, (7).to_bytes(2) + IPV4.to_bytes(2) + forged),
        "the ARP reply with tag 0": ether(ME, VLAN, bytes(2) + ARP.to_bytes(2) + claim),
        "the datagram in LLC and SNAP": ether(
            ME, 8 + len(forged), bytes([0xAA, 0xAA, 3, 0, 0, 0]) + IPV4.to_bytes(2) + forged
        ),
        "a spanning tree's message": ether(ME, 3 + len(payload), bytes([0x42, 0x42, 3]) + payload, "01:80:c2:00:00:00"),
        "a header that is cut short": ether(ME, IPV4, bytes([0x45]) + payload),
        "an ARP that is cut short": ether(ME, ARP, bytes([0, 1]) + payload),
        "IPv6 from the sibling's hardware address": ether(SIBLING, IPV6, SIX + payload),
        "IPv6 from the bridge's": ether(HOST, IPV6, SIX + payload),
    }


def own(payload: bytes) -> dict[str, bytes]:
    """What web may send."""
    return {
        "its own datagram to all": ether(ME, IPV4, datagram(WEB, payload)),
        "to a group": ether(ME, IPV4, datagram(WEB, payload, "224.0.0.1"), "01:00:5e:00:00:01"),
        "its own announcement": ether(ME, ARP, arp(ME, WEB, payload)),
        "its own question": ether(ME, ARP, arp(ME, WEB, payload, 1, DB)),
        "its own probe": ether(ME, ARP, arp(ME, NONE, payload, 1, "10.0.3.77")),  # RFC 5227
        "its own IPv6": ether(ME, IPV6, SIX + payload),
    }


LAST = MARK[::-1] + b"\xff"


def numbered(which: list[str]) -> list[bytes]:
    return [(frames(MARK + bytes([n])) | own(MARK + bytes([n])))[what] for n, what in enumerate(which)]


def heard(lab: Lab, which: list[str], sender: str = "web") -> dict[str, list[str]]:
    """Which of these frames the sibling, a third sandbox and the host receive of web's."""
    places = {
        "db": ["ip", "netns", "exec", "db"],
        "third": ["ip", "netns", "exec", "third"],
        "host": [],
    }
    listeners: dict[str, subprocess.Popen[str]] = {}
    for place, at in places.items():
        link = "nsbr0" if place == "host" else "eth0"
        listeners[place] = lab.popen([*at, *python(LISTEN, link, MARK.hex(), LAST.hex())])
        assert listeners[place].stdout.readline() == "ready\n"  # type: ignore[union-attr]
    # The last one passes whatever the rules are: by another port, in its own name.
    last = ether(mac_of("10.0.3.5"), IPV4, datagram("10.0.3.5", LAST)).hex()
    lab.run(["ip", "netns", "exec", sender, *python(SEND, *(f.hex() for f in numbered(which)))], check=True)
    lab.run(["ip", "netns", "exec", "last", *python(SEND, last)], check=True)
    found = {}
    for place, listener in listeners.items():
        output, _ = listener.communicate(timeout=30)
        assert "nothing more" not in output, place
        found[place] = [which[int(number)] for number in output.split()]
    return found


def four(lab: Lab, *more: str) -> None:
    up(lab, "bridge", "--name", "web", *SUBNET, *more)
    for name in ("db", "third", "last"):
        up(lab, "bridge", "--name", name, *SUBNET)


def drifts(lab: Lab) -> Any:
    done = lab.nsctl("check", "--json")
    assert done.returncode == 4
    return json.loads(done.stdout)["drift"]


FORGED, OWN = list(frames(b"")), list(own(b""))


def test_groups_that_bridges_keep_to_themselves_are_no_way_round(lab: Lab) -> None:
    # The kernel takes some of them in by the port, not by the bridge, and past what is said of the bridge.
    up(lab, "bridge", "--name", "web", *SUBNET)
    groups = [f"01:80:c2:00:00:{last:02x}" for last in range(16)]
    forged = [
        ether(ME, IPV4, datagram(source, f"{group} {source}".encode(), GATEWAY), group).hex()
        for group in groups
        for source in (DB, "198.51.100.7")
    ]
    with socket_in(lab, None, socket.SOCK_DGRAM) as host:
        host.bind((NONE, 9))
        host.settimeout(10)
        send = ["ip", "netns", "exec", "web", *python(SEND)]
        lab.run([*send, *forged], check=True)
        lab.run([*send, ether(ME, IPV4, datagram(WEB, b"last", GATEWAY), HOST).hex()], check=True)
        assert host.recv(100) == b"last"
    assert lab.nsctl("check").returncode == 0
    lab.run(["ip", "link", "set", "dev", "nsbr0", "type", "bridge", "group_fwd_mask", "0"], check=True)
    [drift] = drifts(lab)
    assert (drift["key"], drift["found"]) == (
        "linkset/nsbr0/group_fwd_mask",
        "group_fwd_mask 0x0, expected 0x4000",
    )
    assert lab.nsctl("repair").returncode == 0
    assert lab.nsctl("check").returncode == 0


@pytest.mark.parametrize("kind", ["nft", pytest.param("legacy", marks=needs("iptables-legacy"))])
def test_nothing_in_another_name_reaches_anybody_and_what_is_its_own_reaches_all(lab: Lab, kind: str) -> None:
    switch(lab, kind)
    before = snapshot(lab)
    four(lab)
    assert heard(lab, [*FORGED, *OWN]) == {"db": OWN, "third": OWN, "host": OWN}
    assert lab.nsctl("check").returncode == 0
    down(lab, "--all")
    if kind == "nft":
        assert_back(lab, before)
    assert "nsctl" not in lab.run(["nft", "list", "tables"], check=True).stdout


def test_without_the_filter_everything_is_heard(lab: Lab) -> None:
    # Else the test above would say nothing. Some the host drops otherwise, where iptables sees what bridges pass on.
    otherwise = {
        *("a datagram from no address", "a datagram of a stranger's"),
        *("a header that is cut short", "an ARP that is cut short"),
    }
    four(lab, "--allow-spoofing")
    for place, found in heard(lab, [*FORGED, *OWN]).items():
        assert {*FORGED, *OWN} - {*found} <= otherwise, place


def test_a_port_that_is_not_nsctls_is_not_judged(lab: Lab) -> None:
    four(lab)
    script = """\
        ip netns add own
        ip link add theirs master nsbr0 type veth peer name eth0 netns own
        ip link set theirs up
        ip -n own link set eth0 up
        """
    lab.run(["sh", "-ec", script], check=True)
    assert eventually(lambda: "state forwarding" in lab.run(["bridge", "link", "show", "dev", "theirs"]).stdout)
    chosen = [FORGED[0], FORGED[7], *OWN]
    assert heard(lab, chosen, "own") == {"db": chosen, "third": chosen, "host": chosen}


def test_an_address_that_is_added_inside_is_allowed_by_an_option(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *SUBNET, "--allow-address", "10.0.3.99", "--allow-address", "10.0.3.98")
    for name in ("db", "third", "last"):
        up(lab, "bridge", "--name", name, *SUBNET)
    allowed = ["a datagram from an address of nobody", "an announcement of an address of nobody"]
    assert set(map(tuple, heard(lab, ["a datagram from the sibling's address", *allowed]).values())) == {(*allowed,)}
    assert lab.nsctl("check").returncode == 0
    down(lab, "--all")
    refused(
        lab, "up", "bridge", *SUBNET, "--allow-address", "10.0.4.9", says="10.0.4.9 is no host address of 10.0.3.0/24"
    )


FLUSHED = "nft flush ruleset"
ALTERED = {
    "the whole ruleset is flushed": (FLUSHED, "nft/bridge/nsctl", "absent"),
    "the table is deleted": ("nft delete table bridge nsctl", "nft/bridge/nsctl", "absent"),
    "the table sleeps": ("nft 'add table bridge nsctl { flags dormant; }'", "nft/bridge/nsctl", "changed"),
    "a chain is emptied": ("nft flush chain bridge nsctl senders", "nft/bridge/nsctl", "changed"),
    "a rule is inserted": ("nft insert rule bridge nsctl guarded accept", "nft/bridge/nsctl", "changed"),
    "a rule is replaced": (
        """\
        h=$(nft -a list chain bridge nsctl prerouting | sed -n 's/.*goto guarded # handle //p')
        nft replace rule bridge nsctl prerouting handle $h iifname @ports accept
        """,
        "nft/bridge/nsctl",
        "changed",
    ),
    "the port is no longer judged": (
        "nft 'delete element bridge nsctl ports { \"ns-web\" }'",
        "port/ns-web",
        "changed",
    ),
    "its address is taken away": (
        f"nft 'delete element bridge nsctl addresses {{ \"ns-web\" . {WEB} }}'",
        "port/ns-web",
        "changed",
    ),
    "its hardware address is taken away": (
        f"nft 'delete element bridge nsctl hardware {{ \"ns-web\" . {ME} }}'",
        "port/ns-web",
        "changed",
    ),
    "all elements are taken away": (
        "for name in ports hardware addresses; do nft flush set bridge nsctl $name; done",
        "port/ns-web",
        "absent",
    ),
}
CHOSEN = [FORGED[0], FORGED[2], FORGED[7], *OWN]


@pytest.mark.parametrize("what", ALTERED)
def test_what_others_did_to_the_table_is_named_and_mended(lab: Lab, what: str) -> None:
    script, key, state = ALTERED[what]
    before = snapshot(lab)
    four(lab)
    lab.run(["sh", "-ec", script], check=True)
    assert (key, state) in {(drift["key"], drift["state"]) for drift in drifts(lab)}
    assert lab.nsctl("repair").returncode == 0
    assert lab.nsctl("check").returncode == 0, lab.nsctl("check")
    assert heard(lab, CHOSEN) == {"db": OWN, "third": OWN, "host": OWN}
    down(lab, "--all")
    assert_back(lab, before)


@pytest.mark.parametrize("what", [what for what, (_, key, _) in ALTERED.items() if key.startswith("nft/")])
def test_whoever_comes_up_relies_on_a_table_as_it_was_made(lab: Lab, what: str) -> None:
    up(lab, "bridge", "--name", "db", *SUBNET, "--ip", DB)
    lab.run(["sh", "-ec", ALTERED[what][0]], check=True)
    up(lab, "bridge", "--name", "web", *SUBNET, "--ip", WEB)
    for name in ("third", "last"):
        up(lab, "bridge", "--name", name, *SUBNET)
    assert heard(lab, CHOSEN) == {"db": OWN, "third": OWN, "host": OWN}


def test_what_others_let_a_port_send_is_named_and_goes_with_it(lab: Lab) -> None:
    four(lab)
    more = "nft 'add element bridge nsctl addresses { \"ns-web\" . 10.0.3.99 }'"
    lab.run(["sh", "-ec", more], check=True)
    [drift] = drifts(lab)
    assert (drift["key"], drift["found"]) == ("port/ns-web", "it may send as 10.0.3.99, too")
    assert lab.nsctl("repair").returncode == 4
    assert set(map(tuple, heard(lab, [FORGED[4]]).values())) == {(FORGED[4],)}
    down(lab, "web")
    assert "ns-web" not in lab.run(["nft", "list", "ruleset"], check=True).stdout
    assert "ns-db" in lab.run(["nft", "list", "ruleset"], check=True).stdout


def test_two_stores_share_the_table_and_the_last_one_deletes_it(lab: Lab) -> None:
    before = snapshot(lab)
    up(lab, "bridge", "--name", "web", *SUBNET)
    one = lab.run(["nft", "list", "table", "bridge", "nsctl"], check=True).stdout
    done = lab.nsctl("up", "bridge", "--name", "db", "--subnet", "10.0.4.0/24", env=OTHER)
    assert (done.returncode, done.stderr) == (0, ""), done
    for env in ({}, OTHER):
        assert lab.nsctl("check", env=env).returncode == 0
        assert lab.nsctl("recover", "--scan", "--yes", env=env).stdout == "nothing to recover\n"
    lab.run(["nft", "flush", "chain", "bridge", "nsctl", "senders"], check=True)
    assert lab.nsctl("check", env=OTHER).returncode == 4
    assert lab.nsctl("repair", env=OTHER).returncode == 0
    assert lab.nsctl("check").returncode == 0
    assert lab.nsctl("down", "db", env=OTHER).returncode == 0
    assert lab.run(["nft", "list", "table", "bridge", "nsctl"], check=True).stdout == one
    down(lab, "web")
    lab.run(["rm", "-rf", "/run/other"], check=True)
    assert_back(lab, before)


def test_a_scan_finds_the_table_and_ports_that_no_store_has(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *SUBNET)
    lab.run(["nft", 'add element bridge nsctl ports { "ns-lost" }'], check=True)
    lab.run(["nft", 'add element bridge nsctl addresses { "ns-half" . 10.0.3.7 }'], check=True)
    assert lab.nsctl("recover", "--scan").stdout.splitlines() == ["found port/ns-half", "found port/ns-lost"]
    assert lab.nsctl("recover", "--scan", "--yes").returncode == 0
    assert lab.nsctl("check").returncode == 0
    listed = lab.run(["nft", "list", "table", "bridge", "nsctl"], check=True).stdout
    assert ("ns-web" in listed, "ns-lost" in listed, "ns-half" in listed) == (True, False, False)
    lab.run(["rm", "/run/nsctl/state.db"], check=True)
    assert "found nft/bridge/nsctl" in lab.nsctl("recover", "--scan").stdout
    lab.nsctl("recover", "--scan", "--yes")
    assert "bridge nsctl" not in lab.run(["nft", "list", "tables"], check=True).stdout


def test_where_the_host_cannot_filter_on_bridges_that_is_said_and_nothing_fails(lab: Lab) -> None:
    cover(lab, "/usr/sbin/nft")
    line = (
        "nsctl: warning: sandboxes on nsbr0 can take each other's address: the tool 'nft' is missing"
        " (apt install nftables)\n"
    )
    dry = lab.nsctl("up", "bridge", "--name", "web", *SUBNET, "--dry-run")
    assert (dry.returncode, dry.stderr, "nft " in dry.stdout) == (0, line, False)
    done = lab.nsctl("up", "bridge", "--name", "web", *SUBNET)
    assert (done.returncode, done.stderr) == (0, line)
    assert lab.nsctl("check").returncode == 0
    assert lab.nsctl("up", "bridge", "--name", "db", *SUBNET, "--allow-spoofing").stderr == ""
    down(lab, "--all")


@pytest.mark.parametrize("option", [(), ("--no-batch",)])
def test_a_table_that_cannot_be_made_is_blamed_and_all_is_undone(lab: Lab, option: tuple[str, ...]) -> None:
    before = snapshot(lab)
    shims = shim(lab, "nft", {"nft -f -": "fail"} if not option else {"nft add element*": "fail"})
    done = lab.nsctl("up", "bridge", "--name", "web", *SUBNET, *option)
    assert done.returncode == 1
    assert shims.injected
    assert_back(lab, before)
