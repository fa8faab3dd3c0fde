"""From where sandboxes can be seen, several state directories on one host, and which sandbox a name means."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Sequence

import pytest

from nsctl.engine.testing.snapshot import assert_same
from tests.lab import Lab, assert_back, diff, needs, nsctl_argv, shim, snapshot
from tests.system.support import down, eventually, init_of, up

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

NET = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
OTHER = {"NSCTL_STATE_DIR": "/run/other"}
ELSEWHERE = {
    "PID": ("unshare", "--pid", "--fork", "--mount-proc", "--propagation", "unchanged"),
    "time": ("unshare", "--time", "--fork"),
    "mount": ("unshare", "--mount", "--propagation", "private"),
    "network": ("unshare", "--net"),
}
"""Another namespace of each kind, with the same /run."""


def at(lab: Lab, place: Sequence[str], *args: str) -> subprocess.CompletedProcess[str]:
    return lab.run([*place, *nsctl_argv(*args)])


def test_the_hint_leads_back(lab: Lab) -> None:
    up(lab, *NET)
    done = at(lab, ELSEWHERE["mount"], "ls")
    found = re.search(r"hint: run it there: (nsenter -t \d+ -m) -- nsctl", done.stderr)
    assert found, done
    assert at(lab, [*ELSEWHERE["mount"], *found[1].split(), "--"], "ls").returncode == 0


def test_a_mount_namespace_that_shares_what_is_mounted_will_do(lab: Lab) -> None:
    lab.run(["sh", "-c", "mkdir -p /run/netns; mount --bind /run/netns /run/netns; mount --make-shared /run/netns"])
    place = ("unshare", "--mount", "--propagation", "unchanged")
    before = snapshot(lab)
    up(lab, *NET)
    assert at(lab, place, "check").returncode == 0
    assert at(lab, place, "down", "web").returncode == 0
    assert_back(lab, before)


def test_names_under_a_mount_that_covers_them_do_not_count_as_gone(lab: Lab) -> None:
    up(lab, "none", "--name", "box")
    lab.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
    for command in (("down", "box"), ("check",), ("recover",), ("ls",)):
        done = lab.nsctl(*command)
        assert done.returncode == 2, done
        assert "/run/netns is another directory than it was" in done.stderr
        assert "umount /run/netns" in done.stderr
    lab.run(["umount", "/run/netns"], check=True)
    assert lab.nsctl("check").returncode == 0
    down(lab, "box")


def test_where_nothing_is_up_a_store_may_be_used_from_anywhere(lab: Lab) -> None:
    up(lab, "none", "--name", "box")
    down(lab, "box")
    assert at(lab, ELSEWHERE["PID"], "up", "none", "--name", "box", "--isolate", "net").returncode == 0


def test_two_stores_share_chains_and_settings_and_the_last_one_undoes_them(lab: Lab) -> None:
    before = snapshot(lab)
    up(lab, *NET)
    one = snapshot(lab)
    done = lab.nsctl("up", "bridge", "--name", "db", "--subnet", "10.0.4.0/24", env=OTHER)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "nsbr1" in done.stdout
    for env in ({}, OTHER):
        assert lab.nsctl("check", env=env).returncode == 0
        assert lab.nsctl("recover", "--scan", "--yes", env=env).stdout == "nothing to recover\n"
        assert lab.nsctl("check", env=env).returncode == 0
    done = lab.nsctl("down", "web")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert lab.nsctl("check", env=OTHER).returncode == 0
    assert lab.read("/proc/sys/net/ipv4/conf/eth0/forwarding").strip() == "1"
    assert lab.nsctl("exec", "db", "--", "ping", "-c1", "-W3", "203.0.113.1", env=OTHER).returncode == 0
    up(lab, *NET)
    done = lab.nsctl("down", "db", env=OTHER)
    assert (done.returncode, done.stderr) == (0, ""), done
    lab.run(["rm", "-rf", "/run/other"], check=True)
    rules = [section for section in one.sections if "tables" in section or section == "sysctls"]
    assert rules
    changed = [line for line in diff(one, snapshot(lab)) if line.startswith(tuple(f"{section}:" for section in rules))]
    # The cable's end on the host, made anew, begins with what links begin with by now.
    assert [line for line in changed if "conf/ns-web/" not in line] == []
    down(lab, "web")
    assert_back(lab, before)


def test_what_another_store_holds_alone_is_refused_with_its_name(lab: Lab) -> None:
    up(lab, *NET)
    before = snapshot(lab)
    for words in (
        ("bridge", "--name", "db", "--bridge", "nsbr0", "--subnet", "10.0.4.0/24"),
        ("none", "--name", "web"),
    ):
        done = lab.nsctl("up", *words, env=OTHER)
        assert done.returncode == 2, done
    done = lab.nsctl("up", "bridge", "--name", "db", "--subnet", "10.0.3.0/24", env=OTHER)
    assert done.returncode == 2, done
    lab.run(["rm", "-rf", "/run/other"], check=True)
    assert_same(before, snapshot(lab))
    down(lab, "web")


def test_what_a_killed_nsctl_left_half_done_in_another_store_is_told_with_what_finishes_it(lab: Lab) -> None:
    words = ("up", "bridge", "--subnet", "10.0.4.0/24", "--no-batch", "--name")
    shims = shim(lab, "ip", {"ip link set dev ns-bb up": "kill-parent-after"})
    before = snapshot(lab)
    assert lab.nsctl(*words, "bb", env=OTHER).returncode == -signal.SIGKILL
    assert shims.injected
    command, line = "NSCTL_STATE_DIR=/run/other nsctl recover", "left up bb half done in the state directory /run/other"
    for again in range(2):  # without a store of its own, and with one
        done = lab.nsctl("check")
        assert (done.returncode, line in done.stdout, command in done.stderr) == (4, True, True), (again, done)
        [drift] = json.loads(lab.nsctl("check", "--json").stdout)["drift"]
        assert (drift["key"], drift["holders"]) == ("store//run/other", ["bb"])
        for more in ((), ("--scan",)):
            done = lab.nsctl("recover", *more)
            assert (done.returncode, line in done.stdout, command in done.stderr) == (4, True, True), (again, done)
            assert "nothing to recover\n" not in done.stdout
    for other in ((*words, "cc"), ("up", "none", "--name", "bb")):
        done = lab.nsctl(*other)
        assert (done.returncode, f"{line}; finish it: {command}" in done.stderr) == (2, True), done
    assert lab.nsctl("recover", env=OTHER).returncode == 0
    assert lab.nsctl("check").returncode == 0
    assert lab.nsctl("recover").stdout == "nothing to recover\n"
    lab.run(["rm", "-rf", "/run/other"], check=True)
    assert_back(lab, before)


def test_what_another_nsctl_is_just_at_is_not_told_as_half_done(lab: Lab) -> None:
    shims = shim(lab, "ip", {"ip link set dev ns-bb up": "hang"})
    words = ("up", "bridge", "--name", "bb", "--subnet", "10.0.4.0/24", "--no-batch")
    child = lab.nsctl_popen(*words, env=OTHER)
    assert eventually(lambda: bool(shims.injected))
    assert lab.nsctl("check").returncode == 0
    child.send_signal(signal.SIGTERM)
    child.wait(60)


def test_scan_finds_nothing_in_a_healthy_sandbox(lab: Lab) -> None:
    up(lab, *NET, "--", "sleep", "1000067")
    up(lab, "none", "--name", "box")
    init = init_of(lab, "box")
    assert lab.nsctl("recover", "--scan").stdout == "nothing to recover\n"
    assert lab.nsctl("recover", "--scan", "--yes").stdout == "nothing to recover\n"
    assert init_of(lab, "box") == init
    assert lab.nsctl("check").returncode == 0


def test_scan_refuses_where_another_store_cannot_be_read(lab: Lab) -> None:
    assert lab.nsctl("up", "none", "--name", "box", env=OTHER).returncode == 0
    lab.run(["sh", "-c", "head -c 20000 /dev/urandom >/run/other/state.db"], check=True)
    done = lab.nsctl("recover", "--scan", "--yes")
    assert done.returncode == 2, done
    assert "another store can't be read" in done.stderr
    assert lab.exists("/run/netns/box")


def test_a_run_takes_down_what_it_made_and_no_namesake(lab: Lab) -> None:
    child = lab.nsctl_popen("run", "none", "--name", "rr", "--", "sleep", "1000069")
    assert eventually(lambda: lab.run(["pgrep", "-xf", "sleep 1000069"]).stdout != "")
    child.send_signal(signal.SIGSTOP)
    down(lab, "rr")
    up(lab, "bridge", "--name", "rr", "--subnet", "10.0.3.0/24")
    up(lab, "container", "--name", "tt", "--target", "rr")
    child.send_signal(signal.SIGCONT)
    child.wait(30)
    assert sorted(row["name"] for row in json.loads(lab.nsctl("ls", "--json").stdout)) == ["rr", "tt"]
    assert lab.nsctl("check").returncode == 0


def test_rows_that_nsctl_did_not_write_are_never_acted_on(lab: Lab) -> None:
    up(lab, *NET)
    script = (
        "import sqlite3, binascii\n"
        "c = sqlite3.connect('/run/nsctl/state.db')\n"
        "key, data = c.execute(\"SELECT key, data FROM steps WHERE key = 'netns/web'\").fetchone()\n"
        'data = data.replace(\'"ip","netns","del","web"\', \'"touch","/run/pwned"\')\n'
        "crc = binascii.crc32('\\0'.join((key, data)).encode())\n"
        "c.execute('UPDATE steps SET data = ?, crc = ? WHERE key = ?', (data, crc, key)); c.commit()\n"
    )
    lab.run(["/usr/bin/python3", "-c", script], check=True)
    done = lab.nsctl("down", "web")
    assert done.returncode == 2, done
    assert "is damaged" in done.stderr
    assert not lab.exists("/run/pwned")


def test_a_store_whose_key_is_gone_is_refused_and_not_forgotten(lab: Lab) -> None:
    up(lab, *NET)
    lab.run(["mv", "/run/nsctl/key", "/run/key"], check=True)
    before = snapshot(lab)
    for command in (("ls",), ("down", "web"), ("recover",), ("up", "none")):
        done = lab.nsctl(*command)
        assert done.returncode == 2, done
        assert "/run/nsctl/key is missing" in done.stderr
    assert_same(before, snapshot(lab))
    lab.run(["mv", "/run/key", "/run/nsctl/key"], check=True)
    down(lab, "web")


def records(lab: Lab) -> list[dict[str, object]]:
    return [json.loads(line) for line in lab.read("/var/log/nsctl/audit.jsonl").splitlines()]


def test_what_is_no_plan_is_on_record_too_before_it_begins(lab: Lab) -> None:
    lab.nsctl("up", "none", "--name", "box", "--confirm", "1h", check=True)
    lab.nsctl("confirm", "box", check=True)
    assert [(r["event"], r["sandbox"]) for r in records(lab)[-2:]] == [
        ("plan_started", "box"),
        ("plan_finished", "box"),
    ]
    assert records(lab)[-1]["operation"] == "confirm"
    lab.nsctl("exec", "box", "--", "env", "TOKEN=s3cret", "true", check=True)
    last = records(lab)[-1]
    assert (last["event"], last["sandbox"], last["argv"]) == ("exec_started", "box", ["env", "TOKEN=...", "true"])
    lab.nsctl("shell", "box", check=True)
    assert records(lab)[-1]["argv"] == ["/bin/sh"]
    lab.nsctl("run", "none", "--name", "job", "--", "true", check=True)
    started = [r["event"] for r in records(lab) if r["sandbox"] == "job"]
    assert started.index("exec_started") < max(n for n, event in enumerate(started) if event == "plan_started")
    lab.run(["sh", "-c", "rm /run/nsctl/state.db*"], check=True)
    count = len(records(lab))
    lab.nsctl("recover", "--scan", "--yes", check=True)
    events = [(r["event"], r.get("operation")) for r in records(lab)[count:]]
    assert events[0] == ("plan_started", "recover")
    assert events[-1] == ("plan_finished", "recover")
    assert ("step_undone", None) in events
    assert lab.nsctl("log", "--verify").returncode == 0


def test_a_command_whose_record_cannot_be_written_is_not_started(lab: Lab) -> None:
    up(lab, "none", "--name", "box")
    lab.run(["mount", "--bind", "-o", "ro", "/var/log/nsctl", "/var/log/nsctl"], check=True)
    done = lab.nsctl("exec", "box", "--", "touch", "/run/started")
    assert done.returncode == 125, done
    assert "the audit record can't be written" in done.stderr
    assert not lab.exists("/run/started")


def test_a_trail_that_was_cut_is_acknowledged_on_record(lab: Lab) -> None:
    up(lab, "none", "--name", "box")
    lab.run(["sh", "-c", "rm /var/log/nsctl/*"], check=True)
    down(lab, "box")
    done = lab.nsctl("log", "--verify")
    assert done.returncode == 4, done
    assert "are missing" in done.stdout
    assert "the file beside the log that names the last record was missing" in done.stdout
    assert lab.nsctl("log", "--acknowledge").stdout.startswith("acknowledged: ")
    assert lab.nsctl("log", "--verify").returncode == 0
    assert lab.nsctl("log", "--acknowledge").stdout == "there is nothing to acknowledge: the trail is whole\n"
    assert "trail acknowledged" in lab.nsctl("log").stdout


@pytest.mark.cold
def test_where_run_is_read_only_taking_down_is_refused_and_says_what_is_needed(lab: Lab) -> None:
    up(lab, *NET, "--isolate", "net")  # a process that writes there would keep it writable
    lab.run(["mount", "-o", "remount,ro", "/run"], check=True)
    before = snapshot(lab)
    for command in (("down", "web"), ("recover",), ("up", "none")):
        done = lab.nsctl(*command)
        assert done.returncode == 2, done
        assert "Read-only file system" in done.stderr
        assert "hint: mount -o remount,rw /run" in done.stderr
    assert lab.nsctl("check").returncode == 0
    assert_same(before, snapshot(lab))
    lab.run(["mount", "-o", "remount,rw", "/run"], check=True)
    down(lab, "web")
