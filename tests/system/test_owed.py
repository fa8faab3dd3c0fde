"""
What nsctl owes after a failure or a kill, it gives back: whole, in order, and however often it is asked in between.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.lab import Lab, Shims, assert_same, shim
from tests.system.alike import alike

FILE = "/run/lab.toml"
NETWORK = '[network.lan]\nmode = "bridge"\nsubnet = "10.0.3.0/24"\n'
OWNER = '[sandbox.z]\nnetwork = "lan"\ncommand = ["sleep", "1000"]\n'
SHARER = '[sandbox.a]\nmode = "container"\ntarget = "z"\n'
LAB = NETWORK + OWNER + SHARER
CHAIN = LAB + '[sandbox.b]\nmode = "container"\ntarget = "a"\n'


def apply(lab: Lab, text: str) -> subprocess.CompletedProcess[str]:
    lab.write(FILE, text)
    return lab.nsctl("apply", FILE)


def listed(lab: Lab) -> dict[str, tuple[str, object, object]]:
    found = json.loads(lab.nsctl("ls", "--json", check=True).stdout)
    return {one["name"]: (one["state"], one["addresses"], one["network"]) for one in found}


def up(lab: Lab, text: str) -> Shims:
    shims = shim(lab, ["ip", "unshare"])  # first: a process shows by which path it was started
    done = apply(lab, text)
    assert (done.returncode, done.stderr) == (0, ""), done
    return shims


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LAB, NETWORK + OWNER.replace("1000", "2000")),  # who shares is gone for good
        (LAB, NETWORK + '[sandbox.w]\nnetwork = "lan"\n'),  # both are
        (LAB, NETWORK + '[sandbox.a]\nnetwork = "lan"\n[sandbox.z]\nmode = "container"\ntarget = "a"\n'),
        (CHAIN, CHAIN.replace("1000", "2000")),
    ],
)
def test_who_shares_a_network_is_brought_back_after_its_owner(lab: Lab, before: str, after: str) -> None:
    shims = up(lab, before)
    shims.plan({})
    assert apply(lab, after).returncode == 0
    number = next(n for n, call in enumerate(shims.calls, 1) if call.argv[0].endswith("unshare"))
    assert apply(lab, before).returncode == 0
    there, shown = alike(lab), listed(lab)
    shims.plan({number: "fail-before"})
    done = apply(lab, after)
    assert (done.returncode, len(shims.injected)) == (1, 1), done
    assert "everything was undone" in done.stderr
    lab.write(FILE, before)
    assert_same(there, alike(lab))
    assert listed(lab) == shown


def test_what_could_not_be_brought_back_is_owed_until_it_is(lab: Lab) -> None:
    shims = up(lab, LAB)
    there, shown = alike(lab), listed(lab)
    shims.plan({"unshare*": "kill-parent-before"})
    lab.write(FILE, NETWORK + OWNER.replace("1000", "2000"))
    assert lab.nsctl("apply", FILE).returncode == -9
    shims.plan({"unshare*": "fail-before"})
    done = lab.nsctl("up", "none", "--name", "x", "--isolate", "net")
    assert (done.returncode, "still left: sandbox z could not be brought back" in done.stderr) == (0, True), done
    lab.nsctl("down", "x")
    assert lab.nsctl("recover").returncode == 3
    shims.plan({})
    done = lab.nsctl("recover")
    assert done.returncode == 0
    assert "z: brought back" in done.stdout
    assert "a: brought back" in done.stdout
    lab.write(FILE, LAB)
    assert_same(there, alike(lab))
    assert listed(lab) == shown
    assert lab.nsctl("recover").stdout == "nothing to recover\n"


def test_what_a_step_was_built_on_goes_after_it_even_if_only_steps_without_a_command_link_them(lab: Lab) -> None:
    words = ("up", "bridge", "--subnet", "10.0.3.0/24", "--name", "web", "--isolate", "net")
    plan = json.loads(lab.nsctl(*words, "--dry-run", "--format", "json", check=True).stdout)
    place = next(n for n, step in enumerate(plan["steps"]) if step["key"] == "up/nsbr0")
    route = {
        "key": "route/of-ours",
        "why": "a network behind the bridge",
        "do": {"kind": "run", "argv": ["ip", "route", "add", "10.77.0.0/24", "dev", "nsbr0"]},
        "undo": [{"kind": "run", "argv": ["ip", "route", "del", "10.77.0.0/24", "dev", "nsbr0"]}],
        "after": ["up/nsbr0"],
    }
    plan["steps"].insert(place + 1, route)
    lab.write("/run/plan.json", json.dumps(plan))
    lab.nsctl("apply", "/run/plan.json", check=True)
    done = lab.nsctl("down", "web")
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_started_in_a_strangers_namespace_that_a_plan_names_by_a_pid(lab: Lab) -> None:
    someone = "unshare --net sleep 1000 >/dev/null 2>&1 & echo $!"
    pid = lab.run(["sh", "-c", f"{someone}; sleep 0.3"], check=True).stdout.strip()
    words = ("--name", "c", "--dry-run", "--format", "json", "--", "touch", "/run/ran")
    saved = lab.nsctl("up", "container", "--target", pid, *words, check=True).stdout
    # Held on to, or the kernel gives its number to the stranger's.
    lab.run(["ip", "netns", "attach", "pin", pid], check=True)
    again = f"kill -9 {pid}; sleep 0.1; echo {int(pid) - 1} >/proc/sys/kernel/ns_last_pid; {someone}; sleep 0.3"
    assert lab.run(["sh", "-c", again], check=True).stdout.strip() == pid
    lab.write("/run/plan.json", saved)
    assert lab.nsctl("apply", "/run/plan.json").returncode != 0
    assert not lab.exists("/run/ran")


KILLED = """\
import os
import sys
from nsctl.engine.store.journal import Journal

Journal.finish = lambda *_: os.kill(os.getpid(), 9)
from nsctl.engine.cli import main

main(["up", "none", "--name", "a", "--isolate", "net", "--confirm", "1s"])
"""


def test_who_is_killed_right_before_the_end_has_a_watcher_that_undoes_what_nobody_confirms(lab: Lab) -> None:
    assert lab.run([sys.executable, "-I", "-c", KILLED]).returncode == -9
    deadline = time.monotonic() + 20
    while lab.exists("/run/netns/a"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_workload_ignores_and_blocks_no_signal(lab: Lab) -> None:
    for name, words in (("a", ["none"]), ("b", ["host", "--isolate", "uts"]), ("c", ["none", "--", "sleep", "1000"])):
        lab.nsctl("up", words[0], "--name", name, *words[1:], check=True)
        pid = json.loads(lab.nsctl("inspect", name, check=True).stdout)["pid"]
        status = dict(line.split(":", 1) for line in lab.read(f"/proc/{pid}/status").splitlines())
        assert {status[key].strip() for key in ("SigIgn", "SigBlk")} == {"0" * 16}, (name, status)
