"""What is refused: exit status 2, one clear line and a hint, and the host as before."""

from __future__ import annotations

import pytest

from tests.lab import Lab, needs
from tests.system.support import refused, up

pytestmark = pytest.mark.warm

BRIDGE = ("up", "bridge", "--name", "web")


def cover(lab: Lab, path: str, mode: int = 0o644) -> None:
    """Put another file in a file's place."""
    lab.write("/run/other", "", mode)
    lab.run(["mount", "--bind", "/run/other", path], check=True)


@pytest.mark.parametrize(
    "name",
    ["", "Web", "1234", "-x", "web.1", "../web", "a/b", "wéb", "we b", "x" * 64, "_web"],
    ids=repr,
)
def test_a_name_that_is_none(lab: Lab, name: str) -> None:
    refused(lab, "up", "none", f"--name={name}", says="name '.*' is not allowed", hint="lower-case letters")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--subnet", "10.0.3.7/24"], r"10\.0\.3\.7/24.*"),
        (["--subnet", "010.0.3.0/24"], "010.0.3.0/24"),
        (["--subnet", "10.0.3.0/33"], "10.0.3.0/33"),
        (["--subnet", "300.0.0.0/8"], "300.0.0.0/8"),
        (["--subnet", "10.0.3.4/32"], "10.0.3.4/32 is too small"),
        (["--subnet", "8.0.0.0/7"], "8.0.0.0/7 is too large"),
        (["--subnet", "0.0.0.0/0"], "0.0.0.0/0"),
        (["--subnet", "127.0.0.0/24"], "127.0.0.0/24 can't be used.*loopback"),
        (["--subnet", "224.0.0.0/24"], "224.0.0.0/24 can't be used.*multicast"),
        (["--subnet", "240.0.0.0/24"], "240.0.0.0/24 can't be used.*reserved"),
        (["--subnet", "fd00::/64"], "fd00::/64"),
        (["--subnet", "web"], "'web'"),
        (["--subnet", ""], "--subnet|subnet"),
        (["--subnet", "10.0.3.0/24", "--ip", "10.0.4.2"], "10.0.4.2 is not in 10.0.3.0/24"),
        (["--subnet", "10.0.3.0/24", "--ip", "10.0.3.0"], "10.0.3.0 is the network address"),
        (["--subnet", "10.0.3.0/24", "--ip", "10.0.3.1"], "10.0.3.1 is the gateway"),
        (["--subnet", "10.0.3.0/24", "--gateway", "10.0.4.1"], "the gateway 10.0.4.1 is not a host address"),
        (["--subnet", "10.0.3.0/24", "--gateway", "10.0.3.255"], "the gateway 10.0.3.255 is not a host address"),
        (["--ip", "10.0.3.2"], "no network of nsctl's has 10.0.3.2"),
        (["--gateway", "10.0.3.1"], "no network of nsctl's has 10.0.3.1"),
        (["--bridge", "eth0"], "eth0 is there already, and not nsctl's"),
        (["--bridge", "all"], "'all' is reserved"),
        (["--bridge", "abcdefghijklmnop"], "'abcdefghijklmnop' is not allowed"),
        (["--bridge", "a/b"], "'a/b' is not allowed"),
        (["--ifname", "lo"], "'lo' is reserved"),
        (["--ifname", "a b"], "'a b' is not allowed"),
        (["--mac", "01:00:00:00:00:01"], "not a unicast address"),
        (["--mac", "00:00:00:00:00:00"], "not a unicast address"),
        (["--mac", "2:0:0:0:0:1"], "not a hardware address"),
        (["--mtu", "67"], "67"),
        (["--mtu", "65536"], "65536"),
        (["--mtu", "1e3"], "'1e3'"),
        (["--mtu", "-1"], "-1"),
        (["--env", "A B=1"], "'A B' is not a variable's name"),
        (["--env", "NOT_SET_HERE"], "'NOT_SET_HERE' is not set here"),
        (["--cap-add", "sys_amdin"], "'sys_amdin' is not a capability"),
        (["--step-timeout", "soon"], "'soon' is not a duration"),
        (["--confirm", "0"], "'0' is not a duration"),
        (["--subnett", "10.0.3.0/24"], "no option '--subnett'"),
        (["extra"], "extra"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_that_is_wrong(lab: Lab, options: list[str], says: str) -> None:
    refused(lab, *BRIDGE, *options, says=says, hint="hint: .")


@pytest.mark.parametrize(
    ("args", "says", "hint"),
    [
        (["up"], "which mode", "nsctl up MODE"),
        (["up", "brigde"], "there is no mode 'brigde'", "did you mean 'bridge'"),
        (["up", "docker"], "there is no mode 'docker'", "the modes are: bridge, container, host, none"),
        (["upp"], "there is no command 'upp'", "did you mean 'up'"),
        (["--verbose"], "there is no option '--verbose'", "hint: ."),
        (["ls", "--jsn"], "there is no option '--jsn'", "--json"),
        (["log", "--verify", "web"], "--verify stands alone", "nsctl log --verify"),
        (["modes", "brigde"], "there is no mode 'brigde'", "did you mean 'bridge'"),
        (["up", "bridge", "--isolate", "net,pid,nte"], "'nte' is not a kind of namespace", "did you mean 'net'"),
        (["recover", "--yes"], "--yes is an answer to --scan", "nsctl recover --scan --yes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_that_means_nothing(lab: Lab, args: list[str], says: str, hint: str) -> None:
    refused(lab, *args, says=says, hint=hint)


def test_words_from_outside_do_not_reach_the_terminal_raw(lab: Lab) -> None:
    refused(lab, "up", "none", "--name=\x1b[31mred", says=r"'\\x1b\[31mred' is not printable text")
    refused(lab, "up", "none", "--name=web\n", says=r"'web\\n' is not printable text")
    refused(lab, "inspect", "\x1b[31mred", says=r"'\\x1b\[31mred' is not allowed")
    refused(lab, "up", "\x1b]0;title\x07", says=r"there is no mode '\\x1b")


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (["ip", "netns", "add", "web"], "there is a network namespace 'web' already, and not nsctl's"),
        (["ip", "link", "add", "lan0", "type", "bridge"], "lan0 is there already, and not nsctl's"),
        (["ip", "link", "add", "ns-web", "type", "bridge"], "ns-web"),
        (["mkdir", "-p", "/run/nsctl/sandboxes/web"], "/run/nsctl"),
        (["iptables", "-N", "NSCTL-FORWARD"], "NSCTL-FORWARD"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_something_of_that_name_is_there_and_is_not_nsctls(lab: Lab, there: list[str], says: str) -> None:
    lab.run(there, check=True)
    if there[0] == "mkdir":
        lab.run(["chmod", "0700", "/run/nsctl"], check=True)
    refused(lab, *BRIDGE, "--bridge", "lan0", "--subnet", "10.0.3.0/24", says=says)


@pytest.mark.parametrize(
    ("tool", "package"),
    [
        ("/usr/sbin/xtables-nft-multi", "iptables"),
        ("/usr/bin/ip", "iproute2"),
        ("/usr/bin/unshare", "util-linux"),
        ("/usr/bin/setpriv", "util-linux"),
        ("/usr/bin/nsenter", "util-linux"),
    ],
)
def test_a_missing_tool_is_named_with_the_package_it_is_in(lab: Lab, tool: str, package: str) -> None:
    if not lab.exists(tool):
        pytest.skip(f"{tool} is elsewhere on this machine")
    cover(lab, tool)
    refused(lab, *BRIDGE, says="the tool '[a-z]+' is missing", hint=f"apt install {package}")


@pytest.mark.both_ways
def test_a_tool_that_somebody_else_could_have_put_there_is_not_run(lab: Lab) -> None:
    cover(lab, lab.run(["readlink", "-f", "/usr/bin/unshare"]).stdout.strip(), 0o777)
    refused(lab, *BRIDGE, says="/unshare could have been put there by somebody other than root", hint="chmod go-w")


def test_a_tool_in_the_callers_path_is_not_run(lab: Lab) -> None:
    lab.write("/run/bin/ip", "#!/bin/sh\necho evil >/run/evil\n", 0o755)
    lab.nsctl("up", "none", env={"PATH": "/run/bin:/usr/bin:/bin"}, check=True)
    assert not lab.exists("/run/evil")


@needs("iptables-legacy")
def test_rules_of_another_back_end_are_not_mixed_with(lab: Lab) -> None:
    lab.run(["iptables-legacy", "-A", "FORWARD", "-j", "ACCEPT"], check=True)
    refused(lab, *BRIDGE, says="the host has legacy iptables rules", hint="update-alternatives")
    up(lab, "none")


@pytest.mark.both_ways
def test_a_sandbox_that_is_not_there(lab: Lab) -> None:
    for command in ("down", "inspect", "check", "repair", "confirm"):
        refused(lab, command, "web", says="there is no sandbox 'web'", hint="nsctl ls")


def test_two_names_that_would_make_one_interface(lab: Lab) -> None:
    up(lab, *BRIDGE[1:], "--ifname", "eth1")
    refused(lab, "up", "bridge", "--name", "web-eth1", says="ns-web-eth1")


@pytest.mark.both_ways
def test_the_state_of_another_is_not_touched(lab: Lab) -> None:
    lab.run(["sh", "-c", "mkdir -p /run/nsctl && chown 65534 /run/nsctl"], check=True)
    refused(lab, "up", "none", says="/run/nsctl", hint="hint: .")


@pytest.mark.both_ways
def test_while_another_nsctl_is_at_work_the_next_one_waits(lab: Lab) -> None:
    children = [lab.nsctl_popen("up", "bridge", "--name", f"w{n}", "--subnet", "10.0.3.0/24") for n in range(4)]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0]
    addresses = [line.split()[2] for line in lab.nsctl("ls").stdout.splitlines()[1:]]
    assert len(set(addresses)) == 4
