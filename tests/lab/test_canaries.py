from __future__ import annotations

import pytest

from tests.lab import Lab, canaries_alive, plant_canaries, snapshot


def test_planted_canaries_are_alive(lab: Lab) -> None:
    canaries = plant_canaries(lab)
    canaries_alive(lab, canaries)
    canaries_alive(lab, canaries, snapshot(lab))
    sections = {section for section, _ in canaries.planted}
    assert sections >= {
        *("links", "addresses", "routes", "rules", "iptables", "ip6tables", "sysctls"),
        *("namespaces", "processes", "files", "links in webby"),
    }


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        ("ip link del dev nsbr9", "links: nsbr9"),
        ("ip link set dev nsbr9 down", "links: nsbr9"),
        ("ip link set dev ns-xyz nomaster", "links: ns-xyz"),
        ("ip address del 10.99.9.1/24 dev nsbr9", "addresses: dev=nsbr9"),
        ("ip address del 198.51.100.77/32 dev lo", "addresses: dev=lo"),
        ("ip rule del priority 77", "rules: "),
        ("ip route flush table 77", "table=77"),
        ("iptables -F FORWARD", "iptables: filter FORWARD"),
        ("iptables -D FORWARD 1", "iptables: filter FORWARD"),
        ("iptables -F NSCTL-OTHER", "iptables: filter NSCTL-OTHER"),
        ("iptables -t nat -F POSTROUTING", "iptables: nat POSTROUTING"),
        ("ip6tables -F", "ip6tables: filter FORWARD"),
        ("sysctl -w net.ipv4.conf.nsbr9.forwarding=0", "sysctls: net/ipv4/conf/nsbr9/forwarding"),
        ("ip netns del neighbour", "namespaces: neighbour"),
        ("ip -n webby link set dev lo up", "links in webby: lo"),
        ("pkill -f 1000009", "processes: "),
        ("rm /run/nsctl-not-ours", "files: /run/nsctl-not-ours"),
        ("rm -r /run/nsctl.d", "files: /run/nsctl.d"),
    ],
)
def test_harm_to_a_canary_is_named(harm: str, what: str, lab: Lab) -> None:
    canaries = plant_canaries(lab)
    lab.run(harm.split(), check=True)
    with pytest.raises(AssertionError, match="canaries were harmed") as caught:
        canaries_alive(lab, canaries)
    assert what in str(caught.value)


def test_others_may_add_beside_canaries(lab: Lab) -> None:
    canaries = plant_canaries(lab)
    lab.run("iptables -A FORWARD -s 10.0.0.0/24 -j ACCEPT".split(), check=True)
    lab.run("iptables -I FORWARD 1 -j ACCEPT".split(), check=True)
    lab.run("ip link add name nsbr0 type bridge".split(), check=True)
    lab.run("ip netns add web".split(), check=True)
    canaries_alive(lab, canaries)
