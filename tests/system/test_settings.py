"""What can be asked of every sandbox: user, directory, variables, names, settings of its network."""

from __future__ import annotations

import shutil
from functools import partial

import pytest

from tests.lab import Lab, assert_same, nsctl_argv, snapshot
from tests.system.support import (
    eventually,
    init_of,
    inside,
    inspect,
    refused,
    said,
    unchanged,
    up,
)

pytestmark = pytest.mark.warm

NET = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
ALONE = ("none", "--name", "web")
ISOLATED = ["mount,ipc,pid,uts,net", "mount,net", "net"]


@pytest.fixture
def web(lab: Lab) -> Lab:
    up(lab, *ALONE)
    return lab


def status_of(text: str, *names: str) -> dict[str, list[str]]:
    found = {line.partition(":")[0]: line.partition(":")[2].split() for line in text.splitlines()}
    return {name: found[name] for name in names}


# Variables.

ODD = {"A": "b c ", "B": """'"$(reboot)`x`\\n\\""", "C": "", "IFS": "0123456789 ", "PATH": "/usr/bin:/bin", "PWD": "/x"}


@pytest.mark.parametrize("isolate", [*ISOLATED, "mount,pid"])
def test_what_starts_a_command_obeys_none_of_its_variables(lab: Lab, isolate: str) -> None:
    # It runs as root and without bounds, and what they name may be the user's who gets them.
    for name in ("setpriv", "sh", "env", "nsenter", "unshare", "mount", "cat", "sleep"):
        lab.write(f"/run/app/{name}", '#!/bin/sh\necho "$0" >>/run/app/ran\nexit 1\n', 0o755)
    lab.write("/run/app/libcap-ng.so.0", "")  # of setpriv's, which would not start
    variables = ("--env", "PATH=/run/app", "--env", "LD_LIBRARY_PATH=/run/app")
    mode = "none" if "net" in isolate else "host"
    up(lab, mode, "--name", "web", "--isolate", isolate, *variables, "--", "/bin/sleep", "99")
    found = inside(lab, "web", "/usr/bin/env").splitlines()
    assert {"PATH=/run/app", "LD_LIBRARY_PATH=/run/app"} <= set(found)
    assert said(lab, "exec", *variables, "web", "--", "/bin/echo", "there") == "there\n"
    ran = lab.nsctl("run", mode, "--isolate", isolate, *variables, "--", "/bin/echo", "there")
    assert (ran.returncode, ran.stdout) == (0, "there\n"), ran
    assert lab.run(["cat", "/run/app/ran"]).returncode == 1
    said(lab, "down", "web")


@pytest.mark.parametrize("isolate", ISOLATED)
def test_variables_come_to_the_letter(lab: Lab, isolate: str) -> None:
    options = [word for name, value in ODD.items() for word in ("--env", f"{name}={value}")]
    up(lab, *ALONE, "--isolate", isolate, *options, "--", "sh", "-c", "env; exec sleep 99")
    wanted = {f"{name}={value}" for name, value in ODD.items() if name not in {"IFS", "PWD"}}  # shells set these
    log = inspect(lab, "web")["log"]
    assert eventually(lambda: wanted <= set(lab.read(log).splitlines())), lab.read(log)
    found = inside(lab, "web", "env").splitlines()
    assert wanted <= set(found)
    assert not [line for line in found if line.startswith("nsctl_")]
    assert lab.nsctl("exec", "web", "--", "no-such-command").returncode == 127
    assert lab.nsctl("exec", "web", "--", "sh", "-c", "exit 10").returncode == 10
    assert inside(lab, "web", "ls", "/proc/self/fd").split() == ["0", "1", "2", "3"]  # 3 is ls's own


# The user.


@pytest.mark.parametrize("isolate", ISOLATED)
def test_a_workload_is_the_users_and_keeps_no_capability(lab: Lab, isolate: str) -> None:
    up(lab, *ALONE, "--isolate", isolate, "--user", "nobody", "--", "sh", "-c", "cat /proc/self/status; env; sleep 99")
    log = inspect(lab, "web")["log"]
    assert eventually(lambda: "LOGNAME=" in lab.read(log))
    text = lab.read(log)
    none = ["0" * 16]
    assert status_of(text, "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs") == {
        "Uid": ["65534"] * 4,
        "Gid": ["65534"] * 4,
        "Groups": ["65534"],
        "CapInh": none,
        "CapPrm": none,
        "CapEff": none,
        "CapAmb": none,
        "NoNewPrivs": ["1"],
    }
    assert {"USER=nobody", "LOGNAME=nobody", "HOME=/nonexistent"} <= set(text.splitlines())


@pytest.mark.parametrize("isolate", ISOLATED)
def test_a_users_workload_reaches_none_of_nsctls_files(lab: Lab, isolate: str) -> None:
    script = (
        "for f in sandboxes/web/init.pid sandboxes/web/init.ready state.db; do"
        ' (echo 1 >"/run/nsctl/$f") 2>/dev/null && echo "wrote $f"; done;'
        " ls -l /proc/self/fd | grep -c ready; exec sleep 99"
    )
    up(lab, *ALONE, "--isolate", isolate, "--user", "nobody", "--", "sh", "-c", script)
    row = inspect(lab, "web")
    assert eventually(lambda: lab.read(row["log"]) == "0\n"), lab.read(row["log"])
    place = "/run/nsctl/sandboxes/web"
    owners = lab.run(["stat", "-c", "%u %a", f"{place}/init.pid", f"{place}/init.ready", place], check=True).stdout
    assert owners.splitlines() == ["0 644", "0 644", "0 700"]
    said(lab, "down", "web")


def test_what_a_user_writes_to_its_output_anew_is_in_the_log(lab: Lab) -> None:
    # Of /dev/stdout, which many images' servers log to: moby 31243.
    up(lab, *ALONE, "--user", "nobody", "--", "sh", "-c", "echo anew >>/dev/stdout; exec sleep 99")
    assert eventually(lambda: lab.read(inspect(lab, "web")["log"]) == "anew\n")


def test_an_idle_init_is_roots_whoever_the_user_is(lab: Lab) -> None:
    up(lab, *ALONE, "--user", "nobody")
    status = lab.read(f"/proc/{init_of(lab, 'web')}/status")
    assert status_of(status, "Uid") == {"Uid": ["0"] * 4}
    assert inside(lab, "web", "id", "-u") == "65534\n"


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("nobody", "65534:65534:65534"),
        ("65534", "65534:65534:65534"),
        ("nobody:daemon", "65534:1:1"),
        ("12345:6789", "12345:6789:6789"),
        ("0:1", "0:1:1"),
    ],
)
def test_a_command_is_whose_it_is_said_to_be(web: Lab, user: str, shown: str) -> None:
    for words in (("exec", "-u", user, "web"), ("run", "none", "--name", "other", "--user", user)):
        assert said(web, *words, "--", "sh", "-c", "echo $(id -u):$(id -g):$(id -G)") == f"{shown}\n"


def test_a_user_comes_with_all_its_groups_and_with_a_group_has_no_other(lab: Lab) -> None:
    lab.run(["sh", "-ec", "cp /etc/group /run/group; mount --bind /run/group /etc/group"], check=True)
    lab.write("/etc/group", lab.read("/etc/group") + "beside:x:4242:daemon\n")
    up(lab, *ALONE)
    assert inside_as(lab, "daemon", "id", "-G").split() == ["1", "4242"]
    assert inside_as(lab, "daemon:daemon", "id", "-G").split() == ["1"]


def inside_as(lab: Lab, user: str, *argv: str) -> str:
    return said(lab, "exec", "--user", user, "web", "--", *argv)


def test_a_capability_that_is_asked_for_by_name_is_the_users_too(lab: Lab) -> None:
    up(lab, *ALONE, "--user", "nobody", "--cap-add", "net_admin")
    assert inside(lab, "web", "sh", "-c", "ip link set lo up && id -u") == "65534\n"
    seen = status_of(inside(lab, "web", "cat", "/proc/self/status"), "CapEff", "CapAmb")
    assert seen == {"CapEff": [f"{1 << 12:016x}"], "CapAmb": [f"{1 << 12:016x}"]}


def test_a_privileged_user_is_a_user(lab: Lab) -> None:
    up(lab, *ALONE, "--user", "nobody", "--privileged")
    assert status_of(inside(lab, "web", "cat", "/proc/self/status"), "Uid", "CapEff") == {
        "Uid": ["65534"] * 4,
        "CapEff": ["0" * 16],
    }


@pytest.mark.parametrize(
    ("user", "says", "hint"),
    [
        ("nosuch", "--user: there is no user 'nosuch'", "getent passwd"),
        ("nobody:nosuch", "--user: there is no group 'nosuch'", "getent group"),
        ("54321", "--user: no user has the number 54321", "--user 54321:54321"),
        ("", "--user: there is no user ''", ""),
        ("4294967295:0", "--user: there is no user '4294967295'", ""),
        ("no\x1bbody", r"--user: '?.*no\\x1bbody", ""),
    ],
)
def test_who_is_not_there_is_refused(lab: Lab, user: str, says: str, hint: str) -> None:
    refused(lab, "up", "none", "--user", user, "--", "true", says=says, hint=hint)


def test_a_user_that_is_not_there_runs_nothing_in_a_sandbox(web: Lab) -> None:
    done = web.nsctl("exec", "-u", "nosuch", "web", "--", "true")
    assert (done.returncode, done.stderr.splitlines()[0]) == (125, "nsctl: --user: there is no user 'nosuch'")


# The directory.


@pytest.mark.parametrize("isolate", ISOLATED)
def test_a_command_begins_where_its_caller_is(lab: Lab, isolate: str) -> None:
    up(lab, *ALONE, "--isolate", isolate)
    lab.run(["mkdir", "-p", "/run/a b"], check=True)
    lab.write("/run/a b/server", "#!/bin/sh\npwd\n", 0o755)
    for words in (("exec", "web"), ("run", "none", "--name", "other", "--isolate", isolate)):
        done = lab.run(nsctl_argv(*words, "--", "./server"), cwd="/run/a b")
        assert (done.returncode, done.stdout, done.stderr) == (0, "/run/a b\n", "")


def test_where_the_callers_directory_is_not_there_it_is_said_and_the_root_is_taken(web: Lab) -> None:
    web.run(["mkdir", "-m", "0700", "-p", "/run/gone", "/run/private"], check=True)
    done = web.run(
        ["sh", "-c", 'cd /run/gone; rmdir /run/gone; exec "$@"', "sh", *nsctl_argv("exec", "web", "--", "pwd")]
    )
    assert (done.stdout, done.stderr) == ("/\n", "")
    done = web.run(nsctl_argv("exec", "-u", "nobody", "web", "--", "pwd"), cwd="/run/private")
    assert done.stdout == "/\n"
    assert done.stderr == "note: inside, '/run/private' is not there, or can't be entered: it begins in /\n"


def test_a_hidden_directory_stays_hidden_from_who_begins_in_it(web: Lab) -> None:
    done = web.run(nsctl_argv("exec", "web", "--", "ls"), cwd="/run/nsctl/sandboxes")
    assert done.stdout.split() == [] or "web" not in done.stdout.split()
    up(web, "none", "--name", "flat", "--isolate", "net")
    done = web.run(nsctl_argv("exec", "flat", "--", "ls"), cwd="/run/nsctl/sandboxes")
    assert "web" not in done.stdout.split()


def _is(lab: Lab, path: str, content: str) -> bool:
    return lab.read(path) == content


@pytest.mark.parametrize("isolate", ISOLATED)
def test_a_workload_begins_in_the_root_or_where_it_is_told_to(lab: Lab, isolate: str) -> None:
    lab.run(["mkdir", "-p", "/run/a b"], check=True)
    for name, options, where in (("one", (), "/"), ("two", ("--workdir", "/run/a b"), "/run/a b")):
        words = ("none", "--name", name, "--isolate", isolate, *options, "--", "sh", "-c", "pwd; exec sleep 99")
        done = lab.run(nsctl_argv("up", *words), cwd="/usr")
        assert done.returncode == 0, done
        log = inspect(lab, name)["log"]
        assert eventually(partial(_is, lab, log, f"{where}\n"))
    assert inside(lab, "two", "pwd") == "/run/a b\n"
    assert said(lab, "exec", "-w", "/usr", "two", "--", "pwd") == "/usr\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--workdir", "srv"), "--workdir: 'srv' is not an absolute path"),
        (("--workdir", "/no/such"), "--workdir: there is no directory '/no/such'"),
        (("-w", "/etc/passwd"), "--workdir: there is no directory '/etc/passwd'"),
        (("-w", "/root", "-u", "nobody"), "--workdir: user 'nobody' can't enter '/root'"),
    ],
    ids=["relative", "missing", "a file", "private"],
)
def test_a_directory_that_can_not_be_had_is_refused(lab: Lab, words: tuple[str, ...], says: str) -> None:
    lab.run(["sh", "-ec", "mkdir -m 0700 /run/root; mount --bind /run/root /root"], check=True)
    before = snapshot(lab)
    refused(lab, "up", "none", *words, "--", "true", says=says, before=before)
    done = lab.nsctl("run", "none", *words, "--", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert says in done.stderr
    assert_same(before, snapshot(lab))


@pytest.mark.parametrize(("words", "status"), [(("/no/such",), 127), (("/root", "-u", "nobody"), 126)])
def test_a_command_does_not_begin_elsewhere_than_it_was_told_to(web: Lab, words: tuple[str, ...], status: int) -> None:
    web.run(["sh", "-ec", "mkdir -m 0700 /run/root; mount --bind /run/root /root"], check=True)
    up(web, "none", "--name", "late")  # which sees the mount
    done = web.nsctl("exec", "-w", *words, "late", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"nsctl: there is no directory '{words[0]}' for it inside, or it can't be entered\n"


# What can't be executed.


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("nosuch", 127, "nsctl: 'nosuch' was not found"),
        ("/no/such", 127, "nsctl: '/no/such' was not found"),
        ("/", 126, "nsctl: '/' can't be executed"),
        ("/etc/passwd", 126, "nsctl: '/etc/passwd' can't be executed"),
        ("no\x1b[31mred", 127, r"nsctl: 'no\x1b[31mred' was not found"),
        ("if", 127, "nsctl: 'if' was not found"),
        ("/run/bad", 127, "nsctl: '/run/bad' was not found"),
    ],
)
def test_what_can_not_be_executed_is_said_in_nsctls_own_words(
    web: Lab, shell: str, command: str, status: int, says: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    web.run(["sh", "-ec", f"cp $(command -v {shell}) /run/sh; mount --bind /run/sh $(readlink -f /bin/sh)"], check=True)
    web.write("/run/bad", "#!/no/such/interpreter\n", 0o755)
    done = web.nsctl("run", "none", "--name", "other", "--", command)
    lines = done.stderr.splitlines()
    assert (done.returncode, lines[-1]) == (status, says)
    assert len(lines) == 1 or command == "/run/bad", lines  # which only the shell finds out


def test_variables_of_a_command_are_handed_on_as_they_are(web: Lab) -> None:
    given = ("PATH=/bin:/usr/bin", "file=1", "dir=2", "shown=3", "s=4")
    words = [word for pair in given for word in ("-e", pair)]
    found = said(web, "exec", *words, "web", "--", "env").splitlines()
    assert set(given) <= set(found)
    assert not [line for line in found if line.startswith(("nsctl_", "OLDPWD"))]


def test_a_variable_of_one_command_is_not_the_next_ones(lab: Lab) -> None:
    up(lab, *ALONE, "-e", "A=up", "-e", "B=up")
    assert said(lab, "exec", "-e", "A=exec", "web", "--", "sh", "-c", "echo $A $B") == "exec up\n"
    assert inside(lab, "web", "sh", "-c", "echo $A $B") == "up up\n"


# The network's settings.


@pytest.mark.parametrize("isolate", ISOLATED)
def test_users_bind_low_ports_and_ping(lab: Lab, isolate: str) -> None:
    up(lab, *NET, "--isolate", isolate)
    script = (
        "import socket; socket.create_server(('', 80));"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); s.settimeout(5);"
        "s.sendto(b'\\x08\\0\\0\\0\\0\\0\\0\\1', ('10.0.3.1', 0)); print(s.recv(99)[0])"
    )
    assert said(lab, "exec", "-u", "nobody", "web", "--", "/usr/bin/python3", "-c", script) == "0\n"
    assert lab.nsctl("check").returncode == 0


def test_the_hosts_own_low_ports_stay_roots(lab: Lab) -> None:
    key = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
    before = lab.read(key)
    up(lab, *NET)
    assert lab.read(key) == before
    assert inside(lab, "web", "cat", key) == "0\n"
    up(lab, "container", "--target", "web", "--name", "probe")
    up(lab, "host")
    assert lab.read(key) == before


def test_settings_of_the_network_are_the_sandboxs_and_go_with_it(lab: Lab) -> None:
    def seen(key: str) -> str:
        return inside(lab, "web", "cat", f"/proc/sys/{key}").strip()

    with unchanged(lab):
        up(
            lab,
            *NET,
            *("--sysctl", "net.ipv4.tcp_keepalive_time=77", "--sysctl", "net/ipv4/conf/eth0/rp_filter=2"),
            *(
                "--sysctl",
                "net.ipv4.ip_unprivileged_port_start=100",
                "--sysctl",
                "net.ipv4.ip_local_port_range=200 300",
            ),
        )
        assert seen("net/ipv4/tcp_keepalive_time") == "77"
        assert seen("net/ipv4/conf/eth0/rp_filter") == "2"
        assert seen("net/ipv4/ip_unprivileged_port_start") == "100"
        assert seen("net/ipv4/ip_local_port_range").split() == ["200", "300"]
        assert lab.read("/proc/sys/net/ipv4/tcp_keepalive_time") != "77\n"
        inside(lab, "web", "sh", "-c", "echo 78 >/proc/sys/net/ipv4/tcp_keepalive_time")
        done = lab.nsctl("check")
        assert (done.returncode, "tcp_keepalive_time: value 78, expected 77" in done.stdout) == (4, True)
        said(lab, "down", "web")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("none", "--sysctl", "kernel.hostname=x"), "'kernel.hostname=x' is not a setting of a network"),
        (("none", "--sysctl", "net.ipv4.ip_forward"), "'net.ipv4.ip_forward' has no value"),
        (("none", "--sysctl", "net.ipv4.ip_forward="), "'net.ipv4.ip_forward' has no value"),
        (("none", "--sysctl", "net.ipv4.nosuch=1"), "net.ipv4.nosuch=1: a network namespace has no such setting"),
        (("none", "--sysctl", "net.core.netdev_max_backlog=1"), "has no such setting of its own"),
        (("none", "--sysctl", "net.ipv4.ip_forward=yes"), "ip_forward=yes: the kernel does not take that value"),
        (("none", "--sysctl", "net.ipv4.conf.eth0.rp_filter=x"), "the kernel does not take that value"),
        (("none", "--sysctl", "net/ipv4/../../kernel/hostname=x"), "is not the key of a setting"),
        (
            ("none", "--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "net/ipv4/ip_forward=0"),
            "net/ipv4/ip_forward is given twice",
        ),
        (
            ("host", "--sysctl", "net.ipv4.ip_forward=1"),
            "--sysctl would change a network that is not its own: .* the host's",
        ),
        ((*NET, "--sysctl", "net.ipv4.conf.eth0.arp_notify=0"), "arp_notify is 1 in a sandbox of mode 'bridge', not 0"),
    ],
    ids=["kernel", "bare", "empty", "unknown", "global", "value", "link", "dots", "twice", "host", "mode"],
)
def test_what_is_no_setting_of_its_network_is_refused(lab: Lab, words: tuple[str, ...], says: str) -> None:
    refused(lab, "up", *words, says=says)


def test_who_shares_a_network_can_not_set_it(web: Lab) -> None:
    words = ("up", "container", "--target", "web", "--name", "b", "--sysctl", "net.ipv4.ip_forward=1")
    refused(web, *words, says="a network that is not its own: with mode 'container' it is that of 'web'")


# Names.


def test_name_servers_and_names_can_be_chosen(lab: Lab) -> None:
    words = ("--dns", "192.0.2.53", "--dns", "2001:db8::53", "--dns-search", "example.com")
    up(lab, *NET, *words, "--add-host", "db:192.0.2.7", "--add-host", "up=host-gateway")
    text = inside(lab, "web", "cat", "/etc/resolv.conf").splitlines()
    assert [line for line in text if line.startswith(("nameserver", "search", "domain"))] == [
        "search example.com",
        "nameserver 192.0.2.53",
        "nameserver 2001:db8::53",
    ]
    assert inside(lab, "web", "getent", "ahostsv4", "db").split()[0] == "192.0.2.7"
    assert inside(lab, "web", "getent", "ahostsv4", "up").split()[0] == "10.0.3.1"
    assert lab.nsctl("check").returncode == 0
    assert said(lab, "repair").startswith("nothing")
    assert inside(lab, "web", "cat", "/etc/resolv.conf").splitlines() == text


def test_the_hosts_new_name_servers_do_not_replace_chosen_ones(lab: Lab) -> None:
    lab.run(["sh", "-ec", "mkdir /run/etc; cp -a /etc/. /run/etc; mount --bind /run/etc /etc"], check=True)
    lab.run(["sh", "-c", "umount /etc/resolv.conf 2>/dev/null"])
    up(lab, *NET, "--dns", "192.0.2.53")
    lab.write("/etc/resolv.conf", "nameserver 198.51.100.9\nsearch new.example\n")
    lab.nsctl("repair")
    text = inside(lab, "web", "cat", "/etc/resolv.conf").splitlines()
    assert sorted(text) == ["nameserver 192.0.2.53", "search new.example"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("none", "--dns", "127.0.0.1"), "--dns 127.0.0.1 is the sandbox's own loopback"),
        (("none", "--dns", "::1"), "--dns ::1 is the sandbox's own loopback"),
        (("none", "--dns", "dns.example"), "--dns: 'dns.example' is not the address of a host"),
        (("none", "--dns", "224.0.0.1"), "is not the address of a host"),
        (("none", "--dns", "fe80::1%eth0"), "is not the address of a host"),
        (("none", *(w for n in range(4) for w in ("--dns", f"192.0.2.{n + 1}"))), "ask the first 3 name servers"),
        (("none", "--isolate", "net", "--dns", "192.0.2.1"), "--dns needs a mount namespace of its own"),
        (("none", "--isolate", "net", "--add-host", "a:192.0.2.1"), "--add-host needs a mount namespace"),
        (("none", "--dns-search", "a b"), "--dns-search: 'a b' is not a domain"),
        (("none", "--add-host", "db"), "--add-host: 'db' is not a name and an address"),
        (("none", "--add-host", "db:x"), "--add-host: 'x' is not the address of a host"),
        (("none", "--name", "web", "--add-host", "web:192.0.2.1"), "'web' has its address already"),
        (("none", "--add-host", "localhost:192.0.2.1"), "'localhost' is always the loopback's name"),
        (("none", "--name", "web", "--add-host", "up:host-gateway"), "'web' has no gateway"),
    ],
)
def test_names_that_could_not_work_are_refused(lab: Lab, words: tuple[str, ...], says: str) -> None:
    refused(lab, "up", *words, says=says)


def test_what_is_asked_for_is_compared_and_shown(lab: Lab) -> None:
    words = ("--user", "nobody", "--workdir", "/usr", "--sysctl", "net.ipv4.ip_forward=1", "--add-host", "a:192.0.2.1")
    up(lab, *ALONE, *words)
    assert said(lab, "up", *ALONE, *words).endswith("(already)\n")
    settings = inspect(lab, "web")["settings"]
    assert (settings["user"]["uid"], settings["workdir"]) == (65534, "/usr")
    assert settings["sysctl"] == {"net/ipv4/ip_forward": "1"}
    done = lab.nsctl("up", *ALONE, *words[2:-2], "--user", "daemon", "--dns", "192.0.2.1")
    assert done.returncode == 2
    for part in ("user is nobody, not daemon", "add-host is a:192.0.2.1, not unset", "dns is unset, not 192.0.2.1"):
        assert part in done.stderr


LAB = """\
[network.all]
mode = "none"
user = "nobody"
workdir = "/usr"
add_host = ["db:192.0.2.7"]

[sandbox.web]
network = "all"
dns = ["192.0.2.53"]
dns-search = ["example.com"]
sysctl = { "net.ipv4.ip_forward" = "1" }
command = ["sh", "-c", "id -u; pwd; cat /proc/sys/net/ipv4/ip_forward; exec sleep 99"]
"""


def test_lab_files_have_them_too(lab: Lab) -> None:
    lab.write("/run/lab/a.toml", LAB)
    said(lab, "apply", "/run/lab/a.toml")
    assert eventually(lambda: lab.read(inspect(lab, "web")["log"]) == "65534\n/usr\n1\n")
    assert "nameserver 192.0.2.53" in inside(lab, "web", "cat", "/etc/resolv.conf")
    assert said(lab, "apply", "/run/lab/a.toml") == "nothing to do: 1 as the file says\n"
    for old, new, says in (
        ('"nobody"', '"nosuch"', r"a.toml, line 3: 'user': there is no user 'nosuch'"),
        ('"/usr"', '"usr"', r"a.toml, line 4: 'workdir': 'usr' is not an absolute path"),
        ('"192.0.2.53"', '"x"', r"a.toml, line 9: 'dns': 'x' is not the address of a host"),
        ('"1" }', '"x" }', r"a.toml, line 11: 'sysctl': net.ipv4.ip_forward=x: the kernel does not take that value"),
        ('["db:192.0.2.7"]', "7", r"a.toml, line 5: 'add_host' is a list of words"),
    ):
        lab.write("/run/lab/a.toml", LAB.replace(old, new))
        refused(lab, "apply", "/run/lab/a.toml", says=says)
