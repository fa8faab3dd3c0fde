"""Whose a thing is by now: what others rely on is left as it is, what was renamed is undone under its new name."""

from __future__ import annotations

import os

import pytest

from nsctl.engine.testing.snapshot import assert_back
from tests.lab import Lab, needs, snapshot
from tests.system.support import down, eventually, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables"), pytest.mark.warm]

NET = ("--subnet", "10.0.3.0/24")
FORWARDING = "/proc/sys/net/ipv4/conf/{}/forwarding"


def forwarding(lab: Lab, link: str) -> str:
    return lab.read(FORWARDING.format(link)).strip()


def sh(lab: Lab, script: str) -> None:
    lab.run(["sh", "-ec", script], check=True)


def test_forwarding_that_others_switched_on_since_is_left_on(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *NET)
    lab.write("/proc/sys/net/ipv4/ip_forward", "1")  # as Docker does when it starts
    done = lab.nsctl("down", "web")
    assert done.returncode == 0
    assert forwarding(lab, "eth0") == "1"
    left = "sysctl/net/ipv4/conf/eth0/forwarding stays as it is, since others rely on it"
    assert f"{left}: net/ipv4/conf/all/forwarding is 1 by now" in done.stderr
    up(lab, "bridge", "--name", "web", *NET)
    down(lab, "web")
    assert forwarding(lab, "eth0") == "1"


def test_forwarding_that_was_on_for_all_links_before_is_no_reason_to_leave_ours(lab: Lab) -> None:
    lab.write("/proc/sys/net/ipv4/ip_forward", "1")
    lab.write(FORWARDING.format("eth0"), "0")
    before = snapshot(lab)
    up(lab, "bridge", "--name", "web", *NET)
    assert forwarding(lab, "eth0") == "1"
    down(lab, "web")
    assert_back(lab, before)


def test_a_setting_of_another_link_under_the_same_name_is_left_alone(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *NET, "--uplink", "eth0")
    sh(lab, "ip link set eth0 down; ip link set eth0 name old; ip link add eth0 type veth peer name far; echo 1"
            " >/proc/sys/net/ipv4/conf/eth0/forwarding")  # fmt: skip
    down(lab, "web")
    assert forwarding(lab, "eth0") == "1"
    assert forwarding(lab, "old") == "0"


def test_a_link_that_is_gone_and_made_anew_by_others_keeps_its_setting(lab: Lab) -> None:
    sh(lab, "ip link add up9 type veth peer name far9; ip link set up9 up; ip link set far9 up")
    lab.nsctl("up", "bridge", "--name", "web", *NET, "--uplink", "up9", check=True)  # by which no default route leads
    sh(lab, "ip link del up9; ip link add up9 type veth peer name far9; echo 1 >/proc/sys/net/ipv4/conf/up9/forwarding")
    done = lab.nsctl("down", "web")
    assert done.returncode == 0
    assert forwarding(lab, "up9") == "1"
    assert "sysctl/net/ipv4/conf/up9/forwarding is not nsctl's any more" in done.stderr
    assert "up9 is another link now" in done.stderr


def test_an_uplink_that_was_renamed_gets_its_setting_back_under_its_new_name(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *NET)
    sh(lab, "ip link set eth0 down; ip link set eth0 name wan0; ip link set wan0 up;"
            " ip route add default via 203.0.113.1")  # fmt: skip
    assert forwarding(lab, "wan0") == "1"
    assert lab.nsctl("check").returncode == 0
    assert lab.nsctl("repair").returncode == 0
    down(lab, "web")
    assert forwarding(lab, "wan0") == "0"


def test_a_bridge_of_the_same_name_and_hardware_address_is_a_strangers_all_the_same(lab: Lab) -> None:
    up(lab, "bridge", "--name", "web", *NET)
    mac = lab.read("/sys/class/net/nsbr0/address").strip()
    sh(lab, f"ip link del nsbr0; ip link add nsbr0 address {mac} type bridge")
    done = lab.nsctl("down", "web")
    assert done.returncode == 0
    assert "link/nsbr0 is not nsctl's any more" in done.stderr
    assert lab.run(["ip", "link", "show", "dev", "nsbr0"]).returncode == 0


@pytest.mark.parametrize("name", ["dev", "type", "peer", "name", "address", "master", "link", "del", "up", "group"])
def test_a_bridge_may_be_called_what_ip_calls_something_else(lab: Lab, name: str) -> None:
    before = snapshot(lab)
    up(lab, "bridge", "--name", "web", *NET, "--bridge", name)
    assert lab.nsctl("check").returncode == 0
    sh(lab, f"ip link set dev {name} down; ip link set dev {name} name elsewhere")
    down(lab, "web")
    assert_back(lab, before)


def switch(lab: Lab, to: str) -> None:
    """As `update-alternatives --set iptables` would, on the lab host alone."""
    sh(lab, "[ -d /run/alternatives ] || { cp -a /etc/alternatives /run/; mount --bind /run/alternatives"
            " /etc/alternatives; }")  # fmt: skip
    for tool in ("iptables", "ip6tables"):
        for end in ("", "-save", "-restore"):
            sh(lab, f"ln -sfn /usr/sbin/{tool}-{to}{end} /etc/alternatives/{tool}{end}")


@needs("iptables-legacy", "nft")
@pytest.mark.parametrize(("first", "then"), [("legacy", "nft"), ("nft", "legacy")])
@pytest.mark.parametrize("option", ["", "--no-batch"])
def test_rules_are_removed_with_the_back_end_that_made_them(lab: Lab, first: str, then: str, option: str) -> None:
    switch(lab, first)
    before = snapshot(lab)
    up(lab, "bridge", "--name", "web", *NET)
    switch(lab, then)
    assert lab.nsctl("check").returncode == 0
    down(lab, "web", *filter(None, [option]))
    switch(lab, first)
    assert_back(lab, before)


@needs("iptables-legacy", "nft")
@pytest.mark.parametrize(("first", "then"), [("legacy", "nft"), ("nft", "legacy")])
def test_rules_of_two_back_ends_are_not_mixed(lab: Lab, first: str, then: str) -> None:
    switch(lab, first)
    up(lab, "bridge", "--name", "web", *NET)
    switch(lab, then)
    before = snapshot(lab)
    for net in ("10.0.3.0/24", "10.0.4.0/24"):
        done = lab.nsctl("up", "bridge", "--name", "db", "--subnet", net)
        assert done.returncode == 2, done
        assert "update-alternatives" in done.stderr
    assert_back(lab, before)


@needs("iptables-legacy", "nft")
def test_repair_puts_rules_back_with_the_back_end_that_made_them(lab: Lab) -> None:
    switch(lab, "legacy")
    before = snapshot(lab)
    up(lab, "bridge", "--name", "web", *NET)
    made = snapshot(lab)
    switch(lab, "nft")
    sh(lab, "iptables-legacy -t nat -F NSCTL-POSTROUTING")
    assert lab.nsctl("repair").returncode == 0
    switch(lab, "legacy")
    assert_back(lab, made)
    switch(lab, "nft")
    down(lab, "web")
    switch(lab, "legacy")
    assert_back(lab, before)


@needs("iptables-legacy", "nft")
def test_rules_whose_back_end_has_no_tool_any_more_do_not_count_as_gone(lab: Lab) -> None:
    switch(lab, "legacy")
    up(lab, "bridge", "--name", "web", *NET)
    switch(lab, "nft")
    sh(lab, "cp -a /usr/sbin /run/sbin; rm /run/sbin/iptables-legacy*; mount --bind /run/sbin /usr/sbin")
    for command in ("check", "down"):
        done = lab.nsctl(command, "web")
        assert done.returncode in {1, 3}, done
        assert "iptables-legacy-save is missing" in done.stderr
    sh(lab, "umount /usr/sbin")
    assert lab.nsctl("recover").returncode == 0
    assert lab.nsctl("ls", "--json").stdout.strip() == "[]"
    assert "NSCTL" not in lab.run(["iptables-legacy-save"]).stdout


def test_a_namespace_made_in_the_place_of_ours_is_a_strangers_though_it_has_the_same_number(lab: Lab) -> None:
    up(lab, "none", "--name", "box", "--isolate", "net")
    inode = lab.call(os.stat, "/run/netns/box").st_ino
    sh(lab, "ip netns del box; ip netns add box")
    for _ in range(50):
        if lab.call(os.stat, "/run/netns/box").st_ino == inode:
            break
        sh(lab, "ip netns del box; ip netns add box")
    else:
        pytest.skip("this kernel does not give the number again")
    theirs = lab.popen(["ip", "netns", "exec", "box", "sleep", "1000051"])
    assert lab.nsctl("check").returncode == 4
    done = lab.nsctl("down", "box")
    assert done.returncode == 0
    assert "netns/box is not nsctl's any more and was left alone: another network namespace" in done.stderr
    assert theirs.poll() is None
    sh(lab, "ip netns exec box true")


def test_what_runs_in_a_namespace_whose_name_others_took_away_ends_with_down(lab: Lab) -> None:
    before = snapshot(lab)
    up(lab, "none", "--name", "box", "--isolate", "net")
    child = lab.nsctl_popen("exec", "box", "--", "sleep", "1000053")
    assert eventually(lambda: lab.run(["pgrep", "-xf", "sleep 1000053"]).stdout != "")
    sh(lab, "ip netns del box")
    down(lab, "box")
    assert child.wait(10) != 0
    assert_back(lab, before)
