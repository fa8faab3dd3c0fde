from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nsctl.engine.model.plan import Step
from tests.engine.executor import plans
from tests.engine.executor.conftest import Executor
from tests.lab import Lab, assert_back, full, needs, set_boot_id, snapshot

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

STORE = "/run/nsctl/state.db"


def up(plan: plans.Plan, **request: object) -> dict[str, object]:
    return {"operation": "up", "plans": [plan.to_json()], **request}


# One session, several operations.


def test_after_an_undo_in_the_same_session_a_write_that_fails_is_an_error_again(executor: Executor) -> None:
    executor.up(plans.plan("web", 2)).good()
    executor.up(plans.plan("db", 3)).good()
    down = {"operation": "down", "names": ["db"]}
    answers = executor.ask("several", requests=[down, up(plans.plan("new", 4))], refuse=1).good().value
    assert [answer["error"] for answer in answers] == ["", "Unwritable"]
    executor.up(plans.plan("db", 3)).good()
    assert executor.ask("check").good().value == []


def test_after_a_rollback_in_the_same_session_signals_count_again(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    bad = plans.changed(plans.plan(), "init/web", plans.failing)
    first = len(executor.up(bad).events)
    answers = executor.ask("several", requests=[up(bad), up(plans.plan())], signal=[first + 12, "TERM"]).good().value
    assert [answer["error"] for answer in answers] == ["StepFailed", "Interrupted"]
    assert_back(lab, before)


# Faults of the store.


def test_a_damaged_store_is_set_aside_and_named_and_nothing_is_touched(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan()).good()
    before = snapshot(lab)
    content = lab.call(Path(STORE).read_bytes)
    lab.write(STORE, content[:4096] + b"\xff" * 3000 + content[7096:])
    answer = executor.ask("down", "web")
    assert (answer.error, answer.exit) == ("Refused", 2), answer
    assert "state.db.damaged-" in answer.message
    assert snapshot(lab) == before
    # Without it nothing is known, and nothing of what is there is taken for nsctl's own to use.
    answer = executor.up(plans.plan())
    assert (answer.error, answer.exit) == ("Conflict", 2), answer
    assert snapshot(lab) == before


def test_a_damaged_store_is_no_empty_one_for_whoever_only_looks(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan()).good()
    lab.write(STORE, b"junk" * 5000)
    answer = executor.ask("look")
    assert answer.error == "Damaged"
    assert lab.exists(STORE)


def test_after_a_reboot_that_the_state_survived_everything_begins_anew(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    executor.up(plans.plan()).good()
    # What a reboot does to the kernel's state, and the files that stay.
    lab.run(["pkill", "-KILL", "-F", "/run/nsctl/sandboxes/web/init.pid"])
    for words in ("ip link del ns-web", "ip link del br7", "umount /run/netns/web"):
        lab.run(words.split(), check=True)
    for words in ("iptables -F NSCTL-T", "iptables -X NSCTL-T", "sysctl -qw net.ipv4.conf.lo.forwarding=0"):
        lab.run(words.split(), check=True)
    set_boot_id(lab, "11111111-2222-3333-4444-555555555555")
    assert executor.ask("look").good().value == {}
    executor.up(plans.plan()).good()
    assert executor.ask("check").good().value == []
    executor.ask("down", "web").good()
    lab.run(["umount", "/proc/sys/kernel/random/boot_id"], check=True)
    assert_back(lab, before)


def test_with_no_byte_free_a_sandbox_comes_down_and_none_comes_up(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    executor.up(plans.plan("web", 2)).good()
    with full(lab):
        between = snapshot(lab)
        answer = executor.up(plans.plan("db", 3))
        assert (answer.error, answer.exit) in (("Unwritable", 2), ("StepFailed", 1)), answer
        assert_back(lab, between)
        executor.ask("down", "web").good()
        assert_back(lab, before)
        assert executor.ask("list").good().value == {}


# Processes.


def test_a_pidfile_that_somebody_else_wrote_to_does_not_make_nsctl_kill_a_stranger(
    executor: Executor, lab: Lab
) -> None:
    pidfile = "/run/nsctl/sandboxes/web/init.pid"
    executor.up(plans.plan()).good()
    init = int(lab.read(pidfile))
    stranger = lab.popen(["sh", "-c", "echo $$ > /run/stranger; exec sleep 1000"])
    assert wait_for(lambda: lab.exists("/run/stranger") and lab.read("/run/stranger").strip() != "")
    lab.write(pidfile, lab.read("/run/stranger"))
    executor.ask("down", "web").good()
    assert stranger.poll() is None
    assert wait_for(lambda: not lab.exists(f"/proc/{init}"))


def wait_for(condition: Callable[[], bool]) -> bool:
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_what_only_kills_is_run_where_it_is_not_about_a_sandboxs_processes(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    wanted = plans.plan()
    start = "sleep 4711 >/dev/null 2>&1 9>&- &"
    helper = Step(
        "helper",
        "somebody's own helper, which it starts and ends itself",
        plans.command("sh", "-c", start),
        (plans.command("pkill", "-KILL", "-f", "^sleep 4711$"),),
        plans.CommandSucceeds(("pgrep", "-f", "^sleep 4711$")),
        after=(),
    )
    executor.up(plans.Plan("t", "web", {}, (*wanted.steps, helper), ("net",))).good()
    executor.ask("down", "web").good()
    assert_back(lab, before)


def test_nsctls_deafness_is_not_inherited_by_a_workload(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan()).good()
    pid = lab.read("/run/nsctl/sandboxes/web/init.pid").strip()
    status = dict(line.split(":\t", 1) for line in lab.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    ignored = int(status["SigIgn"], 16)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE):
        assert not ignored >> (signum - 1) & 1, signum


# Confirming.


def test_what_was_not_confirmed_in_time_goes_with_the_next_command(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    executor.up(plans.plan(), up={"confirm": 0.0}).good()
    answer = executor.ask("list").good()
    assert answer.value == {}
    assert answer.recovered == ["web: taken down, since it was not confirmed in time"]
    assert_back(lab, before)


# The lock.


def hold(lab: Lab) -> object:
    """Another nsctl holds the lock."""
    code = (
        "import fcntl, sys; f = open('/run/nsctl/lock', 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True)"
    )
    child = lab.popen([sys.executable, "-I", "-c", f"{code}; print('held', flush=True); sys.stdin.read()"], stdin=-1)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_whoever_waits_for_the_lock_too_long_is_refused(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    holder = hold(lab)
    answer = executor.up(plans.plan(), options={"lock_wait": 0.2})
    assert (answer.error, answer.exit) == ("Busy", 2)
    assert holder


def test_a_signal_while_waiting_for_the_lock_ends_the_wait_as_a_signal_does(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    holder = hold(lab)
    answer = executor.up(plans.plan(), alarm="TERM")
    assert (answer.error, answer.exit) == ("Interrupted", 143)
    assert holder


def test_after_an_operation_the_lock_is_free_although_the_sandbox_runs_on(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan()).good()

    def take() -> None:
        with open("/run/nsctl/lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    lab.call(take)
    assert json.loads(lab.run(["ip", "-j", "link", "show", "ns-web"], check=True).stdout)
    assert os.geteuid() == 0
