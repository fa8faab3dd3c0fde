"""The network of another sandbox, or of any process."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from tests.lab import INTERNET, INTERNET_ADDRESS, Lab, ask_tcp, kill_group, tcp_server
from tests.system.support import (
    data,
    down,
    eventually,
    init_of,
    inside,
    inspect,
    namespaces,
    refused,
    said,
    unchanged,
    up,
)

pytestmark = pytest.mark.warm

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
PROBE = ("container", "--name", "probe", "--target", "web")


def process_in(lab: Lab, netns: str, seconds: str = "1000") -> tuple[subprocess.Popen[str], int]:
    """A process in a named network namespace, and its PID on the lab host."""
    argv = ["nsenter", f"--net=/run/netns/{netns}", "sh", "-c", 'echo $$; exec sleep "$0"', seconds]
    child = lab.popen(argv, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    return child, int(child.stdout.readline())


def test_only_the_network_is_the_targets(lab: Lab) -> None:
    up(lab, *WEB)
    assert up(lab, *PROBE) == "probe is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1, the network of web\n"
    web, probe = namespaces(lab, init_of(lab, "web")), namespaces(lab, init_of(lab, "probe"))
    assert [kind for kind in web if web[kind] == probe[kind]] == ["net"]
    assert inside(lab, "probe", "ip", "address") == inside(lab, "web", "ip", "address")
    assert inside(lab, "probe", "hostname") == "probe\n"
    assert inside(lab, "probe", "cat", "/etc/hosts").startswith("10.0.3.2\tprobe\n")
    assert inspect(lab, "probe")["shares"] == "web"


def test_a_server_in_one_is_reached_through_the_shared_address_and_its_port_is_in_use_in_the_other(lab: Lab) -> None:
    up(lab, *WEB)
    up(lab, *PROBE)
    with tcp_server(lab, "probe", port=80, reply=b"probe"):
        assert ask_tcp(lab, None, "10.0.3.2", 80) == ask_tcp(lab, "web", "127.0.0.1", 80) == b"probe"
        with pytest.raises(OSError, match="in use") as told, tcp_server(lab, "web", port=80):
            pass
        assert told.value.errno == errno.EADDRINUSE
        assert inside(lab, "web", "ss", "-Hltn").split()[3] == "0.0.0.0:80"


def test_a_target_that_others_share_is_not_taken_down_before_them(lab: Lab) -> None:
    up(lab, *WEB)
    up(lab, *PROBE)
    up(lab, "container", "--name", "second", "--target", "probe")
    says, hint = "'web' is shared by probe, second", r"nsctl down web probe second \(or --force\)"
    refused(lab, "down", "web", says=says, hint=hint)
    refused(lab, "down", "web", "probe", says="'(web|probe)' is shared by second")
    refused(lab, "down", "web", "--dry-run", says=says)
    down(lab, "second", "probe")
    with tcp_server(lab, INTERNET, port=80):
        assert ask_tcp(lab, "web", INTERNET_ADDRESS, 80) == b"hello"
    down(lab, "web")


def test_force_takes_the_sharers_down_too(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, *WEB)
        up(lab, *PROBE)
        up(lab, "container", "--name", "second", "--target", "probe")
        assert set(down(lab, "web", "--force").splitlines()) == {"web is down", "probe is down", "second is down"}


@pytest.mark.both_ways
def test_who_shares_a_network_goes_with_it_when_it_is_recovered(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, *WEB)
        up(lab, *PROBE)
        up(lab, "container", "--name", "second", "--target", "probe")
        lab.run(["kill", "-KILL", str(init_of(lab, "web"))], check=True)
        assert eventually(lambda: data(lab, "ls", "--json")[-1]["state"] != "up")
        told = lab.nsctl("recover", check=True).stdout
        assert "web: taken down, since its init is gone" in told
        assert "probe: taken down, since it shared the network of web" in told
        assert "second: taken down, since it shared the network of probe" in told


def test_down_of_all_needs_no_force(lab: Lab) -> None:
    with unchanged(lab):
        up(lab, *WEB)
        up(lab, *PROBE)
        down(lab, "--all")


def test_the_network_of_any_process_is_joined_by_its_pid(lab: Lab) -> None:
    lab.run(["ip", "netns", "add", "foreign"], check=True)
    lab.run(["ip", "-n", "foreign", "address", "add", "10.9.9.9/32", "dev", "lo"], check=True)
    _, pid = process_in(lab, "foreign")
    with unchanged(lab):
        up(lab, "container", "--name", "guest", "--target", str(pid))
        assert " 10.9.9.9/32 " in inside(lab, "guest", "ip", "address")
        assert namespaces(lab, init_of(lab, "guest"))["net"] == namespaces(lab, pid)["net"]
        down(lab, "guest")
    assert lab.exists(f"/proc/{pid}")


def test_a_process_of_a_sandbox_stands_for_the_sandbox(lab: Lab) -> None:
    up(lab, *WEB)
    up(lab, *PROBE)
    assert (
        up(lab, "container", "--name", "c", "--target", str(init_of(lab, "probe")))
        == "c is up: 10.0.3.2/24 on nsbr0, gateway 10.0.3.1, the network of web\n"
    )
    refused(lab, "down", "web", says="'web' is shared by c, probe")


def test_a_network_outlives_the_process_it_was_joined_by(lab: Lab) -> None:
    lab.run(["ip", "netns", "add", "foreign"], check=True)
    with unchanged(lab):
        child, pid = process_in(lab, "foreign")
        up(lab, "container", "--name", "guest", "--target", str(pid))
        kill_group(child)
        assert "LOOPBACK" in inside(lab, "guest", "ip", "link")
        down(lab, "guest")


@pytest.mark.parametrize("reused", [False, True], ids=["gone", "another's"])
def test_a_pid_that_is_gone_or_anothers_by_the_time_of_the_step_is_found_out(lab: Lab, reused: bool) -> None:  # noqa: FBT001
    lab.run(["ip", "netns", "add", "foreign"], check=True)
    lab.run(["ip", "netns", "add", "other"], check=True)
    child, pid = process_in(lab, "foreign")
    plan = said(lab, "up", "container", "--name", "guest", "--target", str(pid), "--dry-run", "--format", "json")
    lab.write("/run/plan.json", plan)
    kill_group(child)
    assert eventually(lambda: not lab.exists(f"/proc/{pid}"))
    if reused:
        again = (
            f"echo {pid - 1} >/proc/sys/kernel/ns_last_pid; nsenter --net=/run/netns/other sleep 1000 & echo $!; wait"
        )
        child = lab.popen(["sh", "-c", again], stderr=subprocess.DEVNULL)
        assert child.stdout is not None
        if int(child.stdout.readline()) != pid:
            pytest.skip("somebody else was given the PID")
        assert eventually(lambda: lab.call(os.readlink, f"/proc/{pid}/exe").endswith("/sleep"))
    with unchanged(lab):
        done = lab.nsctl("apply", "/run/plan.json")
        assert done.returncode in {1, 2}
        assert f"process {pid}" in done.stderr or "netns/guest" in done.stderr
    assert data(lab, "ls", "--json") == []


def test_what_can_not_be_a_target_is_refused(lab: Lab) -> None:
    up(lab, "host")
    share = ("up", "container", "--name", "c")
    refused(lab, *share, says="--target is missing", hint="--target NAME|PID")
    refused(lab, *share, "--target", "web", says="there is no sandbox 'web'", hint="nsctl ls")
    refused(lab, *share, "--target", "c", says="'c' can't share its own network")
    refused(lab, *share, "--target", "host", says="'host' has the host's network", hint="nsctl up host --name c")
    refused(lab, *share, "--target", "1", says="process 1 has the host's network", hint="nsctl up host --name c")
    refused(lab, *share, "--target", "4194304", says="there is no process 4194304")
    refused(lab, *share, "--target", "../web", says="target '../web'")
    refused(lab, *share, "--target", "web", "--isolate", "pid,mount", says="there is no sandbox|network namespace")
