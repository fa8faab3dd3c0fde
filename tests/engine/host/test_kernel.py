from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nsctl.engine.host import process
from nsctl.engine.host.content import sysctl
from nsctl.engine.host.kernel import Kernel
from nsctl.engine.host.netlink import DumpInterruptedError, Netlink
from nsctl.engine.model.effects import LinkIs, State
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.testing.namespaces import NamespaceThread
from tests.lab import Lab

Ip = Callable[..., None]


class Reader:
    """Answers read-only commands, and keeps count of them."""

    def __init__(self, output: str = "", status: int = 0) -> None:
        self.output = output
        self.status = status
        self.asked: list[tuple[tuple[str, ...], str | None]] = []

    def __call__(self, argv: tuple[str, ...], netns: str | None) -> tuple[int, str]:
        self.asked.append((argv, netns))
        return self.status, self.output


SAVED = "*filter\n:FORWARD ACCEPT [0:0]\n:NSCTL-X - [0:0]\n-A NSCTL-X -j DROP\nCOMMIT\n"


def test_the_rules_of_all_tables_cost_one_command_until_forgotten() -> None:
    reader = Reader(SAVED)
    kernel = Kernel(reader)
    assert kernel.rules("filter", "NSCTL-X") == [("-j", "DROP")]
    assert kernel.rules("filter", "FORWARD") == []
    assert kernel.rules("nat", "POSTROUTING") is None
    assert reader.asked == [(("iptables-save",), None)]
    assert kernel.rules("filter", "NSCTL-X", 6) == [("-j", "DROP")]
    kernel.forget()
    kernel.rules("filter", "NSCTL-X")
    assert reader.asked[1:] == [(("ip6tables-save",), None), (("iptables-save",), None)]


def test_rules_that_can_not_be_read_are_an_error_and_not_absent() -> None:
    with pytest.raises(NsctlError, match="iptables-save exits with 4"):
        Kernel(Reader(status=4)).rules("filter", "FORWARD")


def test_an_authors_command_runs_once_until_forgotten() -> None:
    reader = Reader("yes\n")
    kernel = Kernel(reader)
    assert [kernel.output(("wg", "show")) for _ in range(3)] == [(0, "yes\n")] * 3
    assert reader.asked == [(("wg", "show"), None)]


def test_in_a_namespace_that_is_not_there_is_nothing_and_no_command_runs() -> None:
    reader = Reader(SAVED)
    kernel, there = Kernel(reader), "nsctl-test-not-there"
    assert kernel.link("lo", there) is None
    assert kernel.link_by_index(1, there) is None
    assert kernel.link_by_mac("00:00:00:00:00:00", there) is None
    assert kernel.links(there) == {}
    assert kernel.addresses("lo", there) == frozenset()
    assert kernel.routes(there) == ()
    assert kernel.linkset("lo", "mtu", there) is None
    assert kernel.rules("filter", "FORWARD", 4, there) is None
    assert kernel.sysctl("net/ipv4/ip_forward", there) is None
    assert kernel.netns_inode(there) is None
    assert kernel.someone_in(there) is None
    assert kernel.output(("true",), there) is None
    assert reader.asked == []


def test_sysctls_are_read_and_what_is_none_is_none() -> None:
    assert sysctl("kernel/osrelease") == os.uname().release
    assert sysctl("net/ipv4/conf/no-such-link/forwarding") is None
    assert sysctl("net/ipv4/conf") is None
    assert sysctl("net/ipv4/route/flush") is None  # write-only
    assert sysctl("../../etc/hostname") is None
    assert sysctl("nul\0byte") is None


def test_what_is_at_a_path_is_told_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text \xff")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    kernel = Kernel(Reader())
    names = ["file", "link", "pipe", "", "missing", "file/below"]
    kinds = [kernel.kind(str(tmp_path / name)) for name in names]
    assert kinds == ["file", "other", "other", "directory", None, None]
    assert [kernel.file(str(tmp_path / name)) for name in names] == ["text \udcff", None, None, None, None, None]
    assert [kernel.kind(str(tmp_path / name)) == "directory" for name in names] == [
        False,
        False,
        False,
        True,
        False,
        False,
    ]


def test_processes_are_looked_up_once_until_forgotten() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    kernel = Kernel(Reader())
    start = kernel.process(child.pid)
    assert start is not None
    assert child.pid in kernel.children(os.getpid())
    child.communicate()
    assert kernel.process(child.pid) == start
    kernel.forget()
    assert kernel.process(child.pid) is None


@pytest.mark.system
def test_the_hosts_links_addresses_and_routes(lab: Lab, ip: Ip, inside: NamespaceThread) -> None:
    ip(
        "link add name br0 address 02:00:00:00:00:01 type bridge",
        "link add name v0 address 02:00:00:00:00:02 mtu 1400 master br0 type veth peer name p0",
        "address add 10.0.3.1/24 dev br0",
        "link property add dev p0 altname other",
    )
    kernel = Kernel(Reader())

    def look() -> None:
        link = kernel.link("v0")
        assert link is not None
        assert (link.type, link.master, link.mtu, link.up) == ("veth", "br0", 1400, False)
        assert kernel.link_by_index(link.index) == kernel.link_by_mac("02:00:00:00:00:02") == link
        assert kernel.links()["v0"] == link
        assert set(kernel.links()) == {"lo", "eth0", "br0", "v0", "p0"}
        other = kernel.link("other")
        assert other is not None
        assert other.name == "p0"
        assert kernel.addresses("br0") == {"10.0.3.1/24"}
        assert kernel.addresses("v0") == kernel.addresses("nope") == kernel.addresses("other") == frozenset()
        assert ("default", "203.0.113.1") in [(route.destination, route.via) for route in kernel.routes()]
        wanted = ("mtu", "group", "master", "hairpin", "addrgenmode")
        assert [kernel.linkset("v0", a) for a in wanted] == ["1400", "0", "br0", "off", "eui64"]
        assert [kernel.linkset("nope", a) for a in wanted] == [None] * 5

    inside.call(look)
    lab.run(["ip", "link", "del", "dev", "v0"], check=True)
    assert inside.call(kernel.link, "v0") is not None  # still remembered
    kernel.forget()
    assert inside.call(kernel.link, "v0") is None


@pytest.mark.system
def test_a_named_namespace_is_read_as_a_whole_and_nothing_keeps_it_alive(
    lab: Lab, ip: Ip, inside: NamespaceThread
) -> None:
    ip("netns add web", "link add name v0 type veth peer name eth1 netns web")
    lab.run(
        ["ip", "-n", "web", "-batch", "-"],
        input="address add 10.0.3.2/24 dev eth1\nlink set dev eth1 up\nroute add 10.9.0.0/16 via 10.0.3.1\n",
        check=True,
    )
    lab.run(["ip", "netns", "exec", "web", "sysctl", "-qw", "net/ipv4/conf/eth1/arp_notify=1"], check=True)
    kernel = Kernel(Reader())

    def look() -> None:
        assert set(kernel.links("web")) == {"lo", "eth1"}
        assert kernel.link("v0", "web") is kernel.link("eth0", "web") is None
        assert kernel.addresses("eth1", "web") == {"10.0.3.2/24"}
        assert ("10.9.0.0/16", "10.0.3.1") in [(route.destination, route.via) for route in kernel.routes("web")]
        assert kernel.sysctl("net/ipv4/conf/eth1/arp_notify", "web") == "1"
        assert kernel.sysctl("net/ipv4/conf/eth1/arp_notify") is None
        assert kernel.netns_names() == {"web"}
        assert kernel.netns_inode("web") == os.stat("/run/netns/web").st_ino

    before = len(os.listdir("/proc/self/fd"))
    inside.call(look)
    assert len(os.listdir("/proc/self/fd")) == before
    # The namespace dies with its name, and takes the pair with it.
    ip("netns del web")
    deadline = time.monotonic() + 10
    while True:
        kernel.forget()
        if inside.call(kernel.link, "v0") is None:
            break
        assert time.monotonic() < deadline


@pytest.mark.system
def test_a_plain_file_is_no_namespace(lab: Lab, ip: Ip, inside: NamespaceThread) -> None:
    ip("netns add web", "netns add gone")
    lab.run(["umount", "/run/netns/gone"], check=True)
    lab.write("/run/netns/text", "content")
    kernel = Kernel(Reader())

    def look(name: str) -> tuple[bool, bool, bool]:
        return kernel.netns_inode(name) is not None, kernel.netns_taken(name), kernel.netns_left_over(name)

    assert inside.call(look, "web") == (True, True, False)
    assert inside.call(look, "gone") == (False, True, True)
    assert inside.call(look, "text") == (False, True, False)
    assert inside.call(look, "none") == (False, False, False)
    assert inside.call(kernel.links, "gone") == {}
    assert inside.call(kernel.sysctl, "net/ipv4/ip_forward", "text") is None


@pytest.mark.system
def test_a_process_in_a_namespace_is_found(lab: Lab, ip: Ip, inside: NamespaceThread) -> None:
    ip("netns add web")
    kernel = Kernel(Reader())
    assert inside.call(kernel.someone_in, "web") is None
    lab.popen(["nsenter", "--net=/run/netns/web", "sleep", "1000"])
    deadline = time.monotonic() + 10
    while inside.call(kernel.someone_in, "web") is None:
        assert time.monotonic() < deadline


@pytest.mark.system
@pytest.mark.parametrize("count", [10, 300])
def test_few_links_are_asked_for_one_by_one_and_many_at_once(ip: Ip, inside: NamespaceThread, count: int) -> None:
    macs = {f"d{n}": f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(300)}
    ip(*(f"link add name {name} address {mac} type veth peer name p{name}" for name, mac in macs.items()))
    kernel = Kernel(Reader())

    def look() -> list[State]:
        return [LinkIs(name, macs[name], "veth").observe(kernel).state for name in list(macs)[:count]]

    assert inside.call(look) == [State.OURS] * count
    view = kernel.view()
    assert view is not None
    assert view._whole is (count > 100)
    kernel.forget()
    inside.call(kernel.expect, [LinkIs(name, mac, "veth") for name, mac in macs.items()][:count])
    view = kernel.view()
    assert view is not None
    assert view._whole is (count > 100)


@pytest.mark.system
def test_of_many_links_a_few_dozen_are_asked_for_one_by_one(lab: Lab) -> None:
    links = "".join(f"link add d{n} type veth peer name p{n}\n" for n in range(150))
    lab.run(["ip", "-batch", "-"], input=links, check=True)
    code = (  # in a process of the lab's: /proc tells each thread of its own links
        "from nsctl.engine.host.netns import NetnsView\n"
        "for count in (40, 100, 200):\n"
        "    view = NetnsView()\n"
        "    view.expect(count)\n"
        "    print(count, view._whole)\n"
    )
    assert lab.run([sys.executable, "-I", "-c", code], check=True).stdout == "40 False\n100 False\n200 True\n"


@pytest.mark.system
def test_the_addresses_of_many_links_are_read_at_once(ip: Ip, inside: NamespaceThread) -> None:
    names = [f"d{n}" for n in range(100)]
    ip(*(f"link add name {name} type veth peer name p{name}" for name in names))
    ip(*(f"address add 10.1.{n}.1/24 dev {name}" for n, name in enumerate(names)))
    kernel = Kernel(Reader())
    found = inside.call(lambda: [kernel.addresses(name) for name in names])
    assert found == [frozenset({f"10.1.{n}.1/24"}) for n in range(100)]


@pytest.mark.system
def test_of_links_that_change_all_the_time_those_that_a_dump_missed_are_read_one_by_one(
    ip: Ip, inside: NamespaceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As they do while a lab of a thousand comes up: the next batch is at work when the links of one are looked at.
    dump_once, get, asked = Netlink.dump_once, Netlink.get, []

    def two_thirds(self: Netlink, kind: int, body: bytes) -> tuple[list[bytes], bool]:
        return [data for n, data in enumerate(dump_once(self, kind, body)[0]) if n % 3], False

    def counted(self: Netlink, kind: int, body: bytes) -> bytes | None:
        asked.append(body)
        return get(self, kind, body)

    def restless(*_: object) -> list[bytes]:
        raise DumpInterruptedError("everything flows")

    names = [f"d{n}" for n in range(60)]
    ip(*(f"link add name {name} type veth peer name p{name}" for name in names))
    kernel = Kernel(Reader())
    monkeypatch.setattr(Netlink, "dump_once", two_thirds)
    monkeypatch.setattr(Netlink, "get", counted)
    monkeypatch.setattr(Netlink, "dump", restless)

    def look() -> list[bool]:
        kernel.expect(LinkIs(name, "") for name in names)
        return [kernel.link(name) is not None for name in (*names, "nope")]

    assert inside.call(look) == [True] * 60 + [False]
    assert 15 <= len(asked) <= 25
    with pytest.raises(DumpInterruptedError):
        inside.call(kernel.links)


def test_no_privilege_to_enter_a_namespace_is_an_error_and_not_absent() -> None:
    kernel = Kernel(Reader())
    kernel._inodes["web"] = 1

    def refused() -> None:
        raise PermissionError(errno.EPERM, "no")

    with pytest.raises(PermissionError):
        kernel._there("web", refused)


@pytest.mark.parametrize(
    "look",
    [
        lambda: sysctl("net/ipv4/ip_forward"),
        lambda: Kernel(Reader()).file("/etc/passwd"),
        lambda: process.command_of(os.getpid()),
    ],
)
def test_what_there_is_no_descriptor_for_does_not_count_as_missing(look: Callable[[], object]) -> None:
    assert look()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            look()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
