"""What a sandbox sees as /etc/hosts and /etc/resolv.conf, from its start to its end."""

from __future__ import annotations

import pytest

from tests.lab import Lab, diff, needs, nsctl_argv, snapshot, strace
from tests.system.support import down, init_of, inside, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

NET = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")


@pytest.fixture
def etc(lab: Lab) -> Lab:
    """A lab host with an /etc of its own, whose files may be replaced."""
    lab.run(["sh", "-ec", "mkdir /run/etc; cp -a /etc/. /run/etc; mount --bind /run/etc /etc"], check=True)
    lab.run(["sh", "-c", "mkdir -p /etc/netns; umount /etc/hosts /etc/resolv.conf 2>/dev/null"])
    return lab


def replaced(lab: Lab, file: str, content: str) -> None:
    # As sed -i, systemd-resolved and NetworkManager do.
    lab.write(f"/etc/{file}.new", content)
    lab.run(["mv", f"/etc/{file}.new", f"/etc/{file}"], check=True)


def test_its_own_name_comes_first_and_nowhere_else(etc: Lab) -> None:
    etc.write("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tweb\n192.0.2.7\tfar web  # a comment\n")
    up(etc, *NET)
    hosts = inside(etc, "web", "cat", "/etc/hosts").splitlines()
    assert (hosts[0], hosts[-1]) == ("10.0.3.2\tweb", "192.0.2.7\tfar # a comment")
    assert [line for line in hosts[1:] if "web" in line] == []
    assert inside(etc, "web", "getent", "ahostsv4", "web").split()[0] == "10.0.3.2"


@pytest.mark.parametrize("options", [(), ("--isolate", "net"), ("--isolate", "net,pid")])
def test_files_for_a_namespace_are_honoured_as_ip_netns_does(etc: Lab, options: tuple[str, ...]) -> None:
    etc.write("/etc/netns/web/resolv.conf", "nameserver 192.0.2.53\n")
    etc.write("/etc/netns/web/no-such-file-there", "x\n")
    up(etc, *NET, *options)
    expected = etc.run(["ip", "netns", "exec", "web", "cat", "/etc/resolv.conf"]).stdout
    assert inside(etc, "web", "cat", "/etc/resolv.conf") == expected == "nameserver 192.0.2.53\n"
    assert etc.nsctl("check").returncode == 0
    down(etc, "web")


def test_when_the_host_replaces_its_file_the_sandboxs_own_is_missed_and_put_back(etc: Lab) -> None:
    up(etc, *NET)
    init = init_of(etc, "web")
    own = inside(etc, "web", "cat", "/etc/hosts")
    for again in range(2):
        replaced(etc, "hosts", f"192.0.2.{again}\telse\n")
        assert inside(etc, "web", "cat", "/etc/hosts") == f"192.0.2.{again}\telse\n"
        done = etc.nsctl("check")
        assert done.returncode == 4, done
        assert "inside, /etc/hosts is another file" in done.stdout
        assert "its own /etc/hosts again" in etc.nsctl("repair", "--dry-run").stdout
        assert etc.nsctl("repair").returncode == 0
        assert inside(etc, "web", "cat", "/etc/hosts") == own
        assert etc.nsctl("check").returncode == 0
    assert init_of(etc, "web") == init
    down(etc, "web")


def test_new_name_servers_of_the_host_reach_a_running_sandbox(etc: Lab) -> None:
    up(etc, *NET)
    etc.write("/etc/resolv.conf", "nameserver 192.0.2.54\n")
    done = etc.nsctl("check")
    assert done.returncode == 4, done
    assert "the host's name servers have changed" in done.stdout
    assert etc.nsctl("repair").returncode == 0
    assert inside(etc, "web", "cat", "/etc/resolv.conf") == "nameserver 192.0.2.54\n"
    assert etc.nsctl("check").returncode == 0
    assert etc.nsctl("log", "--verify").returncode == 0
    down(etc, "web")


@needs("strace")
@pytest.mark.parametrize("when", range(1, 18, 2))
def test_a_renewal_that_is_killed_is_mended_and_goes_with_all_else(etc: Lab, when: int) -> None:
    before = snapshot(etc)
    up(etc, *NET)
    etc.write("/etc/resolv.conf", "nameserver 192.0.2.54\n")
    strace(etc, nsctl_argv("repair"), inject=f"pwrite64:signal=KILL:when={when}")
    if when % 4 == 1:
        assert etc.nsctl("repair").returncode == 0
        assert inside(etc, "web", "cat", "/etc/resolv.conf") == "nameserver 192.0.2.54\n"
        assert etc.nsctl("check").returncode == 0
    down(etc, "web")
    assert not etc.exists("/run/nsctl/sandboxes/web")
    assert [line for line in diff(before, snapshot(etc)) if "resolv.conf" not in line] == []
