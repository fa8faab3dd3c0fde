"""Where jumps stand: behind what an administrator says of certain packets, before what decides for all."""

from __future__ import annotations

import pytest

from nsctl.engine.kit.firewall import FORWARD, GUARD, own_chain, rule
from nsctl.engine.model.facts import Facts, Firewall
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.planning.forecast import extend
from nsctl.engine.planning.jumps import anew, closing, is_jump, place, placed

JUMP = "-m comment --comment nsctl:jump -j"


def chains(text: dict[str, str]) -> dict[str, list[tuple[str, ...]]]:
    return {name: [tuple(line.split()) for line in rules.split("; ") if line] for name, rules in text.items()}


def closing_of(rules: str, **others: str) -> int:
    return closing(chains({"": rules})[""], chains(others).get)


@pytest.mark.parametrize(
    "last",
    [
        "-j DROP",
        "-j REJECT --reject-with icmp-host-prohibited",
        "-j ACCEPT",
        "-j RETURN",
        "-j NFQUEUE --queue-num 0",
        "-m comment --comment closing -j DROP",
        "-i + -j DROP",
        "-m state --state NEW -j REJECT",
        "-m conntrack --ctstate INVALID,NEW -j DROP",
        "-j LOCAL",
        "-g LOCAL",
        "-j OUTER",
        "-p tcp -m conntrack --ctstate NEW -j ACCEPT",
        "-p udp -j ACCEPT",
        "-j TRACK",
    ],
)
def test_a_rule_that_decides_for_all_packets_closes(last: str) -> None:
    first = "-s 10.0.0.9/32 -j DROP; -m state --state RELATED,ESTABLISHED -j ACCEPT"
    others = {
        "LOCAL": "-i eth0 -j ACCEPT; -j DROP",
        "OUTER": "-j LOG; -j LOCAL",
        "TRACK": "-p udp -m state --state NEW -j ACCEPT",
    }
    assert closing_of(f"{first}; {last}; -i eth7 -j ACCEPT", **others) == 2
    assert closing_of(f"{last}; {first}", **others) == 0


@pytest.mark.parametrize(
    "last",
    [
        "-j LOG",
        "-p icmp -j ACCEPT",
        "-p tcp -j DROP",
        "-p tcp -m tcp --dport 80 -j ACCEPT",
        "-p tcp -m conntrack --ctstate ESTABLISHED -j ACCEPT",
        "-s 10.0.0.0/8 -p tcp -j ACCEPT",
        "-i eth0 -j TRACK",
        "-i eth0 -j DROP",
        "! -i eth0 -j DROP",
        "-o eth0 -j REJECT",
        "-m conntrack --ctstate INVALID -j DROP",
        "-m conntrack ! --ctstate NEW -j DROP",
        "-m limit --limit 1/sec -j ACCEPT",
        "-m comment --comment closing",
        "-j MASQUERADE",
        "-j MARK --set-xmark 0x1/0x1",
        "-j OPEN",
        "-j BACK",
        "-j EMPTY",
        "-j MISSING",
        "-g OPEN",
        "-j PAST",
        "-j ROUND",
        "-i eth0 -j CLOSED",
        f"{JUMP} NSCTL-GUARD",
    ],
)
def test_a_rule_that_some_packets_get_past_does_not(last: str) -> None:
    others = {
        "OPEN": "-i eth0 -j DROP",
        "BACK": "-j RETURN; -j DROP",
        "EMPTY": "",
        "PAST": "-i eth0 -g OPEN; -j DROP",
        "ROUND": "-j ROUND",
        "CLOSED": "-j DROP",
        "NSCTL-GUARD": "-j DROP",
        "TRACK": "-p udp -m state --state NEW -j ACCEPT",
    }
    assert closing_of(last, **others) == 1


def test_what_leaves_for_a_chain_that_keeps_it_does_not_come_back() -> None:
    # As firewalld has it with its iptables back end.
    zones = {
        "ZONES": "-i nsbr0 -g TRUSTED; -i eth0 -g PUBLIC; -g PUBLIC",
        "TRUSTED": "-j ACCEPT",
        "PUBLIC": "-p icmp -j ACCEPT; -j REJECT",
    }
    assert closing_of("-i lo -j ACCEPT; -j ZONES; -j REJECT", **zones) == 1


def test_jumps_stand_in_the_order_of_their_chains() -> None:
    rules = chains({"": f"-s 10.0.0.9/32 -j DROP; {JUMP} {GUARD}; -i eth0 -j LOG; -j DROP"})[""]
    assert place(rules, lambda _: None, FORWARD) == 1
    assert place(rules, lambda _: None, "NSCTL-OTHER") == 3
    rules = chains({"": f"{JUMP} {FORWARD}; -i eth0 -j LOG"})[""]
    assert place(rules, lambda _: None, GUARD) == 2


def steps() -> list[Step]:
    return [*own_chain("filter", "FORWARD", FORWARD), *own_chain("filter", "FORWARD", GUARD)]


def facts(rules: str, **others: str) -> Facts:
    return Facts(
        firewall=Firewall(
            chains={f"4/filter/{name}": r for name, r in chains({"FORWARD": rules, **others}).items()},
        )
    )


def places(made: list[Step]) -> list[list[str]]:
    return [list(step.argv[4:7]) for step in made if is_jump(step)]


def test_each_place_is_counted_with_the_jumps_that_come_before() -> None:
    made = placed(steps(), facts("-s 10.0.0.9/32 -j DROP; -j REJECT"))
    assert places(made) == [["-I", "FORWARD", "2"], ["-I", "FORWARD", "3"]]
    assert made[1].why.endswith("behind the host's own rules, before: -j REJECT")
    assert places(placed(steps(), facts("-s 10.0.0.9/32 -j DROP"))) == [["-A", "FORWARD", "-m"]] * 2
    assert [anew(step).do for step in made] == [step.do for step in steps()]


def test_what_is_in_place_stays_as_it_was_made_wherever_that_is() -> None:
    there = placed(steps(), facts("-j REJECT"))
    known = {step.key: step for step in there}
    later = facts(f"-j LOG; {JUMP} {FORWARD}; {JUMP} {GUARD}; -s 10.0.0.9/32 -j DROP; -j REJECT")
    made = placed(steps(), Facts(firewall=later.firewall, steps=known))
    assert [new.same_work(old) for new, old in zip(steps(), there, strict=True)] == [True] * 4
    assert all(new is old for new, old in zip(made, there, strict=True) if is_jump(new))


def test_jumps_that_go_first_are_not_counted() -> None:
    # Of a sandbox that is replaced: in place by now, and gone by then.
    rules = f"-s 10.0.0.9/32 -j DROP; {JUMP} {FORWARD}; {JUMP} {GUARD}; -j REJECT"
    assert places(placed(steps(), facts(rules))) == [["-I", "FORWARD", "2"], ["-I", "FORWARD", "3"]]


def test_one_that_is_missing_is_counted_since_it_comes_back() -> None:
    known = {step.key: step for step in steps()[:2]}
    made = placed(steps(), Facts(firewall=facts("-j LOG; -j REJECT").firewall, steps=known))
    assert places(made) == [["-A", "FORWARD", "-m"], ["-I", "FORWARD", "3"]]


def test_what_an_earlier_plan_of_the_same_transaction_puts_in_is_counted() -> None:
    at_first = facts("-j LOG; -j REJECT")
    one = placed(steps()[:2], at_first)
    then = extend(at_first, Plan("bridge", "web", {}, tuple(one)))
    assert places(placed(steps()[2:], then)) == [["-I", "FORWARD", "3"]]


def test_only_a_jump_may_stand_anywhere_and_be_the_same() -> None:
    first, second = (
        rule("filter", FORWARD, "-i", "br0", "-j", "DROP", owner="br0", why="x", head=h) for h in (False, True)
    )
    assert not first.same_work(second)
    jump, other = steps()[1], steps()[3]
    assert not jump.same_work(other)
