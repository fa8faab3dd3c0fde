from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from nsctl.engine.model.effects import CommandSucceeds, LinkSet
from nsctl.engine.model.plan import Plan, Step
from tests.engine.executor import plans
from tests.engine.executor.conftest import Answer, Executor
from tests.lab import Lab, Snapshot, assert_back, assert_same, diff, needs, snapshot

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

FUSED = pytest.mark.parametrize("fuse", [True, False], ids=["fused", "one by one"])
KEYS = [step.key for step in plans.plan().steps if not step.is_claim]


@FUSED
def test_up_and_down_leave_the_host_as_it_was(executor: Executor, lab: Lab, *, fuse: bool) -> None:
    options = {"fuse": fuse}
    before = snapshot(lab)
    assert executor.up(plans.plan(), options=options).good().value == ["web"]
    assert executor.ask("check").good().value == []
    assert executor.ask("list").good().value == {"web": "up"}
    assert executor.ask("down", "web", options=options).good().value == ["web"]
    assert_back(lab, before)


def test_fused_and_one_by_one_make_the_same_host(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan(), options={"fuse": True}).good()
    fused = comparable(lab)
    executor.ask("down", "web").good()
    executor.up(plans.plan(), options={"fuse": False}).good()
    assert_like(lab, fused)


@FUSED
@pytest.mark.parametrize("change", [plans.failing, plans.half_done])
def test_a_step_that_fails_anywhere_leaves_the_host_as_it_was(
    executor: Executor, lab: Lab, change: Callable[[Step], Step], *, fuse: bool
) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    options = {"fuse": fuse, "step_timeout": 0.4}
    for key in KEYS:
        answer = executor.up(plans.changed(plans.plan(), key, change), options=options)
        assert (answer.error, answer.exit) == ("StepFailed", 1), (key, answer)
        failed = [event[1] for event in answer.events if event[0] == "StepFailed"]
        assert key in failed, (key, answer)
        assert answer.events[-1] == ["PlanFinished", "", "", "", "undone"], (key, answer)
        assert_back(lab, before)
        assert executor.ask("steps").good().value == {}


def test_the_message_names_the_step_the_command_and_what_the_tool_said(executor: Executor) -> None:
    answer = executor.up(plans.changed(plans.plan(), "up/web:eth0", plans.failing))
    assert "a cable" not in answer.message
    assert 'step 13 of 18 (up) failed: ip -n web link set dev nope up: Cannot find device "nope"' in answer.message


def test_a_line_that_ip_cannot_parse_is_blamed_on_its_own_step(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)

    def unparsable(step: Step) -> Step:
        return replace(step, do=plans.command("ip", "link", "set", "dev", "br7", "master", "nope"))

    answer = executor.up(plans.changed(plans.plan(), "up/ns-web", unparsable))
    assert answer.error == "StepFailed"
    assert "ip link set dev br7 master nope" in answer.message
    assert_back(lab, before)


def test_an_undo_that_ip_cannot_parse_does_not_keep_the_others_from_being_undone(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    odd = Step(
        "odd",
        "its undo is no command",
        plans.command("ip", "link", "set", "dev", "br7", "promisc", "on"),
        (plans.command("ip", "link", "set", "dev", "br7", "master", "nope"),),
        LinkSet("br7", "promisc", "on"),
        after=("link/ns-web",),
    )
    wanted = plans.plan()
    executor.up(replace(wanted, steps=(*wanted.steps, odd))).good()
    executor.ask("down", "web").good()
    assert_back(lab, before)


# Sharing.


def test_two_sandboxes_share_steps_and_the_last_one_undoes_them(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    executor.up(plans.plan("web", 2)).good()
    alone = snapshot(lab)
    second = executor.up(plans.plan("db", 3)).good()
    done = {event[1] for event in second.events if event[0] == "StepDone"}
    assert done == {step.key for step in plans.sandbox("db", 3)} - {"dir/sandboxes"}
    executor.ask("down", "db").good()
    assert_back(lab, alone)
    executor.up(plans.plan("db", 3)).good()
    executor.ask("down", "web").good()
    assert executor.ask("check").good().value == []
    executor.ask("down", "db").good()
    assert_back(lab, before)


def test_several_plans_are_one_transaction(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    bad = plans.changed(plans.plan("c", 4), "route/c:default", plans.failing)
    answer = executor.up(plans.plan("a", 2), plans.plan("b", 3), bad)
    assert answer.error == "StepFailed"
    assert_back(lab, before)
    assert executor.up(plans.plan("a", 2), plans.plan("b", 3), plans.plan("c", 4)).good().value == ["a", "b", "c"]
    executor.ask("down", "a", "b", "c").good()
    assert_back(lab, before)


def test_a_failure_takes_nothing_from_the_other_holders(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = snapshot(lab)
    for key in [step.key for step in plans.sandbox("db", 3) if step.key != "dir/sandboxes"]:
        assert executor.up(plans.changed(plans.plan("db", 3), key, plans.failing)).error == "StepFailed", key
        assert_back(lab, before)


def test_other_work_for_a_step_that_is_held_is_refused(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = snapshot(lab)
    other = Plan("t", "db", {}, (*plans.network(gateway="10.9.7.254/24"), *plans.sandbox("db", 3)), ("net",))
    answer = executor.up(other)
    assert (answer.error, answer.exit) == ("Conflict", 2)
    assert "addr/br7 is held by web" in answer.message
    assert "10.9.7.254/24" in answer.message
    assert answer.events == []
    assert_same(before, snapshot(lab))


def test_two_plans_that_want_one_step_in_two_ways_are_refused(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    other = Plan("t", "db", {}, (*plans.network(gateway="10.9.7.254/24"), *plans.sandbox("db", 3)), ("net",))
    assert executor.up(plans.plan("web", 2), other).error == "Conflict"
    assert_same(before, snapshot(lab))


# Strangers.


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        ("ip link add br7 type bridge", "link/br7"),
        ("ip link add br7 type veth peer name br8", "link/br7"),
        ("ip netns add web", "netns/web"),
        ("sysctl -qw net.ipv4.conf.lo.forwarding=1", "sysctl/lo"),
        ("mkdir -p /run/nsctl/sandboxes/web", "dir/sandboxes"),
        ("install -D -m 600 /etc/hostname /run/nsctl/sandboxes", "dir/sandboxes"),
        ("iptables -N NSCTL-T", "chain/4/filter/T"),
    ],
)
def test_what_is_there_already_is_refused_before_anything_is_changed(
    executor: Executor, lab: Lab, words: str, taken: str
) -> None:
    executor.ask("list").good()
    lab.run(words.split(), check=True)
    before = snapshot(lab)
    answer = executor.up(plans.plan())
    assert (answer.error, answer.exit) == ("Conflict", 2), answer
    assert answer.message.startswith(f"{taken} is ")
    assert answer.events == []
    assert_same(before, snapshot(lab))


def test_a_missing_tool_is_refused_before_anything_is_changed(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    wanted = plans.changed(plans.plan(), "init/web", lambda s: replace(s, do=plans.command("no-such-tool")))
    answer = executor.up(wanted)
    assert (answer.error, answer.exit) == ("Refused", 2)
    assert "no-such-tool" in answer.message
    assert answer.events == []
    assert_same(before, snapshot(lab))


def test_a_strangers_replacement_is_left_alone_by_down(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan()).good()
    lab.run(["ip", "link", "del", "br7"], check=True)
    lab.run(["ip", "link", "add", "br7", "address", "02:aa:bb:cc:dd:ee", "type", "bridge"], check=True)
    answer = executor.ask("down", "web").good()
    assert any("br7" in warning and "left alone" in warning for warning in answer.warnings)
    assert lab.run(["ip", "link", "show", "br7"]).returncode == 0
    lab.run(["ip", "link", "del", "br7"], check=True)


# Undoing that fails.


def stubborn(wanted: Plan) -> Plan:
    """The plan with a step whose undo fails as long as /run/stubborn exists."""
    step = Step(
        "stubborn",
        "hard to get rid of",
        plans.command("sh", "-c", "echo x > /run/stubborn-thing"),
        (plans.command("sh", "-c", "test ! -e /run/stubborn && rm /run/stubborn-thing"),),
        CommandSucceeds(("test", "-e", "/run/stubborn-thing")),
        after=("netns/web",),
    )
    return replace(wanted, steps=(*wanted.steps[:-1], step, wanted.steps[-1]))


@FUSED
def test_an_undo_that_fails_is_named_kept_and_tried_again(executor: Executor, lab: Lab, *, fuse: bool) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    lab.write("/run/stubborn", "")
    bad = plans.changed(stubborn(plans.plan()), "init/web", plans.failing)
    answer = executor.up(bad, options={"fuse": fuse})
    assert (answer.error, answer.exit) == ("RollbackFailed", 3)
    assert "stubborn" in answer.message
    assert answer.events[-1][-1] == "left"
    lab.run(["rm", "/run/stubborn"], check=True)
    left = diff(before, snapshot(lab))
    assert [line.split(":")[:2] for line in left] == [["files", " + /run/stubborn-thing"]]
    executor.ask("recover", options={"fuse": fuse}).good()
    assert_back(lab, before)
    assert executor.ask("steps").good().value == {}


def test_down_goes_on_past_an_undo_that_fails_and_can_be_repeated(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    executor.up(stubborn(plans.plan())).good()
    lab.write("/run/stubborn", "")
    answer = executor.ask("down", "web")
    assert (answer.error, answer.exit) == ("RollbackFailed", 3)
    answer = executor.ask("recover")
    assert (answer.error, answer.exit) == ("RollbackFailed", 3)
    assert "stubborn" in answer.message
    lab.run(["rm", "/run/stubborn"], check=True)
    executor.ask("recover").good()
    assert_back(lab, before)
    assert executor.ask("list").good().value == {}


# A store that stops working half-way.


def test_a_journal_that_fills_up_anywhere_leaves_the_host_as_it_was(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    for n in range(1, 20):
        answer = executor.up(plans.plan(), refuse=n)
        if not answer.error:
            break
        assert (answer.error, answer.exit) == (("Unwritable", 2) if n == 1 else ("StepFailed", 1)), (n, answer)
        assert_back(lab, before)
        assert executor.ask("steps").good().value == {}, n
    assert n > 4


# SIGKILL.


def writes_of(ask: Callable[[int], Answer]) -> int:
    for n in range(1, 40):
        if ask(n).killed is None:
            return n - 1
    raise AssertionError("endless")


@FUSED
@pytest.mark.parametrize("when", ["before", "after"])
def test_up_killed_at_any_write_is_cleaned_up_by_the_next_nsctl(
    executor: Executor, lab: Lab, when: str, *, fuse: bool
) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    first = 1 if when == "before" else 2
    for n in range(first, 60, 1 if fuse else 4):  # one by one, there are two writes per step
        answer = executor.up(plans.plan(), kill=[n, when], options={"fuse": fuse})
        if answer.killed is None:
            break
        assert answer.killed == -9
        if lab_is_up(executor):  # the last write, that of success, was over
            executor.ask("down", "web").good()
        assert_back(lab, before)
        assert executor.ask("steps").good().value == {}, n
    assert n > (5 if fuse else 30)


def lab_is_up(executor: Executor) -> bool:
    return bool(executor.ask("list").good().value == {"web": "up"})


@pytest.mark.parametrize("when", ["before", "after"])
def test_down_killed_at_any_write_is_completed_by_the_next_nsctl(executor: Executor, lab: Lab, when: str) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    for n in range(1, 20):
        if executor.ask("list").good().value != {"web": "up"}:
            executor.up(plans.plan()).good()
        answer = executor.ask("down", "web", kill=[n, when])
        if answer.killed is None:
            break
        if (n, when) != (1, "before"):
            assert executor.ask("list").good().value == {}
            assert_back(lab, before)
    assert n > 3
    assert_back(lab, before)


def test_recovery_killed_at_any_write_is_completed_by_the_next_one(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    for n in range(1, 20):
        assert executor.up(plans.plan(), kill=[6, "after"]).killed == -9
        answer = executor.ask("recover", kill=[n, "after"])
        executor.ask("recover").good()
        assert_back(lab, before)
        if answer.killed is None:
            break
    assert n > 2


def test_a_second_sandbox_killed_anywhere_takes_nothing_from_the_first(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = snapshot(lab)
    for n in range(1, 20):
        answer = executor.up(plans.plan("db", 3), kill=[n, "after"])
        if answer.killed is None:
            break
        if "db" in executor.ask("list").good().value:
            executor.ask("down", "db").good()
        assert_back(lab, before)
        assert executor.ask("check").good().value == []
    assert n > 4


@pytest.mark.parametrize("when", ["before", "after"])
def test_mending_a_shared_step_killed_anywhere_leaves_nothing_that_only_looks_broken(
    executor: Executor, lab: Lab, when: str
) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = snapshot(lab)
    for n in range(1, 20):
        lab.run(["iptables", "-F", plans.CHAIN], check=True)
        answer = executor.up(plans.plan("db", 3), kill=[n, when])
        killed = answer.killed is not None
        if "db" in executor.ask("list").good().value:
            executor.ask("down", "db").good()
        executor.ask("repair").good()
        assert executor.ask("check").good().value == [], n
        assert_back(lab, before)
        if not killed:
            break
    assert n > 4


def test_a_namespace_is_marked_before_a_process_can_stay_in_it(executor: Executor) -> None:
    # After a kill in between, recovery would take it for a stranger's, since somebody uses it.
    plan = plans.plan()
    keys = {"dir/sandboxes", "dir/web", "netns/web", "init/web"}
    bare = replace(plan, steps=tuple(s for s in plan.steps if s.key in keys))
    events = [event[:2] for event in executor.up(bare).good().events]
    assert events.index(["StepDone", "netns/web"]) < events.index(["StepStarted", "init/web"])


# Signals.


def test_a_signal_at_any_event_rolls_back_and_a_second_one_does_not_stop_that(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    events = len(executor.up(plans.plan()).good().events)
    executor.ask("down", "web").good()
    for n in range(1, events, 5):
        for name, status in (("INT", 130), ("TERM", 143)):
            answer = executor.up(plans.plan(), signal=[n, name, n + 4, "HUP"])
            if (answer.error, n) == ("", n):
                assert executor.ask("list").good().value == {"web": "up"}  # it came after the last step
                executor.ask("down", "web").good()
            else:
                assert (answer.error, answer.exit) == ("Interrupted", status), (n, answer)
            assert_back(lab, before)


# Replacing.


def test_replacing_takes_the_old_one_down_first(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    assert executor.up(plans.plan("web", 9), replace=["web"]).good().value == ["web"]
    assert "10.9.7.9/24" in lab.run(["ip", "-n", "web", "addr"]).stdout
    assert executor.ask("check").good().value == []
    executor.ask("down", "web").good()


def test_a_replacement_that_fails_anywhere_brings_the_old_one_back(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = comparable(lab)
    for key in [step.key for step in plans.sandbox("web", 9)]:
        answer = executor.up(plans.changed(plans.plan("web", 9), key, plans.failing), replace=["web"])
        assert (answer.error, answer.exit) == ("StepFailed", 1), (key, answer)
        assert_like(lab, before, key)
        assert executor.ask("list").good().value == {"web": "up"}
        assert executor.ask("check").good().value == []
    executor.ask("down", "web").good()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_replacement_killed_anywhere_brings_the_old_one_back(executor: Executor, lab: Lab, when: str) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = comparable(lab)
    for n in range(1 if when == "before" else 2, 30, 2):
        answer = executor.up(plans.plan("web", 9), replace=["web"], kill=[n, when])
        if answer.killed is None:
            break
        assert executor.ask("list").good().value == {"web": "up"}, n
        assert executor.ask("check").good().value == [], n
        if "10.9.7.9/24" in lab.run(["ip", "-n", "web", "addr"]).stdout:  # the write of success was over
            executor.up(plans.plan("web", 2), replace=["web"]).good()
        assert_like(lab, before, n)
    assert n > 8


def test_a_replacement_that_is_signalled_brings_the_old_one_back(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = comparable(lab)
    for n in range(1, 50, 7):
        answer = executor.up(plans.plan("web", 9), replace=["web"], signal=[n, "TERM", n + 2, "INT"])
        if not answer.error:
            break  # it came after the last step
        assert (answer.error, answer.exit) == ("Interrupted", 143), (n, answer)
        assert executor.ask("list").good().value == {"web": "up"}, n
        assert executor.ask("check").good().value == [], n
        assert_like(lab, before, n)
    assert n > 20


def assert_like(lab: Lab, before: Snapshot, note: object = None) -> None:
    """The host is like that, or comes to be: carriers take a moment."""
    for _ in range(50):
        if not diff(before, comparable(lab)):
            return
        time.sleep(0.02)
    raise AssertionError(f"{note}: {diff(before, comparable(lab))}")


def comparable(lab: Lab) -> Snapshot:
    """The host without what is different each time a thing is made."""
    now = snapshot(lab, ifindex=False).without("processes", "namespaces", "files", "mounts")
    for link in now.sections["links"].values():
        link.pop("link_netnsid", None)
    return now


def test_a_replacement_whose_old_one_cannot_be_taken_down_says_what_is_left(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    executor.up(stubborn(plans.plan("web", 2))).good()
    lab.write("/run/stubborn", "")
    answer = executor.up(plans.plan("web", 9), replace=["web"])
    assert (answer.error, answer.exit) == ("RollbackFailed", 3), answer
    assert "stubborn" in answer.message
    lab.run(["rm", "/run/stubborn"], check=True)
    executor.ask("recover").good()
    assert executor.ask("list").good().value == {"web": "up"}
    assert executor.ask("check").good().value == []
    executor.ask("down", "web").good()
    assert_back(lab, before)


# Checking and repairing.


@pytest.mark.parametrize(
    ("words", "drifts"),
    [
        ("ip link del ns-web", ["link/ns-web"]),
        ("ip link set br7 down", ["up/br7"]),
        ("ip addr flush dev br7", ["addr/br7"]),
        ("iptables -F NSCTL-T", ["rule/4/filter/T/1"]),
        ("iptables -F NSCTL-T;iptables -X NSCTL-T", ["chain/4/filter/T"]),
        ("sysctl -qw net.ipv4.conf.lo.forwarding=0", ["sysctl/lo"]),
        ("ip -n web route del default", ["route/web:default"]),
        ("ip link set ns-web nomaster", ["link/ns-web"]),
        ("rm /run/nsctl/sandboxes/web/hosts", ["file/web"]),
        ("pkill -KILL -F /run/nsctl/sandboxes/web/init.pid", ["init/web"]),
        ("ip link del br7", ["link/br7"]),
        ("umount /run/netns/web;rm /run/netns/web", ["netns/web"]),
        ("ip netns del web", ["netns/web"]),
    ],
)
def test_drift_is_seen_named_and_repaired(executor: Executor, lab: Lab, words: str, drifts: list[str]) -> None:
    executor.ask("list").good()
    clean = snapshot(lab)
    executor.up(plans.plan()).good()
    before = comparable(lab)
    for line in words.split(";"):
        lab.run(line.split(), check=True)
    found = [drift[0] for drift in executor.ask("check").good().value]
    assert drifts[0] in found
    executor.ask("repair").good()
    assert executor.ask("check").good().value == []
    assert_like(lab, before)
    executor.ask("down", "web").good()
    assert_back(lab, clean)


def test_repair_never_overwrites_a_strangers_thing(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan()).good()
    lab.run(["ip", "link", "del", "br7"], check=True)
    lab.run(["ip", "link", "add", "br7", "address", "02:aa:bb:cc:dd:ee", "type", "bridge"], check=True)
    theirs = lab.run(["ip", "addr", "show", "br7"], check=True).stdout
    executor.ask("repair")
    assert lab.run(["ip", "addr", "show", "br7"], check=True).stdout == theirs  # nor is it given anything
    assert ["link/br7", "foreign"] in [drift[:2] for drift in executor.ask("check").good().value]


def test_a_renamed_link_is_found_and_taken_away(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    executor.up(plans.plan()).good()
    for line in ("ip link set ns-web down", "ip link set ns-web name other", "ip link set other up"):
        lab.run(line.split(), check=True)
    assert ["link/ns-web", "changed", "renamed to other"] in executor.ask("check").good().value
    executor.ask("down", "web").good()
    assert_back(lab, before)
