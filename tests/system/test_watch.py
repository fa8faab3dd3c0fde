"""`watch`: what is flushed or taken away comes back by itself, and nothing else happens."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from tests.lab import Lab, diff, needs, nsctl_argv, snapshot
from tests.system import test_firewalld as firewalld
from tests.system.support import data, down, eventually, init_of, inside, up
from tests.system.test_identity import switch
from tests.system.test_own_files import replaced

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

WEB = ("bridge", "--name", "web", "--subnet", "10.0.3.0/24")
DB = ("bridge", "--name", "db", "--subnet", "10.0.4.0/24")
_NUMBERS = itertools.count()
NOTICED = 20.0
"""How long to wait for what takes less than a second (`scripts/bench`), on a machine that has much to do; seconds."""
CALM = 1.5
"""How long a test waits for what may not happen; seconds."""
CHANGES = {
    "rules": "iptables -F; iptables -t nat -F; iptables -X",
    "all of nf_tables": "nft flush ruleset",
    "a table": "nft delete table ip filter",
    "one rule": "iptables -D FORWARD -m comment --comment nsctl:jump -j NSCTL-FORWARD",
    "one chain of nsctl's": "iptables -t nat -F NSCTL-POSTROUTING",
    "a rule ahead": "iptables -D NSCTL-GUARD -i nsbr0 -m comment --comment nsctl:nsbr0 -j RETURN;"
    " iptables -A NSCTL-GUARD -i nsbr0 -m comment --comment nsctl:nsbr0 -j RETURN",
    "the table of ports": "nft delete table bridge nsctl",
    "its rules": "nft flush chain bridge nsctl guarded",
    "a port that is not judged": "nft flush set bridge nsctl ports",
    "a cable": "ip link del ns-web",
    "a cable's end": "ip -n web link del eth0",
    "a port that left": "ip link set ns-web nomaster",
    "the bridge": "ip link del nsbr0",
    "the bridge is down": "ip link set nsbr0 down",
    "the gateway": "ip address del 10.0.3.1/24 dev nsbr0",
    "the subnet's route": "ip route del 10.0.3.0/24 dev nsbr0",
    "a new name of a link": "ip link set ns-web down; ip link set ns-web name other0",
    "the namespace's name": "ip netns del web",
}


class Watched:
    """A lab host, and a watcher there."""

    def __init__(self, lab: Lab, process: Popen[str]) -> None:
        self.lab, self.process = lab, process

    def sh(self, script: str) -> None:
        self.lab.run(["sh", "-ec", script], check=True)

    def breaks(self, script: str) -> None:
        """Change something that `check` finds, before the watcher hears of it."""
        self.process.send_signal(signal.SIGSTOP)
        while self.children():  # a look that is being taken goes on, and would find it
            self.process.send_signal(signal.SIGCONT)
            assert eventually(lambda: not self.children(), NOTICED)
            self.process.send_signal(signal.SIGSTOP)
        self.sh(script)
        assert not self.as_made()
        self.process.send_signal(signal.SIGCONT)

    def looks(self) -> int:
        """Ticks of CPU time that looks have taken: those that are over, each of which takes several."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[13]) + int(fields[14])

    def calm(self) -> None:
        """Wait until it takes no more looks."""
        last, since = self.looks(), time.monotonic()
        assert eventually(lambda: not self.children(), NOTICED)
        while time.monotonic() - since < CALM:
            if self.looks() != last or self.children():
                last, since = self.looks(), time.monotonic()
            time.sleep(0.02)

    def children(self) -> list[int]:
        """The look that is being taken."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def as_made(self) -> bool:
        return self.lab.nsctl("check").returncode == 0

    def end(self, signum: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(signum)
        output, errors = self.process.communicate(timeout=NOTICED)
        return self.process.returncode, output, errors


@contextmanager
def watching(lab: Lab, **env: str) -> Iterator[Watched]:
    """A watcher that has taken its first look."""
    path = f"/run/notify-{next(_NUMBERS)}"
    with lab.call(socket.socket, socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        lab.call(notified.bind, path)
        notified.settimeout(NOTICED)
        process = lab.nsctl_popen("watch", env={"NOTIFY_SOCKET": path} | env)
        try:
            assert notified.recv(1000) == b"READY=1"
            assert notified.recv(1000) == b"STATUS=The last look found nothing missing"
            yield Watched(lab, process)
        finally:
            process.kill()
            process.wait()
            lab.call(os.unlink, path)


@pytest.fixture
def watched(lab: Lab) -> Iterator[Watched]:
    """A watcher over `web` and `db`, on a lab host with an /etc of its own."""
    lab.run(["sh", "-ec", "mkdir /run/etc; cp -a /etc/. /run/etc; mount --bind /run/etc /etc"], check=True)
    lab.run(["sh", "-c", "umount /etc/hosts /etc/resolv.conf 2>/dev/null"])
    up(lab, *WEB)
    up(lab, *DB)
    with watching(lab) as made:
        yield made


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_flushed_or_taken_away_comes_back(watched: Watched, change: str) -> None:
    web = init_of(watched.lab, "web")
    watched.breaks(CHANGES[change])
    assert eventually(watched.as_made, NOTICED)
    assert init_of(watched.lab, "web") == web
    assert watched.lab.nsctl("exec", "web", "--", "ping", "-c1", "-W2", "203.0.113.1").returncode == 0
    assert watched.lab.nsctl("exec", "web", "--", "ping", "-c1", "-W1", "10.0.4.2").returncode == 1
    code, output, errors = watched.end()
    assert (code, errors) == (0, "")
    assert output.startswith("put back ")


@needs("nft", "tool:firewalld", "tool:dbus-daemon")
@pytest.mark.parametrize("change", ["firewall-cmd --reload", "firewall-cmd --complete-reload"])
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_what_a_reload_of_firewalld_forgets_comes_back(lab: Lab, backend: str, change: str) -> None:
    firewalld.start(lab, backend)
    up(lab, *WEB)
    assert firewalld.reaches(lab)
    with watching(lab) as watched:
        for _ in range(2):
            watched.breaks(change)
            assert eventually(watched.as_made, NOTICED)
            assert firewalld.reaches(lab)


@needs("nft", "tool:firewalld", "tool:dbus-daemon")
def test_when_firewalld_is_started_later_networks_join_its_zone(lab: Lab) -> None:
    up(lab, *WEB)
    with watching(lab) as watched:
        firewalld.start(lab)
        assert eventually(lambda: "nsbr0" in firewalld.zones(lab) and watched.as_made(), NOTICED)
        assert firewalld.reaches(lab)


@needs("iptables-legacy")
def test_rules_of_the_legacy_back_end_come_back(lab: Lab) -> None:
    switch(lab, "legacy")
    up(lab, *WEB)
    with watching(lab) as watched:
        for _ in range(2):  # its lock is there by then
            watched.breaks("iptables-legacy -F; iptables-legacy -t nat -F; iptables-legacy -X")
            assert eventually(watched.as_made, NOTICED)


@needs("iptables-legacy")
def test_rules_of_the_legacy_back_end_are_noticed_where_its_lock_comes_late(lab: Lab) -> None:
    switch(lab, "legacy")
    up(lab, *WEB)
    lab.run(["rm", "-f", "/run/xtables.lock"], check=True)
    with watching(lab) as watched:
        watched.breaks("iptables-legacy -F")
        assert eventually(watched.as_made, NOTICED)


def test_new_name_servers_reach_sandboxes_that_run(watched: Watched) -> None:
    for number in range(2):
        replaced(watched.lab, "resolv.conf", f"nameserver 192.0.2.{number}\n")
        expected = f"nameserver 192.0.2.{number}\n"
        assert eventually(lambda: inside(watched.lab, "web", "cat", "/etc/resolv.conf") == expected, NOTICED)  # noqa: B023
        assert eventually(watched.as_made, NOTICED)


def test_name_servers_behind_links_are_followed(watched: Watched) -> None:
    watched.lab.write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.8\n")
    watched.sh("ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/new; mv /etc/new /etc/resolv.conf")
    watched.lab.write("/run/systemd/resolve/stub-resolv.conf", "nameserver 127.0.0.53\n")

    def sees(server: str) -> bool:
        return inside(watched.lab, "web", "cat", "/etc/resolv.conf") == f"nameserver {server}\n"

    watched.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: sees("192.0.2.8"), NOTICED)
    watched.calm()
    watched.sh("echo nameserver 192.0.2.9 >/run/systemd/resolve/new; cd /run/systemd/resolve; mv new resolv.conf")
    assert eventually(lambda: sees("192.0.2.9"), NOTICED)


def test_name_servers_in_a_directory_that_comes_late_are_followed(watched: Watched) -> None:
    replaced(watched.lab, "resolv.conf", "nameserver 127.0.0.53\n")
    watched.calm()
    watched.sh("mkdir /run/systemd; sleep 1; mkdir /run/systemd/resolve; sleep 1")
    watched.lab.write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.7\n")
    assert eventually(lambda: "192.0.2.7" in inside(watched.lab, "web", "cat", "/etc/resolv.conf"), NOTICED)


def test_the_hosts_file_is_put_back_when_the_host_replaces_its_own(watched: Watched) -> None:
    own = inside(watched.lab, "web", "cat", "/etc/hosts")
    replaced(watched.lab, "hosts", "192.0.2.1\telse\n")
    assert eventually(lambda: inside(watched.lab, "web", "cat", "/etc/hosts") == own, NOTICED)


def test_it_sleeps_when_nothing_happens_and_takes_little(watched: Watched) -> None:
    watched.calm()

    def status(key: str) -> int:
        lines = Path(f"/proc/{watched.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))

    before = status("voluntary_ctxt_switches")
    time.sleep(CALM)
    assert status("voluntary_ctxt_switches") == before
    assert status("VmRSS") < 25 * 1024


def test_changes_that_are_none_of_nsctls_have_it_take_no_look(watched: Watched) -> None:
    watched.calm()
    before = watched.looks()
    watched.sh(
        "ip link add other0 type veth peer name other1; ip link set other0 up; ip link set other1 up;"
        " ip address add 192.0.2.1/24 dev other0; ip route add 198.51.100.0/24 dev other0; ip link del other0;"
        " nft add table ip other; nft add chain ip other x; nft add rule ip other x drop; nft delete table ip other;"
        " iptables -N OTHER; iptables -A OTHER -j RETURN; iptables -F OTHER; iptables -X OTHER;"
        " echo x >/etc/other; ip netns add other; ip netns del other"
    )
    time.sleep(CALM)
    assert watched.looks() == before


def test_what_it_puts_back_itself_is_no_reason_to_look_for_ever(watched: Watched) -> None:
    watched.sh(CHANGES["the bridge"])
    assert eventually(watched.as_made, NOTICED)
    watched.calm()
    before = watched.looks()
    time.sleep(CALM)
    assert watched.looks() == before
    assert watched.end()[1].count("put back") == 1


def test_what_has_ended_is_not_started_again(watched: Watched) -> None:
    watched.sh(f"kill -9 {init_of(watched.lab, 'web')}")
    assert eventually(lambda: state_of(watched.lab, "web") == "dead", NOTICED)
    watched.sh(CHANGES["rules"])
    watched.sh("ip link del nsbr0")

    def mended() -> bool:
        drifts = json.loads(watched.lab.nsctl("check", "--json").stdout)["drift"]
        return {drift["key"] for drift in drifts} == {"init/web"}

    assert eventually(mended, NOTICED)
    watched.calm()
    assert state_of(watched.lab, "web") == "dead"
    watched.sh("ip netns del web")
    watched.process.send_signal(signal.SIGHUP)
    watched.calm()
    assert state_of(watched.lab, "web") == "dead"
    assert not watched.lab.exists("/run/netns/web")


def state_of(lab: Lab, name: str) -> str:
    found = {row["name"]: row["state"] for row in data(lab, "ls", "--json")}
    return str(found[name])


def test_a_strangers_thing_in_the_place_of_nsctls_is_left(watched: Watched) -> None:
    watched.sh("ip link del nsbr0; ip link add nsbr0 type bridge")
    watched.calm()
    mac = watched.lab.read("/sys/class/net/nsbr0/address")
    assert not watched.as_made()
    watched.calm()
    assert watched.lab.read("/sys/class/net/nsbr0/address") == mac


def test_who_fights_back_is_named_once_and_answered_less_and_less(watched: Watched) -> None:
    fighter = watched.lab.popen(
        [
            "sh",
            "-c",
            "while :; do iptables -D FORWARD -m comment --comment nsctl:jump -j NSCTL-FORWARD; sleep 0.02; done",
        ],
        stdout=None,
        stderr=None,
    )
    time.sleep(8)
    fighter.kill()
    code, output, errors = watched.end()
    assert code == 0
    assert errors.count("takes rule/4/filter/FORWARD/32d8659a06 away as often as it is put back") == 1, errors
    assert output.count("put back") < 12, output


def test_a_second_one_is_refused_and_one_that_was_killed_is_in_nobodys_way(watched: Watched) -> None:
    done = watched.lab.nsctl("watch")
    assert done.returncode == 2, done
    assert "another nsctl watch (PID " in done.stderr
    assert "looks after /run/nsctl already" in done.stderr
    assert watched.end(signal.SIGKILL)[0] == -signal.SIGKILL
    with watching(watched.lab) as another:
        watched.sh(CHANGES["rules"])
        assert eventually(another.as_made, NOTICED)


def test_one_that_is_killed_while_it_puts_back_leaves_what_the_next_command_finishes(watched: Watched) -> None:
    for pause in (0.05, 0.15, 0.2, 0.25, 0.3, 0.4):
        watched.sh("nft flush ruleset; ip link del nsbr0")
        time.sleep(0.1 + pause)
        for pid in (watched.process.pid, *watched.children()):
            os.kill(pid, signal.SIGKILL)
        watched.process.wait()
        assert watched.lab.nsctl("repair").returncode == 0
        assert watched.as_made()
        watched.process = watched.lab.nsctl_popen("watch")
        time.sleep(0.6)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_so(watched: Watched, signum: int) -> None:
    watched.calm()
    before = snapshot(watched.lab)
    assert watched.end(signum) == (0, "", "")
    after = snapshot(watched.lab)
    assert diff(before, after) == [line for line in diff(before, after) if "nsctl.engine.cli.watching" in line]
    assert len(diff(before, after)) == 1


def test_on_hup_it_looks_where_the_kernel_tells_nothing(watched: Watched) -> None:
    watched.calm()
    watched.sh("ip -n web address del 10.0.3.2/24 dev eth0")  # in another namespace
    watched.calm()
    assert not watched.as_made()
    watched.process.send_signal(signal.SIGHUP)
    assert eventually(watched.as_made, NOTICED)


def test_messages_that_were_lost_are_a_reason_to_look(watched: Watched) -> None:
    watched.calm()
    watched.process.send_signal(signal.SIGSTOP)
    # What matters is lost: the socket is full by then.
    watched.sh(
        "i=0; while [ $i -lt 60000 ]; do echo route add blackhole 198.18.$((i / 250)).$((i % 250))/32;"
        " i=$((i + 1)); done | ip -batch -"
    )
    watched.sh("ip address del 10.0.3.1/24 dev nsbr0")  # of which nothing follows that would be told later
    watched.process.send_signal(signal.SIGCONT)
    assert eventually(watched.as_made, NOTICED)


def test_where_nothing_is_up_it_waits_for_what_comes(lab: Lab) -> None:
    with watching(lab) as watched:
        up(lab, *WEB)
        watched.calm()
        watched.sh(CHANGES["rules"])
        assert eventually(watched.as_made, NOTICED)
        watched.calm()
        down(lab, "web")
        watched.calm()
        before = watched.looks()
        watched.sh("iptables -F; nft flush ruleset; ip link add other0 type bridge")
        watched.calm()
        assert watched.looks() == before


def test_it_looks_after_its_own_state_directory(lab: Lab) -> None:
    up(lab, *WEB)
    other = {"NSCTL_STATE_DIR": "/run/other"}
    with watching(lab) as first, watching(lab, **other):
        assert lab.nsctl("up", *DB, env=other).returncode == 0
        first.sh("ip link del ns-db; ip link del ns-web")
        assert eventually(lambda: lab.nsctl("check", env=other).returncode == 0, NOTICED)
        assert eventually(first.as_made, NOTICED)


def test_what_it_put_back_is_in_the_trail(watched: Watched) -> None:
    watched.sh(CHANGES["one rule"])
    assert eventually(watched.as_made, NOTICED)
    watched.calm()
    records = [json.loads(line) for line in watched.lab.nsctl("log", "--json").stdout.splitlines()]
    started = [record for record in records if record.get("operation") == "watch" and record["event"] == "plan_started"]
    assert [step["step"] for step in started[0]["steps"]] == ["rule/4/filter/FORWARD/32d8659a06"]
    assert len(started) == 1
    assert watched.lab.nsctl("log", "--verify").returncode == 0


def test_what_stays_broken_is_said_once(watched: Watched) -> None:
    watched.sh("mount -t tmpfs -o ro none /var/log/nsctl")
    watched.sh(CHANGES["one rule"])
    time.sleep(6)
    watched.sh("umount /var/log/nsctl")
    assert eventually(watched.as_made, NOTICED)
    errors = watched.end()[2]
    assert errors.count("the audit record can't be written") == 1, errors


def test_from_elsewhere_it_is_refused(lab: Lab) -> None:
    up(lab, *WEB)
    done = lab.run(["unshare", "--net", "--", *nsctl_argv("watch")])
    assert done.returncode == 2, done
    assert "nsctl: " in done.stderr
