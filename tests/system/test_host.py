from __future__ import annotations

from tests.lab import Lab
from tests.system.support import down, init_of, inside, namespaces, unchanged, up


def test_interfaces_and_addresses_are_the_hosts(lab: Lab) -> None:
    assert up(lab, "host") == "host is up: the host's network\n"
    for what in ("link", "address", "route"):
        assert inside(lab, "host", "ip", what) == lab.run(["ip", what]).stdout


def test_all_namespaces_but_the_network_are_its_own(lab: Lab) -> None:
    up(lab, "host", "--name", "guest")
    host, sandbox = namespaces(lab), namespaces(lab, init_of(lab, "guest"))
    assert [kind for kind in host if host[kind] == sandbox[kind]] == ["net"]
    assert not lab.exists("/run/netns/guest")


def test_ps_sees_only_the_sandbox_and_the_hostname_is_its_name(lab: Lab) -> None:
    up(lab, "host", "--name", "guest")
    pids = inside(lab, "guest", "ps", "-e", "-o", "pid=").split()
    assert len(pids) == 3
    assert pids[0] == "1"
    assert inside(lab, "guest", "hostname") == "guest\n"
    assert lab.run(["hostname"]).stdout == "lab\n"


def test_down_leaves_nothing(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, "host")
        assert down(lab, "host") == "host is down\n"
