from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nsctl.engine.host.kernel import Kernel
from nsctl.engine.model.effects import (
    EFFECTS,
    AddrOn,
    ChainIs,
    CommandSucceeds,
    DirIs,
    Effect,
    FileIs,
    LinkIs,
    LinkSet,
    LinkUp,
    NetnsIs,
    NftTable,
    PortFilter,
    ProcessIs,
    RouteVia,
    RuleTagged,
    State,
    SysctlIs,
    ZoneIs,
)
from nsctl.engine.model.observation import Known, Observation
from nsctl.engine.testing.namespaces import NamespaceThread
from tests.lab import Lab

Ip = Callable[..., None]
OURS, ABSENT, FOREIGN = State.OURS, State.ABSENT, State.FOREIGN
MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"


def read(argv: tuple[str, ...], netns: str | None) -> tuple[int, str]:
    entered = (["nsenter", f"--net=/run/netns/{netns}"] if netns else []) + list(argv)
    done = subprocess.run(entered, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


class Host:
    """The lab host, observed afresh each time."""

    def __init__(self, lab: Lab, thread: NamespaceThread) -> None:
        self.lab = lab
        self.thread = thread

    def see(
        self,
        effect: Effect,
        identity: Mapping[str, int] | None = None,
        *,
        in_flight: bool = False,
        own: frozenset[str] = frozenset(),
    ) -> Observation:
        return self.thread.call(lambda: effect.observe(Kernel(read), Known(identity, in_flight, own)))

    def identity(self, effect: Effect) -> dict[str, int]:
        identity = self.thread.call(lambda: effect.identity(Kernel(read)))
        assert identity is not None
        return identity

    def run(self, *argv: str) -> None:
        self.lab.run(argv, check=True)


@pytest.fixture
def host(lab: Lab, inside: NamespaceThread) -> Host:
    return Host(lab, inside)


@pytest.fixture
def local() -> Kernel:
    return Kernel(read)


# Links.


@pytest.mark.system
def test_a_link_is_ours_by_name_and_hardware_address(host: Host, ip: Ip) -> None:
    effect = LinkIs("br0", MAC, "bridge")
    assert host.see(effect) == Observation(ABSENT, "missing")
    ip(f"link add name br0 address {MAC} type bridge")
    assert host.see(effect) == Observation(OURS, "in place")


@pytest.mark.system
def test_a_link_of_the_name_with_another_address_or_type_is_foreign(host: Host, ip: Ip) -> None:
    ip(f"link add name br0 address {OTHER} type bridge")
    assert host.see(LinkIs("br0", MAC, "bridge")) == Observation(FOREIGN, f"mac {OTHER}, expected {MAC}")
    assert host.see(LinkIs("br0", OTHER, "veth")) == Observation(FOREIGN, "type bridge, expected veth")
    assert host.see(LinkIs("br0", OTHER)).state is OURS


@pytest.mark.system
def test_a_name_that_is_another_links_alternative_name_is_foreign(host: Host, ip: Ip) -> None:
    ip("link property add dev eth0 altname br0")
    assert host.see(LinkIs("br0", MAC)) == Observation(FOREIGN, "an alternative name of eth0")
    assert host.see(LinkUp("br0")).state is ABSENT
    assert host.see(LinkSet("br0", "mtu", "1500")).state is ABSENT


@pytest.mark.system
def test_a_renamed_link_is_found_by_its_index_whoever_has_the_name_now(host: Host, ip: Ip) -> None:
    effect = LinkIs("br0", MAC, "bridge")
    ip(f"link add name br0 address {MAC} type bridge")
    identity = host.identity(effect)
    ip("link set dev br0 name x0")
    expected = Observation(OURS, "renamed to x0", "renamed to x0", "x0")
    assert host.see(effect, identity) == expected
    assert host.see(effect).state is ABSENT
    ip(f"link add name br0 address {OTHER} type bridge")
    assert host.see(effect, identity) == expected
    assert host.see(effect).state is FOREIGN


@pytest.mark.system
def test_a_stranger_in_the_place_of_our_link_is_foreign(host: Host, ip: Ip) -> None:
    effect = LinkIs("br0", MAC, "bridge")
    ip(f"link add name br0 address {MAC} type bridge")
    identity = host.identity(effect)
    ip("link del dev br0", f"link add name br0 address {OTHER} type bridge")
    assert host.see(effect, identity).state is FOREIGN


@pytest.mark.system
def test_a_link_that_was_made_again_is_ours_by_its_new_index_only(host: Host, ip: Ip) -> None:
    effect = LinkIs("br0", MAC, "bridge")
    ip(f"link add name br0 address {MAC} type bridge")
    identity = host.identity(effect)
    ip("link del dev br0", f"link add name br0 address {MAC} type bridge")
    again = host.identity(effect)
    assert host.see(effect, again) == Observation(OURS, "in place")
    found = f"another link with the same hardware address (index {again['index']}, not {identity['index']})"
    assert host.see(effect, identity) == Observation(FOREIGN, found)


@pytest.mark.system
def test_changes_to_a_link_of_ours_are_drift(host: Host, ip: Ip) -> None:
    effect = LinkIs("v0", MAC, "veth", master="br0", mtu=1400)
    ip(
        "link add name br0 type bridge",
        f"link add name v0 address {MAC} mtu 1400 master br0 type veth peer name p0",
    )
    identity = host.identity(effect)
    assert host.see(effect, identity) == Observation(OURS, "in place")
    ip("link set dev v0 nomaster mtu 1300")
    drift = "master none, expected br0; mtu 1300, expected 1400"
    assert host.see(effect, identity) == Observation(OURS, drift, drift)


@pytest.mark.system
def test_our_link_with_another_hardware_address_is_known_by_its_index(host: Host, ip: Ip) -> None:
    effect = LinkIs("br0", MAC, "bridge")
    ip(f"link add name br0 address {MAC} type bridge")
    identity = host.identity(effect)
    ip(f"link set dev br0 address {OTHER}")
    drift = f"mac {OTHER}, expected {MAC}"
    assert host.see(effect, identity) == Observation(OURS, drift, drift)
    assert host.see(effect).state is FOREIGN


@pytest.mark.system
def test_links_in_a_namespace_are_seen_there_only(host: Host, ip: Ip) -> None:
    effect = LinkIs("eth1", MAC, "veth", netns="web")
    assert host.see(effect).state is ABSENT
    ip("netns add web", f"link add name v0 type veth peer name eth1 netns web address {MAC}")
    assert host.see(effect).state is OURS
    assert host.see(LinkIs("eth1", MAC, "veth")).state is ABSENT
    assert host.see(LinkUp("eth1", "web")) == Observation(ABSENT, "down")
    host.run("ip", "-n", "web", "link", "set", "dev", "eth1", "up")
    assert host.see(LinkUp("eth1", "web")) == Observation(OURS, "up")
    assert host.see(LinkUp("eth1")) == Observation(ABSENT, "no such link")


@pytest.mark.system
def test_properties_of_links_are_compared_as_ip_spells_them(host: Host, ip: Ip) -> None:
    ip(
        "link add name br0 type bridge",
        "link add name v0 master br0 type veth peer name p0",
        "link set dev v0 addrgenmode none",
        "link set dev v0 alias nsctl:web",
        "link set dev v0 type bridge_slave hairpin on",
    )
    for attribute, value in [
        ("addrgenmode", "none"),
        ("alias", "nsctl:web"),
        ("mtu", "1500"),
        ("master", "br0"),
        ("group", "default"),
        ("group", "0"),
        ("hairpin", "on"),
        ("hairpin", "1"),
        ("isolated", "off"),
        ("isolated", "0"),
        ("promisc", "off"),
    ]:
        assert host.see(LinkSet("v0", attribute, value)).state is OURS, attribute
    assert host.see(LinkSet("v0", "addrgenmode", "eui64")) == Observation(ABSENT, "addrgenmode none, expected eui64")
    assert host.see(LinkSet("br0", "hairpin", "off")).state is ABSENT
    assert host.see(LinkSet("nope", "mtu", "1500")) == Observation(ABSENT, "no such link")


# Addresses and routes.


@pytest.mark.system
def test_an_address_is_there_or_not(host: Host, ip: Ip) -> None:
    ip("address add 10.0.3.1/24 dev eth0", "address add 2001:db8::1/64 dev eth0 nodad")
    assert host.see(AddrOn("eth0", "10.0.3.1/24")).state is OURS
    assert host.see(AddrOn("eth0", "2001:db8:0::1/64")).state is OURS
    assert host.see(AddrOn("eth0", "2001:db8::2/64")).state is ABSENT
    assert host.see(AddrOn("eth0", "10.0.3.1/25")).state is ABSENT
    assert host.see(AddrOn("lo", "10.0.3.1/24")).state is ABSENT
    assert host.see(AddrOn("eth0", "10.0.3.1/24", "web")).state is ABSENT


@pytest.mark.system
@pytest.mark.parametrize(
    ("effect", "state"),
    [
        (RouteVia("default", "203.0.113.1", "eth0"), OURS),
        (RouteVia("0.0.0.0/0", "203.0.113.1", "eth0", 0), OURS),
        (RouteVia("default", "203.0.113.9", "eth0"), FOREIGN),
        (RouteVia("default", None, "eth0"), FOREIGN),
        (RouteVia("default", "203.0.113.1", "lo"), FOREIGN),
        (RouteVia("default", "203.0.113.1", "eth0", 100), ABSENT),
        (RouteVia("default", "203.0.113.1", "eth0", netns="web"), ABSENT),
        (RouteVia("10.9.0.0/16", None, "eth0", 50), OURS),
        (RouteVia("10.9.0.0/16", None, "eth0"), ABSENT),
        (RouteVia("192.0.2.1", "203.0.113.1", "eth0"), OURS),
        (RouteVia("default", "2001:db8::9", "eth0"), OURS),
        (RouteVia("default", "2001:db8::8", "eth0"), FOREIGN),
        (RouteVia("2001:db8:7::/48", None, "eth0", 7), OURS),
    ],
)
def test_a_route_is_ours_only_if_it_is_the_very_one(host: Host, ip: Ip, effect: RouteVia, state: State) -> None:
    ip(
        "route add 10.9.0.0/16 dev eth0 metric 50",
        "route add 192.0.2.1 via 203.0.113.1",
        "address add 2001:db8::1/64 dev eth0 nodad",
        "route add default via 2001:db8::9",
        "route add 2001:db8:7::/48 dev eth0 metric 7",
    )
    assert host.see(effect).state is state


# Sysctls and the firewall.


@pytest.mark.system
def test_a_sysctl_is_ours_as_found_or_somebody_elses(host: Host) -> None:
    key = "net/ipv4/conf/eth0/forwarding"
    effect = SysctlIs(key, "1", "0")
    assert host.see(effect) == Observation(ABSENT, "value 0, expected 1")
    host.lab.write(f"/proc/sys/{key}", "1")
    assert host.see(effect) == Observation(OURS, "value 1")
    assert host.see(SysctlIs(key, "2", "0")) == Observation(FOREIGN, "value 1, expected 2")
    assert host.see(SysctlIs("net/ipv4/conf/nope/forwarding", "1", "0")) == Observation(ABSENT, "no such key")
    assert host.see(SysctlIs(key, "1", "0", "web")).state is ABSENT


@pytest.mark.system
def test_numbers_in_a_sysctl_may_be_parted_by_any_blanks(host: Host) -> None:
    host.lab.write("/proc/sys/net/ipv4/ip_local_port_range", "20000 30000")
    assert host.see(SysctlIs("net/ipv4/ip_local_port_range", "20000 30000", "32768 60999")).state is OURS
    assert host.see(SysctlIs("net/ipv4/ip_local_port_range", "1 2", "20000 30000")).state is ABSENT


@pytest.mark.system
def test_chains_and_rules_are_compared_word_by_word(host: Host, ip: Ip) -> None:
    spec = ("-s", "10.0.3.0/24", "!", "-o", "br0", "-m", "comment", "--comment", "nsctl:br0", "-j", "ACCEPT")
    chain, rule = ChainIs("filter", "NSCTL-X"), RuleTagged("filter", "NSCTL-X", spec)
    assert host.see(chain).state is ABSENT
    assert host.see(rule) == Observation(ABSENT, "no such chain")
    host.run("iptables", "-N", "NSCTL-X")
    assert host.see(chain).state is OURS
    assert host.see(ChainIs("nat", "NSCTL-X")).state is ABSENT
    assert host.see(ChainIs("filter", "NSCTL-X", 6)).state is ABSENT
    assert host.see(rule) == Observation(ABSENT, "missing")
    host.run("iptables", "-A", "NSCTL-X", *spec[:-1], "DROP")
    assert host.see(rule).state is ABSENT
    host.run("iptables", "-A", "NSCTL-X", *spec)
    assert host.see(rule).state is OURS
    ip("netns add web")
    assert host.see(ChainIs("filter", "NSCTL-X", netns="web")).state is ABSENT
    host.run("ip", "netns", "exec", "web", "iptables", "-N", "NSCTL-X")
    assert host.see(ChainIs("filter", "NSCTL-X", netns="web")).state is OURS


# Namespaces.


@pytest.mark.system
def test_a_namespace_is_ours_by_its_inode(host: Host, ip: Ip) -> None:
    effect = NetnsIs("web")
    assert host.see(effect).state is ABSENT
    ip("netns add web")
    identity = host.identity(effect)
    assert host.see(effect, identity) == Observation(OURS, "in place")
    assert host.see(effect).state is FOREIGN
    assert host.see(NetnsIs("web", identity["inode"])).state is OURS
    assert host.see(NetnsIs("web", identity["inode"] + 1)).state is FOREIGN
    # What the step really made is what its undo takes away, whatever it should have been.
    assert host.see(NetnsIs("web", identity["inode"] + 1), identity).state is OURS
    ip("netns add other", "netns del web", "netns add web")
    assert host.see(effect, identity).state is FOREIGN


@pytest.mark.system
def test_a_shared_namespace_is_ours_if_it_is_its_owners(host: Host, ip: Ip) -> None:
    ip("netns add web", "netns add probe")
    assert host.see(NetnsIs("probe", source="web")).state is FOREIGN
    ip("netns del probe")
    host.lab.write("/run/netns/probe", "")
    host.run("mount", "--bind", "/run/netns/web", "/run/netns/probe")
    assert host.see(NetnsIs("probe", source="web")).state is OURS
    assert host.see(NetnsIs("probe", source="missing")).state is FOREIGN


@pytest.mark.system
def test_a_name_whose_namespace_was_unmounted_is_still_ours_to_clear_away(host: Host, ip: Ip) -> None:
    effect = NetnsIs("web")
    ip("netns add web")
    identity = host.identity(effect)
    host.run("umount", "/run/netns/web")
    expected = Observation(OURS, "no namespace is mounted there", "no namespace is mounted there")
    assert host.see(effect, identity) == expected
    assert host.see(effect, in_flight=True) == expected
    assert host.see(effect).state is FOREIGN
    host.lab.write("/run/netns/web", "somebody's text")
    assert host.see(effect, identity).state is FOREIGN


@pytest.mark.system
def test_a_namespace_of_the_same_number_with_another_cookie_is_foreign(host: Host) -> None:
    host.run("ip", "netns", "add", "web")
    identity = host.identity(NetnsIs("web"))
    assert host.see(NetnsIs("web"), identity).state is OURS
    if "cookie" not in identity:
        pytest.skip("this kernel has no cookies of network namespaces (Linux 5.14)")
    assert host.see(NetnsIs("web"), identity | {"cookie": identity["cookie"] + 1}) == Observation(
        FOREIGN, "another network namespace"
    )
    assert host.see(NetnsIs("web"), {"inode": identity["inode"]}).state is OURS


@pytest.mark.system
def test_a_namespace_made_just_before_nsctl_died_is_ours_only_if_nobody_uses_it(host: Host, ip: Ip) -> None:
    effect = NetnsIs("web")
    ip("netns add web")
    assert host.see(effect, in_flight=True).state is OURS
    ip(f"link add name v0 type veth peer name eth1 netns web address {MAC}")
    assert host.see(effect, in_flight=True) == Observation(
        FOREIGN, "a network namespace with a link that is not nsctl's: eth1"
    )
    assert host.see(effect, in_flight=True, own=frozenset({MAC})).state is OURS
    host.lab.popen(["nsenter", "--net=/run/netns/web", "sleep", "1000"])
    deadline = time.monotonic() + 10
    while host.see(effect, in_flight=True, own=frozenset({MAC})).state is not FOREIGN:
        assert time.monotonic() < deadline


# Processes.


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.002)


def start(pidfile: Path, *argv: str, output: Path | None = None) -> subprocess.Popen[bytes]:
    line = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(pidfile), *argv]
    with open(output or os.devnull, "wb") as out:
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    wait_for(pidfile)
    return child


def stop(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def test_a_process_is_ours_by_its_pid_and_start_time(tmp_path: Path) -> None:
    pidfile = tmp_path / "init.pid"
    effect = ProcessIs(str(pidfile))
    assert effect.observe(Kernel(read)).state is ABSENT
    assert effect.identity(Kernel(read)) is None
    child = start(pidfile, "sleep", "60")
    identity = effect.identity(Kernel(read))
    assert identity is not None
    assert (identity["pid"], identity["init"], identity["init_start"]) == (child.pid, child.pid, identity["start"])
    assert effect.observe(Kernel(read), Known(identity)) == Observation(OURS, f"process {child.pid}")
    # A later process of the same PID.
    assert effect.observe(Kernel(read), Known({**identity, "start": identity["start"] - 1})).state is ABSENT
    # Somebody damaged the pidfile: the process is known all the same.
    pidfile.unlink()
    assert effect.observe(Kernel(read), Known(identity)).state is OURS
    stop(child)
    assert effect.observe(Kernel(read), Known(identity)) == Observation(ABSENT, "not running")


def test_a_process_that_repair_started_again_is_told_by_a_new_mark(tmp_path: Path) -> None:
    pidfile = tmp_path / "init.pid"
    effect = ProcessIs(str(pidfile))
    first = start(pidfile, "sleep", "60")
    identity = effect.identity(Kernel(read))
    stop(first)
    pidfile.unlink()
    time.sleep(0.02)  # a tick later
    second = start(pidfile, "sleep", "60")
    assert effect.observe(Kernel(read), Known(identity)).state is ABSENT
    assert effect.observe(Kernel(read), Known(effect.identity(Kernel(read)))).state is OURS
    stop(second)


def test_without_a_mark_a_process_is_ours_if_it_names_the_directory(tmp_path: Path) -> None:
    pidfile = tmp_path / "web" / "init.pid"
    pidfile.parent.mkdir()
    effect = ProcessIs(str(pidfile))
    named = start(pidfile, "sh", "-c", "sleep 60; :", "init", f"{pidfile.parent}/ready")
    assert effect.observe(Kernel(read)).state is OURS
    stop(named)
    pidfile.unlink()
    logging = start(pidfile, "sleep", "60", output=pidfile.parent / "log")
    deadline = time.monotonic() + 10
    while str(pidfile) in Path(f"/proc/{logging.pid}/cmdline").read_text():  # until it is `sleep`
        assert time.monotonic() < deadline
    assert effect.observe(Kernel(read)).state is OURS
    stop(logging)


def test_without_a_mark_a_stranger_with_the_pid_is_not_ours(tmp_path: Path) -> None:
    pidfile = tmp_path / "web" / "init.pid"
    pidfile.parent.mkdir()
    stranger = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)
    pidfile.write_text(f"{stranger.pid}\n")
    assert ProcessIs(str(pidfile)).observe(Kernel(read)).state is ABSENT
    stop(stranger)
    # One whose directory only begins with the same letters.
    neighbour = tmp_path / "web2"
    neighbour.mkdir()
    other = start(neighbour / "init.pid", "sh", "-c", "sleep 60; :", f"{neighbour}/ready")
    pidfile.write_text(f"{other.pid}\n")
    assert ProcessIs(str(pidfile)).observe(Kernel(read)).state is ABSENT
    stop(other)


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a PID namespace")
def test_the_mark_of_a_sandbox_names_its_init_too(tmp_path: Path) -> None:
    pidfile = tmp_path / "init.pid"
    child = start(pidfile, "unshare", "--pid", "--fork", "--kill-child", "sleep", "60")
    deadline = time.monotonic() + 10
    while not (children := Kernel(read).children(child.pid)):
        assert time.monotonic() < deadline
    identity = ProcessIs(str(pidfile)).identity(Kernel(read))
    assert identity is not None
    assert (identity["pid"], identity["init"]) == (child.pid, children[0])
    assert identity["init_start"] == Kernel(read).process(children[0])
    stop(child)


# Files, directories, commands.


def test_a_file_with_other_content_or_of_another_kind_is_foreign(tmp_path: Path, local: Kernel) -> None:
    path = tmp_path / "hosts"
    effect = FileIs(str(path), "127.0.0.1 localhost\n")
    assert effect.observe(local).state is ABSENT
    path.write_text("127.0.0.1 localhost\n")
    assert effect.observe(local).state is OURS
    path.write_text("127.0.0.1 localhost")
    assert effect.observe(local) == Observation(FOREIGN, "other content")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert effect.observe(local) == Observation(FOREIGN, "not a regular file")
    assert FileIs(str(tmp_path), "").observe(local).state is FOREIGN


@pytest.mark.parametrize("content", ["", "127.0.0.1 local", "127.0.0.1 localhost"])
def test_a_file_that_nsctl_died_over_is_ours_to_finish_or_remove(tmp_path: Path, local: Kernel, content: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(content)
    effect = FileIs(str(path), "127.0.0.1 localhost\n")
    assert effect.observe(local, Known(in_flight=True)) == Observation(OURS, "half written", "half written")
    assert effect.observe(local).state is FOREIGN
    path.write_text("somebody's")
    assert effect.observe(local, Known(in_flight=True)).state is FOREIGN


def test_a_directory_is_there_or_something_else_is(tmp_path: Path, local: Kernel) -> None:
    assert DirIs(str(tmp_path)).observe(local).state is OURS
    assert DirIs(str(tmp_path / "missing")).observe(local).state is ABSENT
    (tmp_path / "file").touch()
    assert DirIs(str(tmp_path / "file")).observe(local) == Observation(FOREIGN, "not a directory")
    (tmp_path / "link").symlink_to(tmp_path)
    assert DirIs(str(tmp_path / "link")).observe(local).state is FOREIGN


@pytest.mark.parametrize(
    ("effect", "state"),
    [
        (CommandSucceeds(("true",)), OURS),
        (CommandSucceeds(("false",)), ABSENT),
        (CommandSucceeds(("echo", "yes"), "yes"), OURS),
        (CommandSucceeds(("echo", "yes"), "yes\n"), OURS),
        (CommandSucceeds(("echo", "yes"), "no"), ABSENT),
        (CommandSucceeds(("echo", "yes"), ""), ABSENT),
        (CommandSucceeds(("true",), netns="nsctl-test-not-there"), ABSENT),
    ],
)
def test_an_authors_command_decides_by_status_and_output(local: Kernel, effect: CommandSucceeds, state: State) -> None:
    assert effect.observe(local).state is state


SAMPLES: dict[str, Effect] = {
    "link": LinkIs("nsctl-none", MAC),
    "up": LinkUp("nsctl-none"),
    "linkset": LinkSet("nsctl-none", "mtu", "1500"),
    "addr": AddrOn("nsctl-none", "10.0.3.1/24"),
    "route": RouteVia("198.51.100.0/24", None, "nsctl-none"),
    "sysctl": SysctlIs("net/ipv4/conf/nsctl-none/forwarding", "1", "0"),
    "netns": NetnsIs("nsctl-none"),
    "chain": ChainIs("filter", "NSCTL-NONE"),
    "rule": RuleTagged("filter", "NSCTL-NONE", ("-j", "DROP")),
    "nft": NftTable("bridge", "nsctl"),
    "port": PortFilter("nsctl-none", MAC, ("10.0.3.2",)),
    "process": ProcessIs("/nonexistent/init.pid"),
    "file": FileIs("/nonexistent/file", ""),
    "dir": DirIs("/nonexistent/dir"),
    "command": CommandSucceeds(("false",)),
    "zone": ZoneIs("trusted", "nope"),
}


@pytest.mark.parametrize("kind", EFFECTS)
def test_each_kind_of_effect_can_be_absent_and_has_no_mark_then(kind: str) -> None:
    if kind in {"nft", "port"} and os.geteuid() != 0:
        pytest.skip("only root reads what is in nftables")
    kernel = Kernel(lambda argv, _: (int(argv == ("false",)), ""))
    assert SAMPLES[kind].observe(kernel).state is ABSENT
    assert SAMPLES[kind].identity(kernel) is None
