"""
14. Escapes from a sandbox: what a command in one tries fails, and the host is as it was.

Every attempt (see `escapes`) is made in every mode, and as everything that runs in a sandbox does: as its workload, by
`exec` and by `run`. Those that can be made without harm are made again where they must succeed, or they would
prove nothing.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.escapes.attempt import ALL, GOT_THROUGH, OWN_NETWORK, Attempt, load
from tests.faults.ground import Ground, settled
from tests.faults.tally import Tally
from tests.faults.warm import Warm, poll
from tests.lab import ENVIRONMENT, Lab, diff, nsctl_argv, snapshot
from tests.system.support import terminal

TABLE = load()
ROOT = Path(__file__).parents[2]
ABSTRACT = "nsctl-lab-abstract"
WAYS = ("exec", "run", "workload")
OPTIONS = {
    "none": ("none",),
    "host": ("host",),
    "bridge": ("bridge", "--subnet", "10.0.3.0/24"),
    "container": ("container", "--target", "base"),
}
BASE = ("up", "bridge", "--name", "base", "--subnet", "10.0.3.0/24")
MORE = ("sys_admin", "sys_ptrace", "sys_nice", "mknod", "dac_read_search", "perfmon", "bpf")
CONTROLS = {"capabilities": [f"--cap-add={name}" for name in MORE], "privileged": ["--privileged"]}
Found = dict[str, str]
"""Attempt → what became of it."""
SUBSETS = (
    ("none", "net", "exec"),
    ("none", "net", "workload"),
    ("none", "pid,net", "exec"),
    ("host", "uts", "exec"),
    ("host", "ipc,pid", "workload"),
    ("container", "net", "run"),
    ("bridge", "mount,net", "exec"),
)
"""Modes, the namespaces asked for, and ways: each with a mount namespace or without, with an init or without."""
SEEN_WITHOUT = {
    "pid": {
        "find a process of the host",
        "move a link to the host by a process",
        "signal a process that proc does not show",
    },
    "mount": {"find a process of the host", "signal a process that proc does not show"},
}
"""What succeeds where that kind was not asked for: processes are seen, and a link can be given to one."""
CHANGES = """
ip link add esc0 type veth peer name esc1
ip link set esc0 up
ip address add 192.0.2.9/24 dev esc0
ip route add 198.18.0.0/15 dev esc0
ip rule add from 192.0.2.9 lookup 99
iptables -A INPUT -s 192.0.2.9 -j DROP
echo 1 >/proc/sys/net/ipv4/ip_forward
mount -t tmpfs none /mnt
"""
UNDONE = "ip rule del from 192.0.2.9; ip link del esc0; iptables -F; echo 0 >/proc/sys/net/ipv4/ip_forward"
LOG = "/run/nsctl/sandboxes/none/init.log"
LEGACY = "/proc/sys/dev/tty/legacy_tiocsti"
TYPE = """
import ctypes, os, sys, termios
libc = ctypes.CDLL(None, use_errno=True)
request = eval(sys.argv[1], {"termios": termios, "TIOCSTI": termios.TIOCSTI})
answer = libc.ioctl(0, ctypes.c_ulong(request), b"#")
print("was typed" if answer == 0 else os.strerror(ctypes.get_errno()))
"""


def program(**told: Any) -> tuple[str, ...]:
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.faults.escapes.attempt import main; main()"
    return (sys.executable, "-I", "-B", "-c", start, json.dumps(told))


def made(ground: Ground, mode: str, way: str, *options: str, **told: Any) -> Found:
    """Make the attempts of a mode in one way; the host is as it was while the sandbox is up, and afterwards."""
    uplink = ground.lab.call(socket.if_nametoindex, "eth0")
    command = program(mode=mode, abstract=ABSTRACT, uplink=uplink, canary="sleep 1000009", **told)
    sandbox = (*OPTIONS[mode], "--name", "web", *options)
    if way == "run":
        text = ground.good("run", *sandbox, "--", *command, env={"SECRET": "1"}).stdout
    elif way == "exec":
        ground.good("up", *sandbox)
        up = settled(ground.lab)
        text = ground.good("exec", "web", "--", *command, env={"SECRET": "1"}).stdout
        ground.back(up)
    else:
        ground.good("up", *sandbox, "--", *command, env={"SECRET": "1"})
        log = "/run/nsctl/sandboxes/web/init.log"
        poll(lambda: ground.lab.read(log).endswith("\n"), within=30)
        text = ground.lab.read(log)
    if way != "run":
        ground.good("down", "web")
    ground.back()
    found: Found = json.loads(text)
    return found


def word(outcome: str) -> str:
    return outcome.partition(":")[0]


@pytest.fixture(scope="module")
def ground(warm: Warm) -> Iterator[Ground]:
    """A host beside whose sandbox there is another one; its mounts are shared, as systemd makes them."""
    ground = Ground(warm)
    ground.lab.run(["mount", "--make-rshared", "/"], check=True)
    ground.good(*BASE)
    ground.before = settled(ground.lab)
    listener = ground.lab.call(socket.socket, socket.AF_UNIX)
    listener.bind("\0" + ABSTRACT)
    listener.listen(64)
    yield ground
    listener.close()
    ground.close()


@pytest.fixture(scope="module")
def outcomes(ground: Ground) -> dict[tuple[str, str], Found]:
    """Mode and way → what became of the attempts."""
    return {(mode, way): made(ground, mode, way) for mode in ALL for way in WAYS}


@pytest.fixture(scope="module")
def controls(ground: Ground) -> dict[str, Found]:
    return {kind: made(ground, "none", "exec", *how, control=kind) for kind, how in CONTROLS.items()}


@pytest.mark.parametrize("one", TABLE.values(), ids=lambda one: one.name)
def test_it_fails(one: Attempt, outcomes: dict[tuple[str, str], Found], tally: Tally) -> None:
    found = {place: result[one.name] for place, result in outcomes.items() if place[0] in one.modes}
    tried = {place: outcome for place, outcome in found.items() if word(outcome) != "unable"}
    if not tried:
        pytest.skip(next(iter(found.values())))
    strict = {place: outcome for place, outcome in tried.items() if place[0] not in one.limit}
    wrong = {place: outcome for place, outcome in strict.items() if word(outcome) not in one.errors}
    tally.note("escape", survived=not wrong, times=len(strict))
    assert wrong == {}
    known = {place: outcome for place, outcome in tried.items() if place[0] in one.limit}
    assert all(word(outcome) in {GOT_THROUGH, *one.errors} for outcome in known.values()), known


@pytest.mark.parametrize("one", [one for one in TABLE.values() if one.control], ids=lambda one: one.name)
def test_it_succeeds_where_it_may(one: Attempt, controls: dict[str, Found]) -> None:
    outcome = controls[one.control][one.name]
    if word(outcome) == "unable":
        pytest.skip(outcome)
    assert word(outcome) == GOT_THROUGH, outcome


@pytest.mark.parametrize(("mode", "isolate", "way"), SUBSETS)
def test_whatever_is_isolated_it_fails(mode: str, isolate: str, way: str, ground: Ground, tally: Tally) -> None:
    found = made(ground, mode, way, "--isolate", isolate)
    known = {name for kind, names in SEEN_WITHOUT.items() if kind not in isolate.split(",") for name in names}
    if "pid" not in isolate:  # the kernel numbers the host's namespace for a link that was given to it
        known |= {name for name in found if name.endswith("by its number")}
    strict = {name: outcome for name, outcome in found.items() if name not in known and word(outcome) != "unable"}
    limits = {one.name for one in TABLE.values() if mode in one.limit}
    # Processes of the host are seen by number, and closed.
    fine = {"EACCES", "EIO"}
    wrong = {n: o for n, o in strict.items() if n not in limits and word(o) not in {*TABLE[n].errors, *fine}}
    tally.note("escape", survived=not wrong, times=len(strict))
    assert wrong == {}
    assert {"write to the state", "append to the trail", "name a namespace"} <= strict.keys()


def test_without_net_admin_the_links_of_the_host_are_out_of_reach(ground: Ground, tally: Tally) -> None:
    found = made(ground, "bridge", "exec", "--cap-drop=net_admin")
    by_number = {name: outcome for name, outcome in found.items() if name.endswith("by its number")}
    assert len(by_number) == 3
    assert {word(outcome) for outcome in by_number.values()} <= {"EPERM", "EACCES"}, by_number
    tally.note("escape", survived=True, times=3)


@pytest.mark.parametrize("mode", OWN_NETWORK)
def test_what_it_changes_in_its_own_namespaces_stays_there(mode: str, ground: Ground, tally: Tally) -> None:
    ground.good("up", *OPTIONS[mode], "--name", "web", "--cap-add=sys_admin")
    before = settled(ground.lab)
    ground.good("exec", "web", "--", "sh", "-e", "-c", CHANGES)
    theirs = {name for name in before.sections if name.endswith((" in web", " in base"))}
    after = snapshot(ground.lab)
    assert diff(before.without(*theirs), after.without(*theirs)) == []
    assert diff(before, after) != []
    ground.good("exec", "web", "--", "sh", "-c", UNDONE)
    ground.good("down", "web")
    ground.back()
    tally.note("escape", survived=True)


@pytest.mark.parametrize("way", WAYS)
def test_neither_descriptors_nor_the_place_of_the_caller_are_inherited(way: str, lab: Lab, tally: Tally) -> None:
    # What stands at the caller's directory inside is the mask: empty, and a file system of the sandbox's own.
    look = "ls /proc/self/fd; ls -A . lock state.db 2>/dev/null; pwd; stat -fc %T.%b .; exec sleep 0.5"
    lab.nsctl("up", "none", "--name", "web", check=True)
    words = {"exec": ("exec", "web"), "run": ("run", "none"), "workload": ("up", "none", "-w", "/usr/lib")}[way]
    script = 'cd /run/nsctl; exec 7<. 8<lock; exec "$@"'
    if way == "workload":
        look = "ls /proc/self/fd; pwd; exec sleep 0.5"
    done = lab.run(["sh", "-c", script, "sh", *nsctl_argv(*words, "--", "sh", "-c", look)], env=ENVIRONMENT)
    fds = ["0", "1", "2", "3"]  # the fourth is that of `ls`
    if way == "workload":
        poll(lambda: lab.read(LOG).endswith("lib\n"))
        assert lab.read(LOG).split() == [*fds, "/usr/lib"], done
    else:
        assert done.stdout.split() == [*fds, ".:", "/run/nsctl", "tmpfs.1"], done
    tally.note("escape", survived=True)


def test_a_workload_has_no_terminal(lab: Lab, tally: Tally) -> None:
    look = "(: </dev/tty) 2>/dev/null || echo none; sleep 0.5"
    with terminal(lab, *nsctl_argv("up", "none", "--", "sh", "-c", look)) as screen:
        assert screen.end() == 0
    assert poll(lambda: lab.read(LOG) == "none\n")
    tally.note("escape", survived=True)


@pytest.mark.parametrize("request_", ["TIOCSTI", "0x541C", "termios.TIOCSTI | 1 << 32"])
@pytest.mark.parametrize("words", [("exec", "web"), ("run", "none")], ids=["exec", "run"])
def test_it_types_nothing_into_the_callers_terminal(
    words: tuple[str, str], request_: str, lab: Lab, tally: Tally
) -> None:
    lab.nsctl("up", "none", "--name", "web", check=True)
    with terminal(lab, *nsctl_argv(*words, "--", sys.executable, "-I", "-c", TYPE, request_)) as screen:
        screen.end()
    assert "Operation not permitted" in screen.screen, screen.screen
    tally.note("escape", survived=True)


def test_a_privileged_one_may(lab: Lab) -> None:
    if lab.read(LEGACY).strip() == "0":
        pytest.skip("this kernel lets no program type into its terminal (dev.tty.legacy_tiocsti)")
    lab.nsctl("up", "none", "--name", "web", "--privileged", check=True)
    with terminal(lab, *nsctl_argv("exec", "web", "--", sys.executable, "-I", "-c", TYPE, "TIOCSTI")) as screen:
        screen.end()
    assert "was typed" in screen.screen, screen.screen
