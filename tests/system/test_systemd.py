"""
`systemd install` and `uninstall`: what they write is systemd's to read, works as it says, and goes without a trace.
"""

from __future__ import annotations

import re

import pytest

from nsctl.engine.testing.snapshot import assert_same
from tests.lab import Lab, diff, needs, nsctl_argv, snapshot
from tests.lab.strace import strace
from tests.lab.systemd import FAILS, LOG, stand_in
from tests.system.support import down, eventually, refused, said, up
from tests.system.test_watch import CHANGES, NOTICED

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables", "tool:systemctl")]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
WATCH = "/etc/systemd/system/nsctl-watch.service"
LAB_UNIT = "/etc/systemd/system/nsctl-lab@.service"


@pytest.fixture
def host(lab: Lab) -> Lab:
    """A lab host that looks as if systemd had booted it."""
    stand_in(lab)
    return lab


def units(lab: Lab) -> list[str]:
    listed = lab.run(["find", "/etc/systemd/system", "-not", "-type", "d"], check=True).stdout
    return sorted(line.removeprefix("/etc/systemd/system/") for line in listed.splitlines())


def sh(lab: Lab, script: str) -> None:
    lab.run(["sh", "-ec", script], check=True)


def installed(lab: Lab) -> None:
    """Install, and wait until the watcher has taken its first look."""
    done = lab.nsctl("systemd", "install")
    assert done.returncode == 0, done
    assert eventually(lambda: lab.run(["pgrep", "-f", "watching.taken"]).returncode == 1, NOTICED)


def setting(text: str, key: str) -> str:
    return " ".join(re.findall(rf"^{key}=(.*)$", text, re.MULTILINE))


def test_what_is_installed_watches_and_goes_without_a_trace(host: Lab) -> None:
    up(host, *WEB)
    said(host, "check")
    before = snapshot(host)
    done = host.nsctl("systemd", "install")
    assert done.returncode == 0, done
    assert done.stdout == "nsctl-watch.service watches, now and after each boot\n"
    assert units(host) == [
        "multi-user.target.wants/nsctl-watch.service",
        "nsctl-lab@.service",
        "nsctl-watch.service",
    ]
    # With the capabilities that the unit leaves, and no more.
    for change in ("rules", "the bridge", "the namespace's name", "a cable's end"):
        sh(host, CHANGES[change])
        assert eventually(lambda: host.nsctl("check").returncode == 0, NOTICED), change
    assert host.nsctl("systemd", "install").stdout == "all of it is installed already\n"
    assert said(host, "systemd", "uninstall") == "the units are gone\n"
    assert units(host) == []
    assert host.run(["pgrep", "-f", "cli.watching"]).returncode == 1
    assert said(host, "systemd", "uninstall") == "nothing is installed\n"
    down(host, "web")
    up(host, *WEB)
    assert {k: v for k, v in snapshot(host).sections.items() if k == "sysctls"} == {
        k: v for k, v in before.sections.items() if k == "sysctls"
    }


def test_the_resident_process_is_started_by_the_first_who_asks_and_goes_with_the_units(host: Lab) -> None:
    plain, managed = host.nsctl("systemd", "install", check=True), "nsctl-resident.socket"
    assert managed not in plain.stdout + " ".join(units(host))
    host.nsctl("systemd", "install", "--resident", check=True)
    assert f"sockets.target.wants/{managed}" in units(host)
    said(host, "ls", "--quiet")  # without it, for it is only being started
    assert eventually(lambda: "started by systemd" in host.nsctl("resident", "status").stdout)
    assert "resident" not in host.nsctl("-v", "ls").stderr
    refused(host, "resident", "stop", says="systemd starts it again", hint="systemctl stop nsctl-resident.socket")
    assert said(host, "systemd", "uninstall") == "the units are gone\n"
    assert units(host) == []
    assert host.nsctl("resident", "status").returncode == 4


def test_the_dry_run_changes_nothing_and_is_what_runs(host: Lab) -> None:
    before = snapshot(host)
    text = said(host, "systemd", "install", "--dry-run")
    assert_same(before, snapshot(host))
    commands = ["systemctl daemon-reload", "systemctl enable --quiet nsctl-watch.service", "systemctl restart"]
    assert [command for command in commands if command not in text] == []
    script = said(host, "systemd", "install", "--dry-run", "--format", "sh")
    assert_same(before, snapshot(host))
    host.write("/run/install.sh", script)
    sh(host, "sh /run/install.sh")
    by_script = {path: host.read(path) for path in (WATCH, LAB_UNIT)}
    undoing = said(host, "systemd", "uninstall", "--dry-run")
    assert "rm -f /etc/systemd/system/nsctl-watch.service" in undoing
    said(host, "systemd", "uninstall")
    assert host.nsctl("systemd", "install").returncode == 0
    assert {path: host.read(path) for path in (WATCH, LAB_UNIT)} == by_script
    said(host, "systemd", "uninstall")


@pytest.mark.parametrize("verb", ["daemon-reload", "enable", "restart"])
def test_an_installation_that_fails_leaves_nothing(host: Lab, verb: str) -> None:
    said(host, "systemd", "uninstall")
    before = snapshot(host)
    host.write(FAILS, verb)
    done = host.nsctl("systemd", "install")
    sh(host, f"rm {FAILS}")
    assert done.returncode == 1, done
    assert done.stderr.splitlines()[0].endswith("; everything was undone")
    assert units(host) == []
    assert host.nsctl("recover").stdout == "nothing to recover\n"
    assert [line for line in diff(before, snapshot(host)) if "ended but not waited for" not in line] == []


@needs("strace")
@pytest.mark.parametrize("when", [1, 60, 88, 105, 120, 140, 158, 175])
def test_an_installation_that_is_killed_is_undone_by_the_next_command(host: Lab, when: int) -> None:
    said(host, "systemd", "uninstall")
    killed = strace(host, nsctl_argv("systemd", "install"), inject=f"pwrite64:signal=KILL:when={when}")
    assert host.nsctl("recover").returncode == 0
    if killed.process.returncode != 0:
        assert units(host) == []
        assert host.run(["pgrep", "-f", "cli.watching"]).returncode == 1
    assert host.nsctl("systemd", "install").returncode == 0
    said(host, "systemd", "uninstall")


def test_after_a_reboot_without_a_store_it_is_known_all_the_same(host: Lab) -> None:
    assert host.nsctl("systemd", "install").returncode == 0
    sh(host, "systemctl stop nsctl-watch.service; rm -rf /run/nsctl")
    said(host, "systemd", "uninstall")
    assert units(host) == []


def test_a_unit_that_was_changed_is_left_and_named(host: Lab) -> None:
    installed(host)
    sh(host, f"sed -i s/RestartSec=1/RestartSec=5/ {WATCH}")
    refused(host, "systemd", "install", says="is there, and not as nsctl wrote it", hint="systemctl edit")
    done = host.nsctl("systemd", "uninstall")
    assert done.returncode == 0, done
    assert f"left alone, since it is not as nsctl wrote it: {WATCH}" in done.stderr
    assert "nsctl-watch.service" in units(host)
    assert "nsctl-lab@.service" not in units(host)
    sh(host, "systemctl stop nsctl-watch.service")


def test_units_of_another_nsctl_are_replaced_and_come_back_if_that_fails(host: Lab) -> None:
    assert host.nsctl("systemd", "install").returncode == 0
    old = host.read(WATCH)
    other = {"NSCTL_STATE_DIR": "/run/other"}
    host.write(FAILS, "restart")
    done = host.nsctl("systemd", "install", env=other)
    assert done.returncode in {1, 3}, done
    sh(host, f"rm {FAILS}")
    host.nsctl("recover")
    assert host.read(WATCH) == old
    assert host.nsctl("systemd", "install", env=other).returncode == 0
    assert "\nEnvironment=NSCTL_STATE_DIR=/run/other\n" in host.read(WATCH)
    assert host.exists("/run/other/watch.lock")
    said(host, "systemd", "uninstall")


def test_while_a_lab_is_started_at_boot_the_units_stay(host: Lab) -> None:
    installed(host)
    sh(host, "systemctl enable nsctl-lab@web.service")
    refused(host, "systemd", "uninstall", says="nsctl-lab@web.service is still in use", hint="systemctl disable --now")
    sh(host, "systemctl disable nsctl-lab@web.service")
    said(host, "systemd", "uninstall")


def test_without_systemd_it_is_refused(lab: Lab) -> None:
    for words in (("install",), ("install", "--dry-run"), ("uninstall",)):
        refused(lab, "systemd", *words, says="not booted with systemd", hint="nsctl watch")


def test_what_others_could_change_is_not_run_by_root_at_boot(host: Lab) -> None:
    import plumbum

    folder = plumbum.__path__[0]
    sh(host, f"mkdir /run/copy; cp -a {folder}/. /run/copy; mount --bind /run/copy {folder}; chown 65534 {folder}")
    refused(host, "systemd", "install", says=f"and {folder} belongs to user 65534", hint="python3 -m venv /opt/nsctl")
    sh(host, f"chown 0 {folder}; chmod 0777 {folder}")
    refused(host, "systemd", "install", says=f"and {folder} is writable to others")


@needs("tool:systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_units(host: Lab) -> None:
    assert host.nsctl("systemd", "install").returncode == 0
    sh(host, f"cp {LAB_UNIT} '/etc/systemd/system/nsctl-lab@web.service'")
    for unit in (WATCH, "/etc/systemd/system/nsctl-lab@web.service"):
        done = host.run(["systemd-analyze", "verify", "--man=no", unit])
        assert (done.returncode, done.stderr) == (0, ""), unit
    sh(host, "rm '/etc/systemd/system/nsctl-lab@web.service'")
    said(host, "systemd", "uninstall")


def test_the_lab_unit_takes_a_lab_up_and_down(host: Lab) -> None:
    installed(host)
    host.write("/etc/nsctl/labs/one.toml", '[sandbox.web]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\n')
    sh(host, "systemctl enable --now nsctl-lab@one")
    assert "web" in said(host, "ls")
    assert host.nsctl("systemd", "uninstall").returncode == 2
    sh(host, "systemctl disable --now nsctl-lab@one")
    assert not host.exists("/run/netns/web")
    said(host, "systemd", "uninstall")


@needs("strace")
def test_a_look_needs_no_other_sockets_than_the_unit_allows(host: Lab) -> None:
    up(host, *WEB)
    assert host.nsctl("systemd", "install").returncode == 0
    allowed = set(setting(host.read(WATCH), "RestrictAddressFamilies").split())
    said(host, "systemd", "uninstall")
    sh(host, CHANGES["rules"] + ";" + CHANGES["the bridge"])
    traced = strace(host, nsctl_argv("repair"), trace="socket,socketpair", follow=True)
    assert traced.process.returncode == 0
    families = {found[1] for call in traced.calls if (found := re.search(r"socket(?:pair)?\((AF_\w+|PF_\w+)", call))}
    assert families
    assert families <= allowed


def test_the_calls_are_those_of_the_plan(host: Lab) -> None:
    assert host.nsctl("systemd", "install").returncode == 0
    calls = [line for line in host.read(LOG).splitlines() if not line.startswith(("is-", "list-"))]
    assert calls == [
        "daemon-reload",
        "enable --quiet nsctl-watch.service",
        "restart nsctl-watch.service",
    ]
    said(host, "systemd", "uninstall")
