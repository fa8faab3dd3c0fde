from __future__ import annotations

from tests.lab import Lab
from tests.system.support import down, init_of, inside, namespaces, unchanged, up


def test_up_says_in_one_line_what_there_is_now(lab: Lab) -> None:
    assert up(lab, "none") == "none is up: a network of its own, without an address\n"


def test_in_it_there_is_only_lo_and_that_is_down(lab: Lab) -> None:
    up(lab, "none", "--name", "alone")
    (link,) = inside(lab, "alone", "ip", "-oneline", "link").splitlines()
    assert link.startswith("1: lo: <LOOPBACK> ")
    assert " state DOWN " in link
    assert "inet" not in inside(lab, "alone", "ip", "address")


def test_a_ping_to_itself_says_that_the_network_is_unreachable(lab: Lab) -> None:
    pinged = lab.nsctl("run", "none", "--", "ping", "-c", "1", "127.0.0.1")
    assert pinged.returncode == 2
    assert "Network is unreachable" in pinged.stderr


def test_ps_sees_only_the_sandbox_and_pid_1_is_its_init(lab: Lab) -> None:
    up(lab, "none", "--name", "alone")
    listed = [line.split(None, 1) for line in inside(lab, "alone", "ps", "-e", "-o", "pid=,args=").splitlines()]
    assert listed[0][0] == "1"
    assert listed[0][1].startswith("sh -c ")
    assert [words for _, words in listed[1:]] == ["sleep 2147483647", "ps -e -o pid=,args="]
    host = lab.run(["ps", "-o", "args=", "-p", str(init_of(lab, "alone"))]).stdout
    assert host.strip() == listed[0][1]


def test_every_namespace_is_its_own(lab: Lab) -> None:
    up(lab, "none", "--name", "alone")
    host, sandbox = namespaces(lab), namespaces(lab, init_of(lab, "alone"))
    assert not host.items() & sandbox.items()
    kinds = ("mnt", "ipc", "pid", "uts", "net")
    seen = inside(lab, "alone", "readlink", *(f"/proc/self/ns/{kind}" for kind in kinds)).split()
    assert seen == [sandbox[kind] for kind in kinds]
    named = lab.run(["ip", "netns", "exec", "alone", "readlink", "/proc/self/ns/net"]).stdout.strip()
    assert named == sandbox["net"]


def test_shared_memory_and_message_queues_of_the_host_are_not_seen(lab: Lab) -> None:
    lab.run(["ipcmk", "--queue"], check=True)
    up(lab, "none", "--name", "alone")
    assert "0x" in lab.run(["ipcs", "--queues"]).stdout
    assert "0x" not in inside(lab, "alone", "ipcs", "--queues")


def test_what_is_mounted_in_it_is_not_seen_on_the_host(lab: Lab) -> None:
    up(lab, "none", "--name", "alone", "--privileged")
    before = lab.read("/proc/1/mountinfo")
    inside(lab, "alone", "mount", "-t", "tmpfs", "inside", "/mnt")
    assert " /mnt " in inside(lab, "alone", "cat", "/proc/self/mountinfo")
    assert lab.read("/proc/1/mountinfo") == before


def test_other_tools_find_its_network_by_name(lab: Lab) -> None:
    up(lab, "none", "--name", "alone")
    assert lab.run(["ip", "netns", "list"]).stdout == "alone\n"
    lab.run(["ip", "-n", "alone", "link", "set", "lo", "up"], check=True)
    assert inside(lab, "alone", "ping", "-c", "1", "-W", "1", "127.0.0.1").count("1 received") == 1


def test_down_leaves_nothing(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, "none", "--name", "alone")
        assert down(lab, "alone") == "alone is down\n"
