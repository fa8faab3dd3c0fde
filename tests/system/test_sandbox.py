"""What is the same in every mode: names, files, processes; and that nothing stays behind."""

from __future__ import annotations

import signal

import pytest

from tests.lab import Lab, assert_back, canaries_alive, plant_canaries, snapshot
from tests.system.support import (
    SOON,
    data,
    down,
    eventually,
    init_of,
    inside,
    inspect,
    namespaces,
    refused,
    unchanged,
    up,
)

BRIDGE = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")


def test_the_hostname_is_the_sandboxs_name_and_the_hosts_stays(lab: Lab) -> None:
    up(lab, "none", "--name", "alone")
    assert inside(lab, "alone", "hostname") == "alone\n"
    assert inside(lab, "alone", "uname", "-n") == "alone\n"
    assert lab.run(["hostname"]).stdout == "lab\n"


def test_hosts_holds_its_name_and_address_and_nothing_of_the_hosts_loopback(lab: Lab) -> None:
    up(lab, *BRIDGE)
    host = lab.read("/etc/hosts")
    found = inside(lab, "web", "cat", "/etc/hosts").splitlines()
    assert found[:2] == ["10.0.3.2\tweb", "127.0.0.1\tlocalhost"]
    assert [line for line in found[2:] if line.startswith("127.")] == []
    assert inside(lab, "web", "getent", "ahostsv4", "web").startswith("10.0.3.2 ")
    assert lab.read("/etc/hosts") == host


def test_without_an_address_its_name_is_a_loopback_address(lab: Lab) -> None:
    up(lab, "none", "--name", "alone")
    assert inside(lab, "alone", "cat", "/etc/hosts").startswith("127.0.1.1\talone\n")


def test_resolv_conf_is_the_hosts_and_its_own(lab: Lab) -> None:
    lab.write("/run/resolv.conf", "nameserver 203.0.113.53\nsearch example.org\n")
    lab.run(["mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf"], check=True)
    up(lab, *BRIDGE)
    lab.write("/run/resolv.conf", "nameserver 203.0.113.54\n")
    assert inside(lab, "web", "cat", "/etc/resolv.conf") == "nameserver 203.0.113.53\nsearch example.org\n"
    inside(lab, "web", "sh", "-c", "echo nameserver 203.0.113.55 >/etc/resolv.conf")
    assert inside(lab, "web", "cat", "/etc/resolv.conf") == "nameserver 203.0.113.55\n"
    assert lab.read("/etc/resolv.conf") == "nameserver 203.0.113.54\n"


def test_a_stub_resolver_on_the_hosts_loopback_is_replaced_by_what_is_behind_it(lab: Lab) -> None:
    lab.write("/run/systemd/resolve/resolv.conf", "nameserver 203.0.113.53\n")
    lab.write("/run/stub", "nameserver 127.0.0.53\n")
    lab.run(["mount", "--bind", "/run/stub", "/etc/resolv.conf"], check=True)
    up(lab, *BRIDGE)
    assert inside(lab, "web", "cat", "/etc/resolv.conf") == "nameserver 203.0.113.53\n"


def test_state_and_other_sandboxes_networks_are_not_seen_inside(lab: Lab) -> None:
    up(lab, "none", "--name", "first")
    up(lab, "none", "--name", "second")
    assert inside(lab, "second", "ls", "/run/netns", "/run/nsctl") == "/run/netns:\n\n/run/nsctl:\n"
    assert "/run/netns/first" not in inside(lab, "second", "cat", "/proc/self/mountinfo")
    assert inside(lab, "second", "ls", "/sys/class/net") == "lo\n"


def test_every_process_started_in_it_dies_with_down(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, "none", "--name", "alone")
        inside(lab, "alone", "sh", "-c", "exec setsid --fork sleep 1000011 >/dev/null 2>&1")
        # It becomes a sleeper, too: a shell that waits ends with 0 if those that it waits for are killed before it is.
        stubborn = "trap '' TERM HUP INT; sleep 1000012 & setsid sleep 1000013 & exec sleep 1000015"
        command = lab.nsctl_popen("exec", "alone", "--", "sh", "-c", stubborn)
        outside = lab.popen(["nsenter", "--net=/run/netns/alone", "sleep", "1000014"])
        assert eventually(lambda: len(lab.run(["pgrep", "-f", "^sleep 100001"]).stdout.split()) == 5)
        down(lab, "alone")
        assert lab.run(["pgrep", "-f", "^sleep 100001"]).stdout == ""
        assert command.wait(SOON) == 128 + signal.SIGKILL
        assert outside.wait(SOON) == -signal.SIGKILL


def test_zombies_are_reaped(lab: Lab) -> None:
    up(lab, "none", "--name", "alone")
    for _ in range(3):
        inside(lab, "alone", "sh", "-c", "(sleep 0.01 >/dev/null 2>&1 &)")
    states = ["ps", "-o", "stat=", "--ppid", str(init_of(lab, "alone"))]
    assert eventually(lambda: len(lab.run(states).stdout.split()) == 1)


def test_when_its_init_dies_it_is_shown_as_dead_and_can_be_taken_down(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, *BRIDGE)
        lab.run(["kill", "-KILL", str(init_of(lab, "web"))], check=True)
        (found,) = data(lab, "ls", "--json")
        assert (found["state"], found["pid"]) == ("dead", None)
        done = lab.nsctl("exec", "web", "--", "true")
        assert (done.returncode, done.stderr.splitlines()[0]) == (125, "nsctl: the init of 'web' has died")
        down(lab, "web")


@pytest.mark.parametrize(
    ("mode", "isolate"),
    [
        *[("none", isolate) for isolate in ("net", "pid,net", "mount,net", "ipc,uts,net", "mount,ipc,pid,uts,net")],
        *[("bridge", isolate) for isolate in ("net", "mount,pid,net", "mount,ipc,pid,uts,net")],
        *[("container", isolate) for isolate in ("net", "pid,uts,net", "mount,ipc,pid,uts,net")],
        *[("host", isolate) for isolate in ("pid", "mount", "ipc,uts", "mount,ipc,pid,uts")],
    ],
)
def test_nothing_stays_behind_in_any_mode_with_any_namespaces(lab: Lab, mode: str, isolate: str) -> None:
    if mode == "container":
        up(lab, "none", "--name", "target")
    canaries = plant_canaries(lab)
    before = snapshot(lab)
    host = namespaces(lab)
    up(lab, mode, "--name", "web", "--isolate", isolate, *(("--target", "target") if mode == "container" else ()))
    look = "cd /proc/self/ns && readlink mnt ipc uts net pid; hostname"
    if (mode, isolate) != ("container", "net"):  # there a process is like those of the target
        look += "; sleep 1000 >/dev/null 2>&1 &"
    seen = inside(lab, "web", "sh", "-c", look)
    kinds = dict(zip(("mount", "ipc", "uts", "net", "pid"), seen.split(), strict=False))
    differing = {kind for kind, number in kinds.items() if number not in host.values()}
    assert differing - {"pid"} == {"mount", *isolate.split(",")} - {"pid"}  # its mounts are its own in any case
    assert seen.split()[-1] == ("web" if "uts" in isolate else "lab")
    # Where /proc is the host's, /proc/self is another's: the init tells.
    pid = inspect(lab, "web")["pid"]
    assert (pid is None) == (isolate == "net")
    if pid is not None:
        assert (namespaces(lab, pid)["pid"] != host["pid"]) == ("pid" in isolate)
    down(lab, "web")
    assert_back(lab, before)
    canaries_alive(lab, canaries)


def test_namespaces_that_do_not_fit_the_mode_are_refused(lab: Lab) -> None:
    refused(lab, "up", "none", "--isolate", "pid", says="mode 'none' needs a network namespace", hint="add net")
    refused(lab, "up", "host", "--isolate", "net", says="mode 'host' has no network namespace", hint="leave net out")
    refused(lab, "up", "none", "--isolate", "network", says="'network' is not a kind of namespace", hint="'net'")
    refused(lab, "up", "none", "--isolate", "", says="'' is not a kind of namespace")
    refused(lab, "up", "none", "--isolate", "user", says="'user' is not a kind of namespace")
