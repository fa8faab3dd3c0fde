"""
10. Drift: what nsctl made is removed, changed, renamed, or replaced by a stranger's.

`check` names it, `repair` mends it or leaves the stranger's alone, `down` removes only what is nsctl's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

import pytest

from tests.faults.ground import BASE, BESIDE, FIREWALLD, MODES, Ground
from tests.faults.tally import Tally
from tests.faults.warm import Warm

STRANGER = "02:00:5e:99:00:01"
"""The hardware address of a stranger's link."""


@dataclass(frozen=True)
class Drift:
    """
    Something that somebody else does to the host.

    Args:
        script: What they do, in sh.
        key: The step (its beginning) that `check` has to name.
        stranger: How the stranger's thing is taken away in the end, which fails if it is not there as it was made.
    """

    script: str
    key: str
    stranger: str = ""


THEIRS = {
    link: f"ip link show dev {link} | grep -q {STRANGER} && ip link del dev {link}"
    for link in ("nsbr0", "ns-web", "brx")
}
"""How a stranger's link is taken away, if it is that very one."""

REMOVED = (
    Drift("ip link del nsbr0", "link/nsbr0"),
    Drift("ip link del ns-web", "link/ns-web"),
    Drift("ip -n web link del eth0", "link/ns-web"),
    Drift("ip addr flush dev nsbr0", "addr/nsbr0/10.0.3.1/24"),
    Drift("ip link set nsbr0 down", "up/nsbr0"),
    Drift("ip link set ns-web down", "up/ns-web"),
    Drift("ip -n web addr flush dev eth0", "addr/web:eth0/10.0.3.2/24"),
    Drift("ip -n web route del default", "route/web:default"),
    Drift("ip -n web link set eth0 down", "up/web:eth0"),
    Drift("ip -n web link set lo down", "up/web:lo"),
    Drift("iptables -F NSCTL-FORWARD", "rule/4/filter/NSCTL-FORWARD/"),
    Drift("iptables -D NSCTL-FORWARD 1", "rule/4/filter/NSCTL-FORWARD/"),
    Drift("iptables -D NSCTL-FORWARD 4", "rule/4/filter/NSCTL-FORWARD/"),
    Drift("iptables -t nat -F NSCTL-POSTROUTING", "rule/4/nat/NSCTL-POSTROUTING/"),
    Drift('iptables -D FORWARD $(iptables -S FORWARD | grep -n "j NSCTL-FORWARD" | cut -d: -f1 | awk \'{print $1-1}\')',
          "rule/4/filter/FORWARD/"),
    Drift("iptables-save -t filter | sed '/NSCTL-FORWARD/d' | iptables-restore", "chain/4/filter/NSCTL-FORWARD"),
    Drift("iptables-save -t nat | sed '/NSCTL-POSTROUTING/d' | iptables-restore", "chain/4/nat/NSCTL-POSTROUTING"),
    Drift("nft delete table bridge nsctl", "nft/bridge/nsctl"),
    Drift("for name in ports hardware addresses; do nft flush set bridge nsctl $name; done", "port/ns-web"),
    Drift("ip netns del web", "netns/web"),
    Drift("ip netns del web; touch /run/netns/web", "netns/web"),
    Drift("pkill -9 -F /run/nsctl/sandboxes/web/init.pid", "init/web"),
    Drift("pkill -9 -P $(cat /run/nsctl/sandboxes/web/init.pid)", "init/web"),
    Drift("rm /run/nsctl/sandboxes/web/hosts", "file//run/nsctl/sandboxes/web/hosts"),
    Drift("rm -r /run/nsctl/sandboxes/web", "dir//run/nsctl/sandboxes/web"),
)  # fmt: skip
CHANGED = (
    Drift("ip link set nsbr0 mtu 1400", "link/nsbr0"),
    Drift("ip link set ns-web mtu 1300", "link/ns-web"),
    Drift("ip link set ns-web nomaster", "link/ns-web"),
    Drift(
        f"ip link add brx address {STRANGER} type bridge; ip link set ns-web master brx", "link/ns-web", THEIRS["brx"]
    ),
    Drift("nft insert rule bridge nsctl guarded accept", "nft/bridge/nsctl"),
    Drift("nft flush chain bridge nsctl prerouting", "nft/bridge/nsctl"),
    Drift("nft 'add table bridge nsctl { flags dormant; }'", "nft/bridge/nsctl"),
    Drift("nft flush set bridge nsctl ports", "port/ns-web"),
    Drift("nft flush set bridge nsctl hardware", "port/ns-web"),
    Drift("ip link set nsbr0 addrgenmode eui64", "linkset/nsbr0/addrgenmode"),
    Drift("echo 0 >/proc/sys/net/ipv4/conf/nsbr0/forwarding", "sysctl/net/ipv4/conf/nsbr0/forwarding"),
    Drift("echo 0 >/proc/sys/net/ipv4/conf/eth0/forwarding", "sysctl/net/ipv4/conf/eth0/forwarding"),
    Drift("echo 1 >/proc/sys/net/ipv6/conf/nsbr0/accept_ra", "sysctl/net/ipv6/conf/nsbr0/accept_ra"),
    Drift("nsenter --net=/run/netns/web sysctl -qw net.ipv4.conf.eth0.arp_notify=0", "sysctl/web:net/ipv4/conf/eth0/"),
    Drift("ip -n web addr flush dev eth0; ip -n web addr add 10.0.3.9/24 dev eth0", "addr/web:eth0/10.0.3.2/24"),
    Drift("ip -n web link set eth0 address 02:00:00:00:00:99 mtu 1300", "link/ns-web"),
    Drift("ip route del 10.0.3.0/24 dev nsbr0", "addr/nsbr0/10.0.3.1/24"),
    Drift(
        "rule='-o nsbr0 -m comment --comment nsctl:nsbr0 -j ACCEPT'; iptables -D NSCTL-FORWARD $rule;"
        " iptables -I NSCTL-FORWARD $rule",
        "rule/4/filter/NSCTL-FORWARD/",
    ),
    Drift("iptables -I FORWARD -j DROP", "rule/4/filter/FORWARD/", "iptables -D FORWARD -j DROP"),
    Drift(
        "iptables -t raw -I PREROUTING -j ACCEPT", "rule/4/raw/PREROUTING/", "iptables -t raw -D PREROUTING -j ACCEPT"
    ),
    Drift(
        "iptables -t nat -I POSTROUTING -j RETURN",
        "rule/4/nat/POSTROUTING/",
        "iptables -t nat -D POSTROUTING -j RETURN",
    ),
)
RENAMED = (
    Drift("ip link set nsbr0 down; ip link set nsbr0 name brx; ip link set brx up", "link/nsbr0"),
    Drift("ip link set ns-web down; ip link set ns-web name vex; ip link set vex up", "link/ns-web"),
    Drift("ip -n web link set eth0 down; ip -n web link set eth0 name eth9; ip -n web link set eth9 up", "up/web:eth0"),
    # Whoever gives nsctl's chain another name, and keeps its rules in force, has made it his own.
    Drift("iptables -E NSCTL-FORWARD ELSE", "chain/4/filter/NSCTL-FORWARD",
          "iptables -D FORWARD -m comment --comment nsctl:jump -j ELSE && iptables -F ELSE && iptables -X ELSE"),
)  # fmt: skip
REPLACED = (
    Drift(f"ip link del nsbr0; ip link add nsbr0 address {STRANGER} type bridge", "link/nsbr0", THEIRS["nsbr0"]),
    Drift(f"ip link del nsbr0; ip link add nsbr0 address {STRANGER} type bridge; ip addr add 10.0.3.1/24 dev nsbr0",
          "link/nsbr0", "ip addr show dev nsbr0 | grep -q 10.0.3.1/24 && " + THEIRS["nsbr0"]),
    Drift(f"ip link del nsbr0; ip link add nsbr0 address {STRANGER} type bridge; ip link set nsbr0 up",
          "link/nsbr0", "ip link show dev nsbr0 | grep -q ,UP && " + THEIRS["nsbr0"]),
    Drift(f"ip link del ns-web; ip link add ns-web address {STRANGER} type bridge", "link/ns-web", THEIRS["ns-web"]),
    Drift(f"ip link set nsbr0 down; ip link set nsbr0 name brx; ip link add nsbr0 address {STRANGER} type bridge",
          "link/nsbr0", THEIRS["nsbr0"]),
    Drift(f"ip link set ns-web down; ip link set ns-web name vex; ip link add ns-web address {STRANGER} type bridge",
          "link/ns-web", THEIRS["ns-web"]),
    Drift(f"ip netns del web; ip netns add web; ip -n web link add own address {STRANGER} type bridge", "netns/web",
          f"ip -n web link show dev own | grep -q {STRANGER} && ! ip -n web link show dev eth0 && ip netns del web"),
    Drift("ip -n web route del default; ip -n web route add default via 10.0.3.77 dev eth0 metric 100",
          "route/web:default", "true"),
    Drift("echo 2 >/proc/sys/net/ipv6/conf/nsbr0/accept_ra", "sysctl/net/ipv6/conf/nsbr0/accept_ra", "true"),
    Drift("iptables -I NSCTL-FORWARD 2 -j ACCEPT; iptables -D NSCTL-FORWARD 1", "chain/4/filter/NSCTL-FORWARD", "true"),
)  # fmt: skip
"""`true`: the stranger's thing goes with what is nsctl's."""
JOINED = (
    Drift("ip link del ns-web", "link/ns-web"),
    Drift("ip link set ns-web nomaster", "link/ns-web"),
    Drift("ip link set ns-web down", "up/ns-web"),
    Drift("ip link set ns-web mtu 1300", "link/ns-web"),
    Drift("ip -n web link del eth0", "link/ns-web"),
    Drift("ip -n web addr flush dev eth0", "addr/web:eth0/10.99.9.7/24"),
    Drift("ip -n web route flush dev eth0", "route/web:default"),
    Drift("ip link set ns-web down; ip link set ns-web name vex; ip link set vex up", "link/ns-web"),
    Drift("ip netns del web", "netns/web"),
)
"""Of a port on somebody else's bridge, which stays as it is throughout: it is a canary."""
FORGOTTEN = (Drift(": >/run/zones", "zone/nsbr0"),)
"""As a reload of firewalld does."""
CHOSEN = (Drift("echo dmz nsbr0 >/run/zones", "zone/nsbr0", "grep -qx 'dmz nsbr0' /run/zones && : >/run/zones"),)


def ground_for(warm: Warm, mode: str) -> Ground:
    return Ground(warm, up=[BASE] if mode in BESIDE else [], mode=mode)


def happen(ground: Ground, drift: Drift) -> None:
    done = ground.lab.run(["sh", "-c", drift.script])
    assert done.returncode == 0, f"{drift.script}: {done.stderr}"


def keys(ground: Ground) -> list[str]:
    done = ground.nsctl("check", "--json")
    told = json.loads(done.stdout)
    found = [drift["key"] for drift in told["drift"]]
    lost = [name for name, way in told["way_out"].items() if way["reached"] is False]
    assert done.status == (4 if found or lost else 0), str(done)
    return found


def named(ground: Ground, drift: Drift) -> None:
    found = keys(ground)
    assert any(key.startswith(drift.key) for key in found), f"check names {found}, not {drift.key}"


def mended(ground: Ground, drift: Drift, mode: str = "bridge") -> None:
    ground.good(*MODES[mode])
    happen(ground, drift)
    named(ground, drift)
    done = ground.nsctl("repair")
    assert done.status == 0, f"{done}\n{ground.nsctl('check')}"
    assert keys(ground) == []
    ground.good("down", "web")
    take_away(ground, drift)
    ground.back()


def only_ours(ground: Ground, drift: Drift, mode: str = "bridge") -> None:
    ground.good(*MODES[mode])
    happen(ground, drift)
    ground.good("down", "web")
    assert ground.names() == []
    take_away(ground, drift)
    ground.back()


def left_alone(ground: Ground, drift: Drift) -> None:
    ground.good(*MODES["bridge"])
    happen(ground, drift)
    named(ground, drift)
    theirs = strangers(ground)
    done = ground.nsctl("repair")
    assert done.status == 4, str(done)
    named(ground, drift)
    assert strangers(ground) == theirs
    ground.good("down", "web")
    take_away(ground, drift)
    ground.back()


def strangers(ground: Ground) -> list[str]:
    """All that can be seen of links with a stranger's hardware address, the state of their ports left out."""
    shown = [ground.lab.run([*at, "-json", "address", "show"]).stdout for at in (["ip"], ["ip", "-n", "web"])]
    return [
        f"{link['ifname']} {link['flags']} {link['mtu']} {link['addr_info']} {link.get('master')}"
        for links in shown
        for link in json.loads(links or "[]")
        if link.get("address") == STRANGER
    ]


def take_away(ground: Ground, drift: Drift) -> None:
    if drift.stranger:
        done = ground.lab.run(["sh", "-c", drift.stranger])
        assert done.returncode == 0, (
            f"the stranger's is not there any more, or changed: {drift.stranger}: {done.stderr}"
        )


@pytest.mark.parametrize(
    ("kind", "drifts"),
    [("removed", REMOVED), ("changed", CHANGED), ("renamed", RENAMED)],
    ids=["removed", "changed", "renamed"],
)
def test_what_somebody_took_away_or_changed_is_named_and_mended(
    kind: str, drifts: tuple[Drift, ...], warm: Warm, tally: Tally
) -> None:
    tally.sweep(f"drift: {kind}", drifts, partial(ground_for, warm, "bridge"), mended)


def test_what_somebody_did_to_a_port_on_a_strangers_bridge_is_mended(warm: Warm, tally: Tally) -> None:
    make, mode = partial(ground_for, warm, "joined bridge"), "joined bridge"
    tally.sweep("drift: joined", JOINED, make, partial(mended, mode=mode))
    tally.sweep("drift: joined, down", JOINED, make, partial(only_ours, mode=mode))


def test_what_firewalld_forgot_is_named_and_mended_and_what_it_was_told_since_is_left(warm: Warm, tally: Tally) -> None:
    tally.sweep("drift: removed", FORGOTTEN, partial(ground_for, warm, FIREWALLD), mended)
    tally.sweep("drift: replaced", CHOSEN, partial(ground_for, warm, FIREWALLD), left_alone)
    tally.sweep("drift: down", (*FORGOTTEN, *CHOSEN), partial(ground_for, warm, FIREWALLD), only_ours)


def test_a_strangers_is_named_and_left_alone(warm: Warm, tally: Tally) -> None:
    tally.sweep("drift: replaced", REPLACED, partial(ground_for, warm, "bridge"), left_alone)


def test_after_any_drift_down_removes_what_is_left_of_nsctls_and_nothing_else(warm: Warm, tally: Tally) -> None:
    drifts = (*REMOVED, *CHANGED, *RENAMED, *REPLACED)
    tally.sweep("drift: down", drifts, partial(ground_for, warm, "bridge"), only_ours)
