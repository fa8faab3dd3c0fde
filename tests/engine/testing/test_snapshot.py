from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from tests.lab import Lab, Snapshot, assert_back, assert_same, diff, needs, snapshot

SETUP = """\
link add name br0 address 02:00:00:00:00:01 type bridge
link set dev br0 addrgenmode none
address add 10.1.0.1/24 dev br0
link set dev br0 up
netns add web
"""

# What is done → the section that must tell, and what its line must hold.
CHANGES = {
    "a link is added": ("ip link add name br1 type bridge", "links: + br1"),
    "a link is deleted": ("ip link del dev br0", "links: - br0"),
    "a link is renamed": ("ip link set dev br0 name br7", "links: + br7"),
    "a link's mtu changes": ("ip link set dev br0 mtu 1400", "links: ~ br0: mtu 1500 → 1400"),
    "a link's hardware address changes": ("ip link set dev br0 address 02:00:00:00:00:02", "02:00:00:00:00:02"),
    "a link goes down": ("ip link set dev br0 down", "links: ~ br0: flags"),
    "a link gets an alias": ("ip link set dev br0 alias mine", "ifalias None → mine"),
    "a link joins a group": ("ip link set dev br0 group 7", "group default → 7"),
    "a link joins a bridge": ("ip link set dev eth0 master br0", "master None → br0"),
    "a bridge's option changes": ("ip link set dev br0 type bridge stp_state 1", "info_data.stp_state 0 → 1"),
    "an address is added": ("ip address add 10.2.0.1/24 dev br0", "addresses: + dev=br0"),
    "an IPv6 address is added": ("ip address add fd00::1/64 dev br0 nodad", "local=fd00::1"),
    "an address is deleted": ("ip address del 10.1.0.1/24 dev br0", "addresses: - dev=br0"),
    "a route is added": ("ip route add 10.3.0.0/24 via 10.1.0.2", "routes: + type=unicast dst=10.3.0.0/24"),
    "a route in another table is added": ("ip route add blackhole 10.3.0.0/24 table 9", "table=9"),
    "an IPv6 route is added": ("ip -6 route add blackhole fd07::/64", "dst=fd07::/64"),
    "the default route is deleted": ("ip route del default", "routes: - type=unicast dst=default"),
    "a rule is added": ("ip rule add from 10.3.0.0/24 lookup 9", "rules: + family=inet "),
    "an IPv6 rule is added": ("ip -6 rule add from fd00::/64 lookup 9", "rules: + family=inet6 "),
    "an iptables rule is added": ("iptables -A FORWARD -s 10.1.0.0/24 -j ACCEPT", "iptables: + filter FORWARD"),
    "an ip6tables rule is added": ("ip6tables -A FORWARD -s fd00::/64 -j ACCEPT", "ip6tables: + filter FORWARD"),
    "a chain's policy changes": ("iptables -P FORWARD DROP", "iptables: + filter FORWARD: ['policy DROP']"),
    "an empty chain is made": ("iptables -t nat -N MINE", "iptables: + nat MINE"),
    "a table of nft is made": ("nft add table inet mine", "nft: + inet mine"),
    "an older iptables' rule is added": ("iptables-legacy -A FORWARD -j DROP", "iptables legacy: + filter FORWARD"),
    "a sysctl changes": ("sysctl -w net.ipv4.conf.br0.forwarding=1", "sysctls: ~ net/ipv4/conf/br0/forwarding: 0 → 1"),
    "the host is renamed": ("hostname other", "sysctls: ~ kernel/hostname: lab → other"),
    "a namespace is added": ("ip netns add other", "namespaces: + other"),
    "a namespace is deleted": ("ip netns del web", "namespaces: - web"),
    "a namespace is replaced": ("ip netns del web\nip netns add spare\nip netns add web", "namespaces: ~ web: inode"),
    "a link in a namespace goes up": ("ip -n web link set dev lo up", "links in web: ~ lo: flags"),
    "a link in a namespace is added": ("ip -n web link add name x type bridge", "links in web: + x"),
    "a route in a namespace is added": ("ip -n web route add blackhole 10.9.0.0/24", "routes in web: + type=blackhole"),
    "something is mounted": ("mount -t tmpfs none /mnt", "mounts: + /mnt"),
    "something is mounted on top": ("mount -t tmpfs none /run/netns", "mounts: + /run/netns"),
    "a mount is remounted": ("mount -o remount,ro /var/log", "mounts: ~ /var/log"),
    "propagation changes": ("mount --make-shared /var/log", "mounts: ~ /var/log"),
    "a file is made": ("touch /run/file", "files: + /run/file: -rw-r--r-- 0:0 0 bytes"),
    "a directory is made": ("mkdir /run/directory", "files: + /run/directory: drwxr-xr-x"),
    "a link to a file is made": ("ln -s /etc/hosts /run/link", "files: + /run/link: lrwxrwxrwx 0:0 -> /etc/hosts"),
    "a file's content changes": ("cp /etc/passwd /run/old", "files: ~ /run/old"),
    "a file's mode changes": ("chmod 600 /run/old", "-rw-r--r-- 0:0 0 bytes"),
    "something stays in the state directory": (
        "mkdir -p /run/nsctl/sandboxes/web",
        "files: + /run/nsctl/sandboxes/web",
    ),
    "the file of hosts changes": ("mount --bind /etc/passwd /etc/hosts", "files: ~ /etc/hosts"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_snapshot_notices_when(change: str, lab: Lab) -> None:
    commands, expected = CHANGES[change]
    lab.run(["ip", "-batch", "-"], input=SETUP, check=True)
    lab.write("/run/old", "", 0o644)
    before = snapshot(lab)
    for command in commands.splitlines():
        lab.run(command.split(), check=True)
    differences = diff(before, snapshot(lab))
    assert any(expected in line for line in differences), differences
    with pytest.raises(AssertionError, match="the host is not as it was"):
        assert_same(before, snapshot(lab))


def test_a_snapshot_notices_a_process_and_its_end(lab: Lab) -> None:
    before = snapshot(lab)
    child = lab.popen(["sleep", "1000"])
    assert any("processes: + " in line and "sleep 1000" in line for line in diff(before, snapshot(lab)))
    child.kill()
    child.wait()
    assert_same(before, snapshot(lab))


def test_a_snapshot_notices_a_process_that_nobody_waits_for(lab: Lab) -> None:
    lab.popen(["true"])
    time.sleep(0.05)
    assert any("(true, ended but not waited for)" in name for name in snapshot(lab).sections["processes"])


def test_a_snapshot_notices_a_link_replaced_by_one_that_looks_the_same(lab: Lab) -> None:
    lab.run(["ip", "-batch", "-"], input=SETUP, check=True)
    before, loose = snapshot(lab), snapshot(lab, ifindex=False)
    lab.run(["ip", "link", "del", "dev", "br0"], check=True)
    lab.run(["ip", "-batch", "-"], input=SETUP.replace("netns add web", ""), check=True)
    assert diff(before, snapshot(lab)) == ["links: ~ br0: ifindex 3 → 4"]
    assert_same(loose, snapshot(lab, ifindex=False))


def test_the_order_of_rules_counts(lab: Lab) -> None:
    lab.run(["iptables", "-A", "FORWARD", "-s", "10.1.0.0/24", "-j", "ACCEPT"], check=True)
    lab.run(["iptables", "-A", "FORWARD", "-s", "10.2.0.0/24", "-j", "DROP"], check=True)
    before = snapshot(lab)
    lab.run(["iptables", "-D", "FORWARD", "1"], check=True)
    lab.run(["iptables", "-A", "FORWARD", "-s", "10.1.0.0/24", "-j", "ACCEPT"], check=True)
    assert any("iptables: ~ filter FORWARD" in line for line in diff(before, snapshot(lab)))


def test_a_snapshot_does_not_disturb(lab: Lab) -> None:
    first = lab.run(["sh", "-c", "echo $$"]).stdout
    before = snapshot(lab)
    for _ in range(5):
        assert_same(before, snapshot(lab))
    second = lab.run(["sh", "-c", "echo $$"]).stdout
    assert int(second) == int(first) + 1


@pytest.mark.parametrize(
    "commands",
    [
        "iptables -A FORWARD -j ACCEPT; iptables -D FORWARD -j ACCEPT",
        "iptables -t nat -A POSTROUTING -j MASQUERADE; iptables -t nat -F",
        "ip6tables -A FORWARD -j ACCEPT; ip6tables -F",
        "iptables -N MINE; iptables -X MINE; iptables-save",
        "nft list ruleset; nft add table inet x; nft delete table inet x",
        "ip netns add web; ip netns del web",
        "mkdir /run/nsctl; cd /run/nsctl; touch lock state.db state.db-journal ballast",
        "touch /run/xtables.lock",
        "ip link add name br0 type bridge; ip link del dev br0",
        "ping -c 2 -i 0.2 203.0.113.1",
    ],
)
def test_what_merely_has_been_used_does_not_count(commands: str, lab: Lab) -> None:
    before = snapshot(lab)
    lab.run(["sh", "-ec", commands], check=True)
    assert_back(lab, before)


@needs("iptables-legacy")
def test_an_older_iptables_table_that_merely_has_been_used_does_not_count(lab: Lab) -> None:
    before = snapshot(lab)
    lab.run(["iptables-legacy", "-A", "FORWARD", "-j", "ACCEPT"], check=True)
    lab.run(["iptables-legacy", "-D", "FORWARD", "-j", "ACCEPT"], check=True)
    assert_same(before, snapshot(lab))


def test_traffic_and_time_do_not_count(lab: Lab) -> None:
    lab.run(["ip", "-batch", "-"], input=SETUP, check=True)
    lab.run(["iptables", "-A", "INPUT", "-p", "icmp", "-j", "ACCEPT"], check=True)
    lab.run(["nft", "add table inet mine"], check=True)
    lab.run(["nft", "add chain inet mine c { type filter hook input priority 0; }"], check=True)
    lab.run(["nft", "add rule inet mine c counter"], check=True)
    before = snapshot(lab)
    lab.run(["ping", "-c", "2", "-i", "0.2", "203.0.113.1"], check=True)
    time.sleep(0.5)
    assert_same(before, snapshot(lab))


def test_new_labs_are_all_alike(lab_factory: Callable[..., Lab]) -> None:
    def seen() -> Snapshot:
        with lab_factory() as lab:
            return snapshot(lab).without("mounts")  # they name the lab

    first = seen()
    for _ in range(10):
        assert_same(first, seen())


def test_state_files_count_where_a_test_says_so(lab: Lab) -> None:
    before = snapshot(lab, kept=("lock",))
    lab.write("/run/nsctl/state.db", "")
    lab.write("/run/nsctl/lock", "")
    assert [line.split(":")[1] for line in diff(before, snapshot(lab, kept=("lock",)))] == [" + /run/nsctl/state.db"]


def test_other_trees_can_be_looked_at(lab: Lab) -> None:
    before = snapshot(lab, roots=("/var/log",))
    lab.write("/var/log/nsctl/audit.jsonl", "{}\n")
    assert len(diff(before, snapshot(lab, roots=("/var/log",)))) == 2


def test_a_file_among_the_namespaces_that_is_none_is_seen(lab: Lab) -> None:
    lab.write("/run/netns/fake", "")
    sections = snapshot(lab).sections
    assert "fake" in sections["namespaces"]
    assert "(not a network namespace)" in sections["links in fake"]


def test_assert_back_waits_for_what_the_kernel_does_in_the_background(lab: Lab) -> None:
    before = snapshot(lab)
    lab.run(["ip", "netns", "add", "web"], check=True)
    lab.run("ip link add name v type veth peer name eth0 netns web".split(), check=True)
    lab.run(["ip", "netns", "del", "web"], check=True)
    assert_back(lab, before)


def test_assert_back_gives_up_and_names_the_difference(lab: Lab) -> None:
    before = snapshot(lab)
    lab.write("/run/file", "")
    with pytest.raises(AssertionError, match=r"files: \+ /run/file"):
        assert_back(lab, before, within=0.1)


def test_many_namespaces_are_all_looked_at(lab: Lab) -> None:
    lab.run(["ip", "-batch", "-"], input="".join(f"netns add n{number}\n" for number in range(12)), check=True)
    sections = snapshot(lab).sections
    assert len(sections["namespaces"]) == 12
    assert "lo" in sections["links in n11"]
    sleeper = lab.popen(["sleep", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert any(name.startswith(f"{_inside(lab)} ") for name in snapshot(lab).sections["processes"])
    sleeper.kill()


def _inside(lab: Lab) -> int:
    return int(lab.run(["pgrep", "sleep"]).stdout)
