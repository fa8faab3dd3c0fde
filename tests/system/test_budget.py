"""
How many processes it takes, and what is loaded: deterministic, where times are not.

Sandboxes here have only a network namespace, since strace waits for every process that nsctl leaves behind.
What only looks (`iptables-save`) is counted apart: one look at the rules of the host wherever rules are concerned, one
more before anything is said to be up or gone, and one while planning where a jump from the host's own chains is new.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass

import pytest

from tests.lab import TOOLS, Lab, nsctl_strace, shim

pytestmark = pytest.mark.needs("strace")

EXECVE = re.compile(r'execve\("[^"]*", \[(.*)\], .* = 0$')
BRIDGE = ("up", "bridge", "--subnet", "10.0.3.0/24", "--isolate", "net", "--name")
LAB = '[sandbox.c]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\nisolate = ["net"]\ncount = {}\n'


@dataclass(frozen=True)
class Started:
    """The processes that one nsctl started: those that do something, and those that only look."""

    work: list[list[str]]
    looks: list[list[str]]


def started(lab: Lab, *words: str) -> Started:
    traced = nsctl_strace(lab, *words, trace="execve", follow=True)
    assert traced.process.returncode == 0, traced.process.stderr
    found = [re.findall(r'"([^"]*)"', match[1]) for line in traced.calls if (match := EXECVE.search(line))]
    calls = [[argv[0].rsplit("/", 1)[-1], *argv[1:]] for argv in found[1:]]  # the first is nsctl
    looks = [argv for argv in calls if argv[0].endswith("-save")]
    work = [argv for argv in calls if argv not in looks]
    for argv in work:
        assert "-D" not in argv, argv
        assert "-C" not in argv, argv
        assert argv[:3] != ["ip", "link", "del"], argv
    return Started(work, looks)


def within(found: Started, work: int, looks: int) -> None:
    assert len(found.work) <= work, found.work
    assert len(found.looks) <= looks, found.looks


def test_the_first_attach_takes_four_processes_and_three_looks(lab: Lab) -> None:
    within(started(lab, *BRIDGE, "a"), 4, 3)


def test_each_further_attach_takes_three_processes_and_two_looks(lab: Lab) -> None:
    lab.nsctl(*BRIDGE, "a", check=True)
    for name in ("b", "c"):
        within(started(lab, *BRIDGE, name), 3, 2)


def test_an_init_takes_eight_programs_of_which_two_stay(lab: Lab) -> None:
    init = ["sh", "unshare", "sh", "umount", "mount", "setpriv", "sh", "sleep"]
    command = ["ip", "nsenter", "setpriv", "sh", "true"]  # the shell goes to its directory, and says what is not found
    found = Counter(argv[0] for argv in started(lab, "run", "none", "--", "true").work)
    assert found["sh"] == 4
    assert found <= Counter([*init, *command, "ip"]), found  # an ip for the network's end, too


def test_a_detach_takes_two_processes_and_the_last_one_six_and_two_looks(lab: Lab) -> None:
    for name in ("a", "b", "c"):
        lab.nsctl(*BRIDGE, name, check=True)
    for name in ("c", "a"):
        within(started(lab, "down", name), 2, 0)
    within(started(lab, "down", "b"), 6, 2)  # three for links that came meanwhile


def test_many_at_once_take_one_process_each_and_four_and_go_with_six(lab: Lab) -> None:
    for number in (2, 8, 20):
        lab.write("/run/lab.toml", LAB.format(number))
        within(started(lab, "apply", "/run/lab.toml"), number + 4, 3)
        within(started(lab, "down", "--file", "/run/lab.toml"), 6, 2)


def test_what_leaves_a_file_goes_with_two_processes_however_many_there_are(lab: Lab) -> None:
    lab.write("/run/lab.toml", LAB.format(12))
    lab.nsctl("apply", "/run/lab.toml", check=True)
    lab.write("/run/lab.toml", LAB.format(2))
    within(started(lab, "apply", "/run/lab.toml"), 2, 0)


def test_an_apply_that_has_nothing_to_do_looks_once_and_so_does_a_dry_run_of_a_way_out(lab: Lab) -> None:
    lab.write("/run/lab.toml", LAB.format(3))
    within(started(lab, "apply", "/run/lab.toml", "--dry-run"), 0, 1)
    lab.nsctl("apply", "/run/lab.toml", check=True)
    within(started(lab, "apply", "/run/lab.toml"), 0, 1)  # the look at what is left as it is
    for words in (["ls"], ["inspect", "c-1"], ["down", "c-1", "--dry-run"]):
        within(started(lab, *words), 0, 0)
    within(started(lab, *BRIDGE, "d", "--dry-run"), 0, 1)  # whether it would get out


def test_no_batch_moves_links_deletes_single_rules_or_many_links_one_by_one(lab: Lab) -> None:
    lab.write("/run/lab.toml", LAB.format(6))
    shims = shim(lab, [*TOOLS, "iptables-nft-restore", "iptables-legacy-restore"], record=True)
    lab.nsctl("apply", "/run/lab.toml", check=True)
    lab.nsctl("down", "--file", "/run/lab.toml", check=True)
    assert not [c.argv for c in shims.calls if {"-D", "-C"} & set(c.argv)]
    lines = [line for c in shims.calls for line in (c.stdin or "").splitlines()]
    verbs = Counter(line.split()[0] for line in lines)
    assert (verbs["-C"], verbs["-N"] > 0, verbs["-F"] > 0) == (0, True, True)
    # A rule of an own chain goes with its chain; one `-D` for each jump from a chain of the host's is what remains.
    jumps = [line for line in lines if line.startswith(("-A FORWARD", "-A PREROUTING", "-A POSTROUTING"))]
    assert verbs["-D"] <= len(jumps) <= 4
    assert not [line for line in lines if re.match(r"link set (dev )?\S+ netns", line)]
    assert not [line for line in lines if line.startswith("link del dev ns-")]
    assert sum(line.startswith("link del") for line in lines) == 1


GUARD = (
    "import sys\n"
    "from nsctl.engine.cli import main\n"
    "status = main(sys.argv[1:])\n"
    "heavy = ['rich', 'pydantic', 'asyncio', 'urllib.request']\n"
    "print([m for m in heavy if m in sys.modules], status)\n"
)


def test_heavy_libraries_are_never_loaded(lab: Lab) -> None:
    lab.write("/run/lab.toml", LAB.format(2))
    for words in (
        ["--version"],
        [*BRIDGE, "web", "--dry-run"],
        ["up", "bridge", "--subnet", "10.0.3.0/24", "--name", "web", "--", "sleep", "60"],
        ["apply", "/run/lab.toml", "--dry-run"],
        ["apply", "/run/lab.toml"],
        ["ls"],
        ["inspect", "web"],
        ["exec", "web", "--", "true"],
        ["down", "web", "--dry-run"],
        ["down", "--file", "/run/lab.toml"],
        ["down", "web"],
    ):
        done = lab.run([sys.executable, "-I", "-c", GUARD, *words], check=True)
        assert done.stdout.splitlines()[-1] == "[] 0", words
