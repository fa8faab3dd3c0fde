"""What others do to a host while nsctl is at work: each act fails where there is nothing for it to do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ACTS", "Act"]

MAC = "02:00:5e:99:00:02"
"""The hardware address of a stranger's link."""


@dataclass(frozen=True, repr=False)
class Act:
    """
    Something that somebody else does.

    Args:
        what: In words.
        script: In sh.
        theirs: What takes away in the end what is theirs; it fails where that is not there as they made it.
        by_name: It puts something of theirs in the place of what is nsctl's, under its name.
        told: That it was seen, where what nsctl wants is in place all the same.
    """

    what: str
    script: str
    theirs: str = ""
    by_name: bool = False
    told: str = ""

    def __repr__(self) -> str:
        return self.what


def _setting(key: str, value: str, before: str, besides: str = "") -> Act:
    path = f"/proc/sys/net/{key}"
    return Act(
        f"{key} is {value}",
        f'[ "$(cat {path} 2>/dev/null)" = {before} ] && echo {value} >{path}',
        f'[ "$(cat {path})" = {value} ] && echo {before} >{path}{besides}',
    )


_FLUSHED = "iptables-save -t {} | sed '/NSCTL-[FGP]/d' | iptables-restore -T {}"
_OURS = "iptables-save | grep -q NSCTL-[FGP]"

ACTS = (
    # What is nsctl's goes, or changes.
    Act("the bridge is deleted", "ip link del nsbr0"),
    Act("the cable is deleted", "ip link del ns-web"),
    Act("the cable is deleted from inside", "ip -n web link del eth0"),
    Act("the bridge is set down", "ip link set nsbr0 down"),
    Act("the port is set down", "ip link set ns-web down"),
    Act("the port leaves the bridge", "ip link show dev ns-web | grep -q master && ip link set ns-web nomaster"),
    Act("the bridge's address goes", "ip addr del 10.0.3.1/24 dev nsbr0"),
    Act("the address inside goes", "ip -n web addr del 10.0.3.2/24 dev eth0"),
    Act("the default route goes", "ip -n web route del default"),
    Act("lo inside is set down", "ip -n web link set lo down"),
    Act("the namespace loses its name", "ip netns del web"),
    Act("a chain is emptied", "iptables -F NSCTL-FORWARD"),
    Act("the chain of addresses is emptied", "iptables -t nat -F NSCTL-POSTROUTING"),
    Act("a firewall is loaded anew", f"{_OURS} && {_FLUSHED.format('filter', 'filter')} &&"
        f" {_FLUSHED.format('nat', 'nat')}"),
    Act("the table of ports is deleted", "nft delete table bridge nsctl"),
    Act("its rules are emptied", "nft flush chain bridge nsctl guarded"),
    Act("its ports are emptied", "nft list set bridge nsctl ports | grep -q ns- &&"
        " nft flush set bridge nsctl ports"),
    Act("the bridge no longer forwards", "echo 0 >/proc/sys/net/ipv4/conf/nsbr0/forwarding"),
    Act("the uplink no longer forwards", '[ "$(cat /proc/sys/net/ipv4/conf/eth0/forwarding)" = 1 ] &&'
        " echo 0 >/proc/sys/net/ipv4/conf/eth0/forwarding"),
    Act("the init is killed", "pkill -9 -F /run/nsctl/sandboxes/web/init.pid"),
    Act("the sandbox's directory goes", "rm -r /run/nsctl/sandboxes/web"),
    Act("the bridge has another MTU", "ip link set nsbr0 mtu 1400"),
    Act("the bridge is renamed", "ip link set nsbr0 down && ip link set nsbr0 name brx && ip link set brx up"),
    Act("the port is renamed", "ip link set ns-web down && ip link set ns-web name vex && ip link set vex up"),
    Act("the cable's end moves away", "ip link set ns-web netns webby",
        "for n in $(seq 50); do ip -n webby link show dev ns-web 2>/dev/null || exit 0; sleep 0.1; done; exit 1"),
    # Something of others' comes.
    Act("the uplink is renamed", "ip link set eth0 down && ip link set eth0 name wan0 && ip link set wan0 up &&"
        " ip route add default via 203.0.113.1",
        "ip link set wan0 down && ip link set wan0 name eth0 && ip link set eth0 up &&"
        " ip route add default via 203.0.113.1"),
    Act("a bridge of that name", f"ip link add nsbr0 address {MAC} type bridge",
        f"ip link show dev nsbr0 | grep -q {MAC} && ip link del nsbr0"),
    Act("a bridge in its place", f"ip link del nsbr0 && ip link add nsbr0 address {MAC} type bridge",
        f"ip link show dev nsbr0 | grep -q {MAC} && ip link del nsbr0"),
    Act("a link in the cable's place", f"ip link add ns-web address {MAC} type bridge",
        f"ip link show dev ns-web | grep -q {MAC} && ip link del ns-web"),
    Act("a namespace of that name", f"ip netns add web && ip -n web link add own address {MAC} type bridge",
        f"ip -n web link show dev own | grep -q {MAC} && ip netns del web"),
    Act("a namespace in its place",
        f"ip netns del web && ip netns add web && ip -n web link add own address {MAC} type bridge",
        f"ip -n web link show dev own | grep -q {MAC} && ip netns del web", by_name=True),
    Act("a rule in nsctl's chain", "iptables -I NSCTL-FORWARD -s 192.0.2.9 -j DROP",
        told="NSCTL-FORWARD holds a rule that is not nsctl's: -s 192.0.2.9/32 -j DROP"),
    Act("a rule of others'", "iptables -A FORWARD -s 192.0.2.9 -j ACCEPT",
        "iptables -D FORWARD -s 192.0.2.9 -j ACCEPT"),
    Act("the network's address elsewhere", "ip link add dummyx type dummy && ip addr add 10.0.3.77/24 dev dummyx",
        "ip addr show dev dummyx | grep -q 10.0.3.77/24 && ip link del dummyx"),
    _setting("ipv4/ip_forward", "1", "0", "; echo 1 >/proc/sys/net/ipv4/conf/nsbr9/forwarding"),
    _setting("ipv4/conf/all/rp_filter", "2", "0"),
    _setting("ipv6/conf/all/forwarding", "1", "0"),
)  # fmt: skip
