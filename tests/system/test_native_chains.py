"""Base chains of nftables beside iptables': what they drop is named, by up, by dry runs and by check."""

from __future__ import annotations

import json

import pytest

from tests.lab import INTERNET, INTERNET_ADDRESS, Lab, ask_tcp, needs, tcp_server
from tests.system.support import down

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables", "nft")]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
PORT = 443
TABLE = """\
table inet filter {{
    {more}
    chain forward {{
        type filter hook forward priority 10; policy {policy};
        {rules}
    }}
}}
"""
DROPS = {
    "a policy": ("drop", "", "", "the policy"),
    "a policy behind what is answered": ("drop", "ct state established,related accept", "", "the policy"),
    "a policy behind a map": ("drop", "ct state vmap { established : accept, invalid : drop }", "", "the policy"),
    "what others may do": ("drop", 'iifname "lan0" oifname "eth0" accept; iifname "docker*" accept', "", "the policy"),
    "a closing rule": ("accept", "ct state established accept; counter reject", "", "reject'"),
    "a chain": ("accept", "jump other", "chain other { ip saddr 10.1.0.0/16 return; drop; }", "drop'"),
    "one network": ("accept", "ip saddr { 10.0.0.0/16, 192.0.2.1 } oifname eth0 drop", "", "drop'"),
    "one link": ("accept", "iifname { nsbr0, nsbr1 } goto other", "chain other { drop; }", "drop'"),
}
LETS = {
    "an open policy": ("accept", "ct state invalid drop", ""),
    "what comes from the bridge": ("drop", 'iifname "nsbr*" accept; ct state established,related accept', ""),
    "what comes from the network": ("drop", "ip saddr 10.0.3.0/24 accept; ct state { established } accept", ""),
    "what a chain accepts": ("drop", "jump other; ct state vmap { established : accept }",
                             "chain other { iifname vmap { nsbr0 : accept, lan0 : drop }; }"),
    "what goes to a port": ("drop", "tcp dport { 80, 443 } accept; ct state established accept", ""),
    "what is for others": ("accept", "ip6 daddr ::/0 drop; iifname lan0 drop; ip saddr 192.0.2.0/24 drop", ""),
}  # fmt: skip


LATER = {
    "what a mark lets pass": """
        chain marks { type filter hook prerouting priority mangle; iifname "nsbr*" meta mark set 0x5; }
        chain forward { type filter hook forward priority 0; policy drop;
            meta mark 0x5 accept; ct state established accept; }""",
    "what a connection's mark lets pass": """
        chain marks { type filter hook prerouting priority mangle; iifname "nsbr*" ct mark set 0x5;
            ct mark 0x5 meta mark set ct mark; }
        chain forward { type filter hook forward priority 0; policy drop; meta mark 0x5 accept; }""",
    "sources that are translated by then": """
        chain leaks { type filter hook postrouting priority 300; oifname "eth0" ip saddr 10.0.0.0/8 drop; }""",
    "answers to the host's address": """
        chain bogons { type filter hook prerouting priority -150; iifname "eth0" ip daddr 10.0.0.0/8 drop; }""",
    "answers to the sandbox's": """
        chain own { type filter hook prerouting priority 0; policy drop; iifname "nsbr*" accept;
            ip daddr 10.0.0.0/8 accept; }""",
    "what is for this host": """
        chain forward { type filter hook forward priority 0; policy drop; meta pkttype host accept; }""",
}


@pytest.mark.parametrize("case", LATER)
def test_a_packet_is_judged_as_it_is_by_then(lab: Lab, case: str) -> None:
    load_chains(lab, LATER[case])
    done = lab.nsctl("up", *WEB)
    assert (done.returncode, done.stderr) == (0, "")
    assert reaches(lab)
    assert lab.nsctl("check").returncode == 0
    down(lab, "web")


def test_one_that_drops_what_is_translated_by_then_is_named(lab: Lab) -> None:
    drop = 'oifname "eth0" ip saddr 203.0.113.0/24 drop'
    load_chains(lab, f"chain out {{ type filter hook postrouting priority 300; {drop}; }}")
    done = lab.nsctl("up", *WEB)
    assert done.returncode == 0
    assert not reaches(lab)
    assert "of the nftables chain 'inet fw out' drops" in done.stderr


def load_chains(lab: Lab, chains: str) -> None:
    text = f"table inet fw {{\n{chains}\n}}\n"
    lab.run(["nft", "-f", "-"], input=text.replace("; }", ";\n}"), check=True)


def load(lab: Lab, policy: str, rules: str, more: str) -> None:
    lab.run(["nft", "-f", "-"], input=TABLE.format(policy=policy, rules=rules, more=more), check=True)


def reaches(lab: Lab) -> bool:
    with tcp_server(lab, INTERNET, port=PORT):
        return ask_tcp(lab, "web", INTERNET_ADDRESS, PORT) is not None


@pytest.mark.parametrize("case", DROPS)
def test_one_that_drops_is_named_with_what_would_let_it_pass(lab: Lab, case: str) -> None:
    policy, rules, more, by = DROPS[case]
    load(lab, policy, rules, more)
    planned, made = lab.nsctl("up", *WEB, "--dry-run"), lab.nsctl("up", *WEB)
    assert planned.returncode == made.returncode == 0
    for done in (planned, made):
        [line] = [line for line in done.stderr.splitlines() if "nftables" in line]
        assert by in line
        assert "of the nftables chain 'inet filter forward' drops " in line
    assert not reaches(lab)
    done = lab.nsctl("check", "--json")
    assert done.returncode == 4
    assert by in done.stdout
    # And what it says helps: once for what goes out, once more for the answers.
    for _ in range(2):
        found = json.loads(lab.nsctl("check", "--json").stdout)["way_out"]
        hints = [c["hint"] for one in found.values() for c in one["causes"]]
        for hint in dict.fromkeys(h for h in hints if "nft insert" in h):
            lab.run(["sh", "-ec", hint.partition(": ")[2]], check=True)
    assert reaches(lab)
    assert lab.nsctl("check").returncode == 0
    down(lab, "web")


@pytest.mark.parametrize("case", LETS)
def test_one_that_lets_it_pass_is_not(lab: Lab, case: str) -> None:
    load(lab, *LETS[case])
    done = lab.nsctl("up", *WEB)
    assert done.returncode == 0
    assert "nftables" not in done.stderr
    assert reaches(lab)
    assert lab.nsctl("check").returncode == 0
