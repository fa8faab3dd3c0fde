"""Set-ups that break a way out, or do not, and what is to blame: for tests that compare the judge with real packets."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CASES", "Case"]

JUMP = '-m comment --comment "nsctl:jump" -j NSCTL-FORWARD'
SAVED = "iptables-save >/run/rules"
FORWARDING = "for l in nsbr0 eth0 eth1 default; do echo 1 >/proc/sys/net/ipv4/conf/$l/forwarding; done"
ROUTES = "ip route add default via 203.0.113.1"
ALL = ("tcp", "udp", "icmp")


class Case(NamedTuple):
    """
    One set-up.

    Args:
        act: What is done.
        undo: What mends it; the rules of iptables are put back anyway.
        kind: The kind of cause that is named; empty where nothing is broken.
        says: What the cause says.
        lost: The protocols that get no answer.
        hint: What helps, where it is easily got wrong.
    """

    act: str
    undo: str = "true"
    kind: str = ""
    says: str = ""
    lost: tuple[str, ...] = ALL
    hint: str = ""


def fine(act: str, undo: str = "true", lost: tuple[str, ...] = ()) -> Case:
    return Case(act, undo, lost=lost)


def setting(link: str, name: str, value: int) -> str:
    return f"echo {value} >/proc/sys/net/ipv4/conf/{link}/{name}"


ASYMMETRIC = "ip route add default via 192.0.2.2 table 100; ip rule add iif nsbr0 table 100 priority 100"
MARKED = (
    "ip route add default via 192.0.2.2 table 100; ip rule add fwmark 5 table 100 priority 100;"
    " iptables -t mangle -A PREROUTING -i nsbr0 -j MARK --set-mark 5"
)
NFT = (
    "nft add table inet other; nft add chain inet other forward"
    " '{ type filter hook forward priority 10; policy drop; }'"
)
NFT_OPEN = NFT.replace("policy drop", "policy accept")
NFT_GONE = "nft delete table inet other"
SYMMETRIC = "ip rule del priority 100; ip route flush table 100"

CASES = {
    # The filter table.
    "nothing": fine("true"),
    "drop-ahead": Case("iptables -I FORWARD -j DROP", "true", "rule", "rule 1 of FORWARD drops .*: -j DROP"),
    "reject-ahead": Case("iptables -I FORWARD -s 10.0.3.0/24 -j REJECT", "true", "rule", "rejects .*-s 10.0.3.0/24"),
    "drop-by-link": Case("iptables -I FORWARD -i nsbr0 -j DROP", "true", "rule", "-i nsbr0 -j DROP"),
    "drop-answers": Case("iptables -I FORWARD -o nsbr0 -j DROP", "true", "rule", "the answers .*-o nsbr0 -j DROP"),
    "drop-established": Case(
        "iptables -I FORWARD -m conntrack --ctstate ESTABLISHED -j DROP", "true", "rule", "the answers .*ESTABLISHED"
    ),
    "drop-one-address": Case("iptables -I FORWARD -s 10.0.3.2 -j DROP", "true", "rule", "-s 10.0.3.2/32 -j DROP"),
    "drop-another-address": fine("iptables -I FORWARD -s 10.0.3.77 -j DROP"),
    "drop-a-range": Case(
        "iptables -I FORWARD -m iprange --src-range 10.0.3.1-10.0.3.9 -j DROP", "true", "rule", "10.0.3.1-10.0.3.9"
    ),
    "drop-in-a-chain": Case(
        "iptables -N admin; iptables -A admin -j DROP; iptables -I FORWARD -j admin", "true", "rule", "rule 1 of admin"
    ),
    "a-chain-lets-it-pass": fine(
        "iptables -N admin; iptables -A admin -s 10.0.3.0/24 -j RETURN; iptables -A admin -d 10.0.3.0/24 -j RETURN;"
        " iptables -A admin -j DROP; iptables -I FORWARD -j admin"
    ),
    "a-chain-that-is-gone-to": Case(
        "iptables -P FORWARD DROP; iptables -N admin; iptables -A admin -s 192.0.2.9 -j ACCEPT;"
        " iptables -I FORWARD -g admin",
        "true",
        "policy",
        "policy of FORWARD drops",
    ),
    "accept-ahead-of-a-drop": fine(
        "iptables -I FORWARD -j DROP; iptables -I FORWARD -i nsbr0 -j ACCEPT; iptables -I FORWARD -o nsbr0 -j ACCEPT"
    ),
    "catch-all-before-the-jump": Case(
        f"iptables -D FORWARD {JUMP}; iptables -I FORWARD -j REJECT --reject-with icmp-host-prohibited;"
        f" iptables -A FORWARD {JUMP}",
        "true",
        "rule",
        "rejects .*icmp-host-prohibited",
    ),
    "jump-deleted": Case(
        f"iptables -P FORWARD DROP; iptables -D FORWARD {JUMP}",
        "true",
        "chain",
        "nothing in FORWARD leads to NSCTL-FOR",
    ),
    "jump-deleted-and-policy-accept": fine(f"iptables -D FORWARD {JUMP}"),
    "chain-flushed": Case(
        "iptables -P FORWARD DROP; iptables -F NSCTL-FORWARD", "true", "chain", "NSCTL-FORWARD accepts it no more"
    ),
    "policy-drop": fine("iptables -P FORWARD DROP"),
    "tcp-dropped": fine("iptables -I FORWARD -p tcp -j DROP", lost=("tcp",)),
    "icmp-dropped": fine("iptables -I FORWARD -p icmp --icmp-type echo-request -j DROP", lost=("icmp",)),
    "udp-port-dropped": fine("iptables -I FORWARD -p udp --dport 53 -j DROP", lost=("udp",)),
    "ports-dropped": fine("iptables -I FORWARD -p tcp -m multiport --dports 80,400:500 -j DROP", lost=("tcp",)),
    "other-ports-dropped": fine("iptables -I FORWARD -i nsbr0 -p tcp -m multiport ! --dports 80,400:500 -j DROP"),
    "answers-to-other-ports-dropped": fine(
        "iptables -I FORWARD -p tcp -m multiport ! --dports 443 -j DROP", lost=("tcp",)
    ),
    "syn-ack-dropped": fine("iptables -I FORWARD -p tcp --tcp-flags SYN,ACK SYN,ACK -j DROP", lost=("tcp",)),
    "echo-reply-dropped": fine("iptables -I FORWARD -p icmp --icmp-type 0 -j DROP", lost=("icmp",)),
    "drop-for-others": fine("iptables -I FORWARD ! -s 10.0.3.0/24 ! -d 10.0.3.0/24 -j DROP"),
    "invalid-dropped": fine("iptables -I FORWARD -m conntrack --ctstate INVALID -j DROP"),
    # Other tables.
    "raw-drop": Case(
        "iptables -t raw -I PREROUTING -i nsbr0 -j DROP", "true", "rule", "rule 1 of PREROUTING .*raw table"
    ),
    "raw-drop-of-answers": Case(
        "iptables -t raw -I PREROUTING -i eth0 -s 198.51.100.9 -j DROP", "true", "rule", "the answers .*raw table"
    ),
    "mangle-prerouting": Case("iptables -t mangle -A PREROUTING -i nsbr0 -j DROP", "true", "rule", "mangle table"),
    "mangle-forward": Case("iptables -t mangle -A FORWARD -i nsbr+ -j DROP", "true", "rule", r"-i nsbr\+ -j DROP"),
    "mangle-postrouting": Case("iptables -t mangle -A POSTROUTING -o eth0 -j DROP", "true", "rule", "-o eth0 -j DROP"),
    "own-source-rule-wrong": Case(
        "iptables -t raw -F NSCTL-PREROUTING; iptables -t raw -A NSCTL-PREROUTING ! -s 10.0.4.0/24 -i nsbr0 -j DROP",
        "true",
        "rule",
        "rule 1 of NSCTL-PREROUTING",
    ),
    "not-tracked": Case(
        "iptables -t raw -A PREROUTING -i nsbr0 -j CT --notrack", "true", "rule", "connection tracking"
    ),
    "answers-not-tracked": Case(
        "iptables -t raw -A PREROUTING -s 198.51.100.9 -j CT --notrack",
        "true",
        "rule",
        "the answers .*connection tracking",
    ),
    "masquerade-flushed": Case("iptables -t nat -F NSCTL-POSTROUTING", "true", "masquerade", "the host's address"),
    "nat-jump-deleted": Case("iptables -t nat -F POSTROUTING", "true", "masquerade", "the host's address"),
    "accepted-before-nat": Case("iptables -t nat -I POSTROUTING -j ACCEPT", "true", "masquerade", "the host's address"),
    "translated-by-others": fine(
        "iptables -t nat -F NSCTL-POSTROUTING; iptables -t nat -A POSTROUTING -o eth0 -j SNAT --to-source 203.0.113.2"
    ),
    "legacy-drop": Case("iptables-legacy -A FORWARD -j DROP", "iptables-legacy -F FORWARD", "rule", "legacy back end"),
    # Tables of nftables's own.
    "nft-policy-drop": Case(f"{NFT}", NFT_GONE, "nft chain", "the policy of the nftables chain 'inet other forward'"),
    "nft-accepts-first": fine(
        f"{NFT}; nft add rule inet other forward iifname nsbr0 accept;"
        " nft add rule inet other forward ct state established,related accept",
        NFT_GONE,
    ),
    "nft-drops-a-prefix": Case(
        f"{NFT_OPEN}; nft add rule inet other forward ip saddr 10.0.0.0/8 drop",
        NFT_GONE,
        "nft chain",
        "the rule 'ip saddr 10.0.0.0/8 drop' of the nftables chain",
    ),
    "nft-rejects-by-link-in-a-chain": Case(
        f"{NFT_OPEN}; nft add chain inet other deep; nft add rule inet other forward jump deep;"
        " nft add rule inet other deep iifname 'nsbr*' counter reject with icmpx admin-prohibited",
        NFT_GONE,
        "nft chain",
        "iifname nsbr[*] reject",
    ),
    "nft-drops-answers": Case(
        f"{NFT_OPEN}; nft add rule inet other forward oifname nsbr0 ct state established drop",
        NFT_GONE,
        "nft chain",
        "drops the answers",
    ),
    "nft-drops-tcp": fine(
        f"{NFT_OPEN}; nft add rule inet other forward tcp dport '{{ 80, 400-500 }}' drop", NFT_GONE, ("tcp",)
    ),
    "nft-drops-ping": fine(
        f"{NFT_OPEN}; nft add rule inet other forward icmp type echo-request drop", NFT_GONE, ("icmp",)
    ),
    "nft-drops-others": fine(
        f"{NFT_OPEN}; nft add rule inet other forward ip saddr != 10.0.3.0/24 ip daddr != 10.0.3.0/24 drop;"
        " nft add rule inet other forward meta nfproto ipv6 drop",
        NFT_GONE,
    ),
    "nft-drops-in-prerouting": Case(
        "nft add table ip early; nft add chain ip early pre '{ type filter hook prerouting priority -250; }';"
        " nft add rule ip early pre iifname nsbr0 drop",
        "nft delete table ip early",
        "nft chain",
        "'ip early pre'",
    ),
    "nft-returns": fine(
        f"{NFT}; nft add chain inet other deep; nft add rule inet other forward jump deep;"
        " nft add rule inet other forward accept;"
        " nft add rule inet other deep iifname nsbr0 return; nft add rule inet other deep oifname nsbr0 return;"
        " nft add rule inet other deep drop",
        NFT_GONE,
    ),
    # Settings.
    "bridge-does-not-forward": Case(setting("nsbr0", "forwarding", 0), FORWARDING, "setting", "nsbr0.forwarding=0"),
    "uplink-does-not-forward": Case(setting("eth0", "forwarding", 0), FORWARDING, "setting", "eth0.forwarding=0"),
    "nothing-forwards": Case(
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/ip_forward",
        FORWARDING,
        "setting",
        "forwarding=0",
    ),
    "strict-and-asymmetric-by-mark": Case(
        f"{MARKED}; {setting('eth1', 'rp_filter', 1)}",
        f"{SYMMETRIC}; {setting('eth1', 'rp_filter', 0)}",
        "setting",
        "rp_filter=1 of eth1 drops .*eth0",
    ),
    "strict-for-all-and-asymmetric-by-mark": Case(
        f"{MARKED}; {setting('all', 'rp_filter', 1)}",
        f"{SYMMETRIC}; {setting('all', 'rp_filter', 0)}",
        "setting",
        "rp_filter=1 of all drops",
    ),
    "loose-and-asymmetric": fine(
        f"{ASYMMETRIC}; {setting('all', 'rp_filter', 1)}; {setting('eth1', 'rp_filter', 2)}",
        f"{SYMMETRIC}; {setting('all', 'rp_filter', 0)}; {setting('eth1', 'rp_filter', 0)}",
    ),
    "strict-and-by-link": fine(  # the way back is looked up as if it came in by the link it goes out by
        f"{ASYMMETRIC}; {setting('all', 'rp_filter', 1)}", f"{SYMMETRIC}; {setting('all', 'rp_filter', 0)}"
    ),
    "strict-and-by-source": fine(
        "ip route add default via 192.0.2.2 table 100; ip rule add from 10.0.3.0/24 table 100 priority 100;"
        f" {setting('all', 'rp_filter', 1)}",
        f"{SYMMETRIC}; {setting('all', 'rp_filter', 0)}",
    ),
    "strict-by-mark-that-comes-back": fine(
        f"{MARKED}; iptables -t mangle -A PREROUTING -i nsbr0 -j CONNMARK --save-mark;"
        " iptables -t mangle -A PREROUTING -i eth1 -j CONNMARK --restore-mark;"
        " ip route add 10.0.3.0/24 dev nsbr0 table 100;"
        f" {setting('all', 'rp_filter', 1)}; {setting('eth1', 'src_valid_mark', 1)}",
        f"{SYMMETRIC}; {setting('all', 'rp_filter', 0)}; {setting('eth1', 'src_valid_mark', 0)}",
    ),
    "asymmetric": fine(ASYMMETRIC, SYMMETRIC),
    "rpfilter-and-asymmetric": Case(
        f"{ASYMMETRIC}; iptables -t mangle -A PREROUTING -m rpfilter --invert -j DROP",
        SYMMETRIC,
        "rule",
        "-m rpfilter --invert -j DROP",
    ),
    "strict-and-symmetric": fine(setting("all", "rp_filter", 1), setting("all", "rp_filter", 0)),
    # Routes and rules.
    "no-default-route": Case("ip route del default", ROUTES, "host", "no default route"),
    "blackhole": Case("ip route replace blackhole default", f"ip route del default; {ROUTES}", "host", "blackhole def"),
    "unreachable": Case(
        "ip route replace unreachable default", f"ip route del default; {ROUTES}", "host", "unreachable"
    ),
    "prohibit": Case(
        "ip route replace prohibit default", f"ip route del default; {ROUTES}", "host", "prohibit default"
    ),
    "rule-prohibits": Case(
        "ip rule add from 10.0.3.0/24 prohibit priority 90", "ip rule del priority 90", "routing rule", "prohibit"
    ),
    "rule-blackholes": Case(
        "ip rule add iif nsbr0 blackhole priority 90", "ip rule del priority 90", "routing rule", "iif nsbr0 blackhole"
    ),
    "rule-unreachable-for-others": fine("ip rule add to 192.0.2.77 unreachable priority 90", "ip rule del priority 90"),
    "table-refuses": Case(
        "ip route add unreachable default table 100; ip rule add from 10.0.0.0/8 table 100 priority 100",
        SYMMETRIC,
        "route",
        "unreachable default table 100",
    ),
    "table-throws": fine(
        "ip route add throw default table 100; ip rule add from 10.0.0.0/8 table 100 priority 100", SYMMETRIC
    ),
    "mark-prohibited": Case(
        "iptables -t mangle -A PREROUTING -i nsbr0 -j MARK --set-mark 7; ip rule add fwmark 7 prohibit priority 90",
        "ip rule del priority 90",
        "routing rule",
        "fwmark 0x7 prohibit",
    ),
    "vpn-by-mark": fine(
        "ip route add default via 192.0.2.2 table 51820; ip rule add not fwmark 51820 table 51820 priority 101;"
        " ip rule add table main suppress_prefixlength 0 priority 100",
        "ip rule del priority 100; ip rule del priority 101; ip route flush table 51820",
    ),
    "subnet-route-deleted": Case(
        "ip route del 10.0.3.0/24",
        "ip route add 10.0.3.0/24 dev nsbr0 proto kernel scope link src 10.0.3.1",
        "route",
        "10.0.3.2",
    ),
    "vpn-that-takes-the-answers": Case(  # the main table is asked after it
        "ip route add default via 192.0.2.2 table 51820; ip rule add not fwmark 51820 table 51820 priority 101",
        "ip rule del priority 101; ip route flush table 51820",
        "routing rule",
        "by the rule 101: not from all fwmark 0xca6c lookup 51820",
        hint="ip rule add to 10.0.3.0/24 lookup main priority 100",
    ),
    "answers-refused": Case(
        "ip rule add to 10.0.3.0/24 iif eth0 prohibit priority 90", "ip rule del priority 90", "routing rule", "back to"
    ),
    # Links and addresses.
    "uplink-down": Case("ip link set eth0 down", f"ip link set eth0 up; {ROUTES}", "host", "no default route"),
    "bridge-down": Case("ip link set nsbr0 down", "ip link set nsbr0 up", "link", "bridge nsbr0 is down"),
    "port-down": Case("ip link set ns-web down", "ip link set ns-web up", "link", "ns-web is down"),
    "port-disabled": Case(
        "bridge link set dev ns-web state 0",
        "bridge link set dev ns-web state 3",
        "link",
        "ns-web is a port",
    ),
    "port-taken-out": Case(
        "ip link set ns-web nomaster", "ip link set ns-web master nsbr0", "link", "ns-web is no port of nsbr0"
    ),
    "gateway-gone": Case(
        "ip address del 10.0.3.1/24 dev nsbr0", "ip address add 10.0.3.1/24 dev nsbr0", "address", "gateway's address"
    ),
    "route-inside-gone": Case(
        "ip -n web route del default",
        "ip -n web route add default via 10.0.3.1 metric 100",
        "route",
        "no default route inside",
    ),
    "route-inside-refuses": Case(
        "ip -n web route add unreachable default metric 1", "ip -n web route del unreachable default", "route", "inside"
    ),
    "link-inside-down": Case(
        "ip -n web link set eth0 down",
        "ip -n web link set eth0 up; ip -n web route add default via 10.0.3.1 metric 100",
        "link",
        "inside, the link eth0 is down",
    ),
    "address-inside-gone": Case(
        "ip -n web address del 10.0.3.2/24 dev eth0",
        "ip -n web address add 10.0.3.2/24 dev eth0; ip -n web route add default via 10.0.3.1 metric 100",
        "address",
        "10.0.3.2 is not on eth0",
    ),
}
