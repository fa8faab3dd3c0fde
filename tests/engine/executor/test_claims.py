"""Claims: what only one may have is held by one, journalled and let go like any other step."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nsctl.engine import kit
from nsctl.engine.model.plan import Plan
from tests.engine.executor import plans
from tests.engine.executor.conftest import Answer, Executor
from tests.engine.executor.test_transactions import assert_like, comparable, stubborn
from tests.lab import Lab, assert_back, needs, snapshot

pytestmark = [pytest.mark.system, needs("bridge", "veth", "iptables")]

PORT = "claim/port/tcp/0.0.0.0/8080"


def claiming(plan: Plan) -> Plan:
    """The plan with a claim of a port more."""
    return replace(plan, steps=(*plan.steps, kit.claim("port/tcp/0.0.0.0", 8080, why="TCP port 8080")))


def refused(answer: Answer, message: str) -> None:
    assert (answer.error, answer.exit, answer.message) == ("Conflict", 2, message), answer
    assert answer.events == []


def claims(executor: Executor) -> list[str]:
    return [key for key in executor.ask("steps").good().value if key.startswith("claim/")]


def test_a_second_holder_is_refused_before_anything_is_changed_with_the_name_of_the_first(
    executor: Executor, lab: Lab
) -> None:
    executor.up(claiming(plans.plan("web", 2))).good()
    before = snapshot(lab)
    refused(executor.up(claiming(plans.plan("db", 3))), "TCP port 8080 is web's")
    assert_back(lab, before)
    executor.up(plans.plan("db", 3)).good()
    executor.ask("down", "web").good()
    executor.up(claiming(plans.plan("cache", 4))).good()
    refused(executor.up(claiming(plans.plan("web", 2))), "TCP port 8080 is cache's")


def test_two_of_one_transaction_cannot_claim_the_same(executor: Executor, lab: Lab) -> None:
    before = snapshot(lab)
    refused(executor.up(claiming(plans.plan("web", 2)), claiming(plans.plan("db", 3))), "TCP port 8080 is web's")
    assert executor.ask("steps").good().value == {}
    assert_back(lab, before)


def test_a_claim_is_no_command_and_is_told_when_it_is_let_go(executor: Executor) -> None:
    up = executor.up(claiming(plans.plan("web", 2))).good()
    assert PORT not in {event[1] for event in up.events}
    assert executor.ask("steps").good().value[PORT] == "done"
    assert executor.ask("check").good().value == executor.ask("repair").good().value == []
    down = executor.ask("down", "web").good()
    assert [event for event in down.events if event[1] == PORT] == [["StepUndone", PORT, "let go", "", ""]]
    assert executor.ask("steps").good().value == {}


@pytest.mark.parametrize("when", ["before", "after"])
def test_whoever_is_killed_anywhere_claims_nothing_any_more(executor: Executor, lab: Lab, when: str) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    for n in range(1, 30):
        answer = executor.up(claiming(plans.plan("web", 2)), kill=[n, when])
        if answer.killed is None:
            break
        holders = executor.ask("list").good().value
        assert (PORT in claims(executor)) == ("web" in holders), n  # the write of success may have been over
        if "web" in holders:
            executor.ask("down", "web").good()
        executor.up(claiming(plans.plan("db", 3))).good()
        executor.ask("down", "db").good()
        assert_back(lab, before)
    assert n > 4


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_replacement_takes_a_claim_over_and_gives_it_back_wherever_it_is_killed(
    executor: Executor, when: str
) -> None:
    executor.up(claiming(plans.plan("web", 2))).good()
    for n in range(1, 40):
        answer = executor.up(claiming(plans.plan("db", 3)), replace=["web"], kill=[n, when])
        there = executor.ask("list").good().value
        assert list(there) in (["web"], ["db"]), (n, there)
        assert claims(executor).count(PORT) == 1
        if answer.killed is None:
            break
        if "db" in there:
            executor.up(claiming(plans.plan("web", 2)), replace=["db"]).good()
        refused(executor.up(claiming(plans.plan("cache", 4))), "TCP port 8080 is web's")
    assert n > 8


def test_who_is_left_in_part_keeps_what_it_claims(executor: Executor, lab: Lab) -> None:
    executor.up(stubborn(claiming(plans.plan("web", 2))), plans.plan("db", 3)).good()
    lab.write("/run/stubborn", "")
    answer = executor.ask("down", "web", "db")
    assert (answer.error, "stubborn" in answer.message) == ("RollbackFailed", True), answer
    assert claims(executor) == ["claim/address/br7/10.7.0.2", PORT]
    assert executor.up(claiming(plans.plan("cache", 4))).message == "TCP port 8080 is web's"
    lab.run(["rm", "/run/stubborn"], check=True)
    executor.ask("recover").good()
    assert executor.ask("steps").good().value == {}


def test_what_is_claimed_in_another_store_is_refused_with_its_name(executor: Executor, lab: Lab) -> None:
    executor.up(claiming(plans.plan("web", 2))).good()
    before = comparable(lab)
    bare = Plan("t", "db", {}, claiming(plans.plan("db", 3)).steps[-1:])
    refused(executor.up(bare, state_dir="/run/other"), "TCP port 8080 is web's, of the store /run/nsctl")
    executor.ask("down", "web").good()
    executor.up(bare, state_dir="/run/other").good()
    refused(executor.up(claiming(plans.plan("web", 2))), "TCP port 8080 is db's, of the store /run/other")
    executor.ask("down", "db", state_dir="/run/other").good()
    executor.up(claiming(plans.plan("web", 2))).good()
    assert_like(lab, before)


def test_on_a_full_disk_nothing_is_claimed_half(executor: Executor, lab: Lab) -> None:
    executor.ask("list").good()
    before = snapshot(lab)
    for n in range(1, 12):
        answer = executor.up(claiming(plans.plan("web", 2)), refuse=n)
        if not answer.error:
            break
        assert executor.ask("steps").good().value == {}, n
        assert_back(lab, before)
    assert n > 2
