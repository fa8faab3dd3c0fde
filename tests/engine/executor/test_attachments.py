"""Attachments: a sandbox that is up gets a further cable, and loses it again; it and its other cables stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from nsctl.engine.model.plan import Step
from tests.engine.executor import plans
from tests.engine.executor.conftest import Answer, Executor
from tests.engine.executor.test_transactions import assert_like, comparable, stubborn
from tests.lab import Lab, assert_back, needs, snapshot

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

ETH1 = "web/eth1"
OWN = [step.key for step in plans.cable("web", 9, "eth1", "br8") if not step.is_claim]


def attached(executor: Executor) -> dict[str, str]:
    found: dict[str, str] = executor.ask("attachments").good().value
    return found


def init_of(lab: Lab) -> str:
    return lab.read("/run/nsctl/sandboxes/web/init.pid")


def refused(answer: Answer, message: str) -> None:
    assert (answer.error, answer.exit, answer.message) == ("Conflict", 2, message), answer


def test_one_is_added_and_let_go_while_the_sandbox_and_the_other_one_stay(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    before, init = snapshot(lab), init_of(lab)
    assert executor.up(plans.attaching("web", 9)).good().value == []
    executor.up(plans.attaching("web", 3, "eth2", "br7", "10.9.7.1/24")).good()
    assert attached(executor) == {ETH1: "up", "web/eth2": "up"}
    assert executor.ask("list").good().value == {"web": "up"}
    assert executor.ask("check").good().value == []
    let_go = executor.ask("down", ETH1).good()
    assert {event[1] for event in let_go.events if event[0] == "StepUndone"} >= {*OWN, "link/br8"}
    assert attached(executor) == {"web/eth2": "up"}
    assert executor.ask("check").good().value == []
    executor.ask("down", "web/eth2").good()
    assert_back(lab, before)
    assert init_of(lab) == init


def test_with_the_sandbox_all_of_them_go(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    executor.up(plans.plan("web", 2), plans.plan("db", 4)).good()
    executor.up(plans.attaching("web", 9)).good()
    executor.up(plans.attaching("web", 3, "eth2", "br7", "10.9.7.1/24")).good()
    executor.up(plans.attaching("db", 5, "eth1", "br8")).good()
    executor.ask("down", "web").good()
    assert attached(executor) == {"db/eth1": "up"}
    assert executor.ask("check").good().value == []
    executor.ask("down", "db").good()
    assert executor.ask("steps").good().value == {}
    assert_back(lab, before)


def test_what_two_of_one_sandbox_share_stays_for_the_other(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    executor.up(plans.attaching("web", 9, "eth1", "br8")).good()
    alone = snapshot(lab)
    executor.up(plans.attaching("web", 8, "eth2", "br8")).good()
    executor.ask("down", "web/eth2").good()
    assert_back(lab, alone)
    executor.ask("down", ETH1).good()
    assert "link/br8" not in executor.ask("steps").good().value


def test_drift_is_that_of_an_attachment_or_of_all_of_a_sandbox(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    executor.up(plans.attaching("web", 9)).good()
    lab.run(["ip", "link", "set", "ns-web", "down"], check=True)
    lab.run(["ip", "link", "del", "ns-web-eth1"], check=True)
    of_one = [drift[0] for drift in executor.ask("check", ETH1).good().value]
    assert "link/ns-web-eth1" in of_one
    assert "up/ns-web" not in of_one
    assert {"link/ns-web-eth1", "up/ns-web"} <= {drift[0] for drift in executor.ask("check", "web").good().value}
    assert set(executor.ask("repair", ETH1).good().value) == set(OWN)
    assert [drift[0] for drift in executor.ask("check").good().value] == ["up/ns-web"]


def test_it_needs_a_sandbox_that_is_up_and_a_name_that_is_free(executor: Executor) -> None:
    refused(executor.up(plans.attaching("web", 9)), "there is no sandbox 'web' that is up")
    executor.up(plans.plan("web", 2)).good()
    executor.up(plans.attaching("web", 9)).good()
    refused(executor.up(plans.attaching("web", 8)), "'web' has an attachment 'eth1' already")
    refused(executor.up(plans.attaching("web", 9, "eth2")), "10.9.7.9 on br8 is web's")
    assert executor.ask("down", "web/eth7").error == "Invalid"


@pytest.mark.parametrize("change", [plans.failing, plans.half_done])
def test_a_step_that_fails_anywhere_leaves_the_sandbox_as_it_was(
    executor: Executor, lab: Lab, change: Callable[[Step], Step]
) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = snapshot(lab)
    for key in [*OWN, "link/br8", "sysctl/br8"]:
        answer = executor.up(plans.changed(plans.attaching("web", 9), key, change), options={"step_timeout": 0.4})
        assert (answer.error, answer.exit) == ("StepFailed", 1), (key, answer)
        assert attached(executor) == {}
        assert executor.ask("check").good().value == []
        assert_back(lab, before)


@pytest.mark.parametrize("when", ["before", "after"])
def test_adding_that_is_killed_anywhere_adds_all_of_it_or_nothing(executor: Executor, lab: Lab, when: str) -> None:
    executor.up(plans.plan("web", 2)).good()
    before, init = snapshot(lab), init_of(lab)
    for n in range(1, 30):
        answer = executor.up(plans.attaching("web", 9), kill=[n, when])
        executor.ask("recover").good()
        assert executor.ask("list").good().value == {"web": "up"}, n
        assert executor.ask("check").good().value == [], n
        if answer.killed is None:
            break
        if attached(executor) == {ETH1: "up"}:  # the write of success was over
            executor.ask("down", ETH1).good()
        assert attached(executor) == {}
        assert_back(lab, before)
    assert (n > 4, init_of(lab)) == (True, init)


@pytest.mark.parametrize("when", ["before", "after"])
def test_letting_go_that_is_killed_anywhere_is_finished(executor: Executor, lab: Lab, when: str) -> None:
    executor.up(plans.plan("web", 2)).good()
    before, init = snapshot(lab), init_of(lab)
    for n in range(1, 30):
        executor.up(plans.attaching("web", 9)).good()
        answer = executor.ask("down", ETH1, kill=[n, when])
        executor.ask("recover").good()
        assert executor.ask("list").good().value == {"web": "up"}, n
        if attached(executor) == {ETH1: "up"}:  # before the first write
            assert n == 1
            executor.ask("down", ETH1).good()
        assert attached(executor) == {}
        assert_back(lab, before)
        if answer.killed is None:
            break
    assert (n > 2, init_of(lab)) == (True, init)


def test_on_a_full_disk_nothing_is_attached_half(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = snapshot(lab)
    for n in range(1, 12):
        answer = executor.up(plans.attaching("web", 9), refuse=n)
        if not answer.error:
            break
        assert attached(executor) == {}
        assert_back(lab, before)
    assert n > 2


def test_a_replacement_that_fails_brings_back_all_of_them(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    executor.up(plans.attaching("web", 9)).good()
    before = comparable(lab)
    failing = plans.changed(plans.plan("web", 4), "up/web:eth0", plans.failing)
    assert executor.up(failing, replace=["web"]).error == "StepFailed"
    assert_like(lab, before)
    assert attached(executor) == {ETH1: "up"}
    assert executor.ask("check").good().value == []
    executor.ask("down", ETH1).good()
    assert executor.ask("check").good().value == []


def test_one_that_is_left_in_part_is_kept_and_the_sandbox_is_up(executor: Executor, lab: Lab) -> None:
    executor.up(plans.plan("web", 2)).good()
    before = snapshot(lab)
    wanted = stubborn(plans.attaching("web", 9))
    (one,) = wanted.attachments
    executor.up(replace(wanted, attachments=(replace(one, steps=(*one.steps, "stubborn")),))).good()
    lab.write("/run/stubborn", "")
    assert executor.ask("down", ETH1).error == "RollbackFailed"
    assert executor.ask("list").value == {"web": "up"}
    assert executor.ask("attachments").value == {ETH1: "removing"}
    lab.run(["rm", "/run/stubborn"], check=True)
    executor.ask("recover").good()
    assert attached(executor) == {}
    assert_back(lab, before)
