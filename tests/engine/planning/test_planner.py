"""Planning: whatever a mode does, a plan that was checked as data comes of it, or one line that says why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from nsctl import Command, Conflict, Facts, Invalid, Mode, Refused, Request, Spawn, Step, Steps, kit
from nsctl.engine.model.effects import DirIs
from nsctl.engine.model.plan import Plan
from nsctl.engine.planning.planner import plan, validate


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


OPTIONS = Options()


def planned(
    steps: Callable[[Request, Facts], Any],
    *,
    isolate: tuple[str, ...] = (),
    options: object = OPTIONS,
    facts: Facts | None = None,
) -> Plan:
    mode = Mode("odd", "a plugin's mode", Options, steps, isolate=())
    return plan(mode, Request("web", options, isolate), facts or Facts())


def only(*steps: object) -> Callable[[Request, Facts], Any]:
    return lambda _request, _facts: iter(steps)


GOOD = Step("thing", "make it", Command(("true",)), no_undo="nothing was made", after=())
LIST: Any = ["true"]
MIXED: Any = ("true", 7)


def odd(**fields: Any) -> Step:
    return replace(GOOD, **fields)


def test_a_mode_may_yield_steps_tuples_of_steps_and_none() -> None:
    other = replace(GOOD, key="other")

    assert [s.key for s in planned(only(None, GOOD, (other, None))).steps] == ["thing", "other"]


def test_the_same_step_twice_is_one_step() -> None:
    assert len(planned(only(GOOD, GOOD)).steps) == 1


def test_two_different_steps_of_one_key_are_refused() -> None:
    with pytest.raises(Invalid, match="two different steps of one key: thing"):
        planned(only(GOOD, replace(GOOD, do=Command(("false",)))))


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (odd(no_undo=""), "no undo"),
        (odd(key=""), "must be text"),
        (odd(key=7), "must be text"),
        (odd(why=None), "must be text"),
        (odd(do=("true",)), "tuple, not a Command"),
        (odd(do=Command(())), "not a tuple of words"),
        (odd(do=Command(LIST)), "not a tuple of words"),
        (odd(do=Command(MIXED)), "not text"),
        (odd(do=Command(("true", "a\0b"))), "not text"),
        (odd(do=Command(("true", "\udc80"))), "not text"),
        (odd(do=Command(("/bin/true",))), "plain name of a tool"),
        (odd(do=Command(("../true",))), "plain name of a tool"),
        (odd(do=Command(("-x",))), "plain name of a tool"),
        (odd(do=Command(("true",), netns="../x")), "name of a namespace"),
        (odd(do=Command(("true",), stdin="\0")), "reads"),
        (odd(do=Spawn(("true",), pidfile="x", log="/run/l")), "absolute path"),
        (odd(do=Spawn(("true",), pidfile="/run/../p", log="/run/l")), "absolute path"),
        (odd(undo=[Command(("true",))]), "tuple of Commands"),
        (odd(undo=(Spawn(("true",), "/run/p", "/run/l"),)), "tuple of Commands"),
        (odd(effect="it works"), "str, which nsctl does not know"),
        (odd(after="thing"), "not a tuple of keys"),
        (odd(removed_with="nobody"), "nothing makes 'nobody'"),
        (odd(do=None), "a claim has nothing but its key"),
        (odd(key="claim/port/80"), "a claim has nothing but its key"),
        (Step("claim/port", "a port", None), "a claim's key is claim/PLACE/THING"),
        (Step("claim/port//80", "a port", None), "a claim's key is claim/PLACE/THING"),
        (Step("claim/port/80", "a port", None, no_undo="x"), "a claim has nothing but its key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_step_that_can_not_be_carried_out_is_refused_with_its_number(step: Step, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint) as caught:
        planned(only(replace(GOOD, key="first"), step))

    assert "mode 'odd'" in caught.value.message
    assert "step 2" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_mode_that_claims_what_is_anothers_is_refused() -> None:
    claim = only(kit.claim("port/tcp/0.0.0.0", 8080, why="TCP port 8080"))
    facts = Facts(claims={"port/tcp/0.0.0.0": {"8080": "db"}})
    with pytest.raises(Conflict, match="TCP port 8080 is db's"):
        planned(claim, facts=facts)
    assert planned(claim, facts=Facts(claims={"port/tcp/0.0.0.0": {"8080": "web", "80": "db"}})).steps[0].is_claim


def test_a_saved_plan_has_its_claims() -> None:
    made = planned(only(kit.claim("address/br7", "10.7.0.2"), GOOD))
    assert Plan.from_json(made.to_json()) == made
    assert made.to_json()["steps"][0] == {"key": "claim/address/br7/10.7.0.2", "why": "10.7.0.2 on br7"}


@pytest.mark.parametrize(("place", "thing"), [("", "80"), ("port", ""), ("port/", "80"), ("port", "8/0"), ("a", "\n")])
def test_what_is_no_key_is_no_claim(place: str, thing: str) -> None:
    with pytest.raises(Invalid, match="is no key of a claim"):
        kit.claim(place, thing)


@pytest.mark.parametrize(
    "error", [ValueError("\x1b[2J"), KeyError("x"), SystemExit(0), RecursionError(), MemoryError()]
)
def test_whatever_a_mode_raises_becomes_one_line(error: BaseException) -> None:
    def steps(_request: Request, _facts: Facts) -> Iterator[Step]:
        yield GOOD
        raise error

    with pytest.raises(Invalid, match="mode 'odd' failed while planning") as caught:
        planned(steps)

    assert caught.value.message.isprintable()


@pytest.mark.parametrize("result", [None, 7, "steps", [7], [["thing"]]])
def test_what_is_no_steps_is_refused(result: object) -> None:
    with pytest.raises(Refused):
        planned(lambda _request, _facts: result)


def test_a_mode_that_never_ends_is_stopped() -> None:
    def steps(_request: Request, _facts: Facts) -> Iterator[Step]:
        number = 0
        while True:
            number += 1
            yield replace(GOOD, key=f"thing/{number}")

    with pytest.raises(Invalid, match="more than 10000 steps"):
        planned(steps)


def test_a_refusal_of_the_mode_itself_is_passed_on() -> None:
    def steps(_request: Request, _facts: Facts) -> Iterator[Step]:
        raise Refused("not today", hint="tomorrow")
        yield GOOD

    with pytest.raises(Refused, match="not today"):
        planned(steps)


def test_options_of_another_mode_are_refused() -> None:
    with pytest.raises(Invalid, match="takes Options, not str"):
        planned(only(GOOD), options="subnet")


def test_what_nobody_makes_is_taken_to_be_there_where_kit_says_it() -> None:
    made = planned(only(kit.address("eth0", "10.0.3.9/24")))

    assert made.steps[0].after == ()
    assert made.steps[0].removed_with is None
    assert made.steps[0].undo


def test_things_inside_wait_for_the_pair_whose_peer_they_are_on() -> None:
    steps = only(
        kit.netns("web"), kit.veth("pair0", peer="eth0", netns="web"), kit.address("eth0", "10.6.0.2/30", netns="web")
    )

    made = planned(steps, isolate=("net",))

    assert made.steps[2].after == ("netns/web", "link/pair0")
    assert made.steps[2].removed_with == "netns/web"


def test_what_is_put_into_a_shared_namespace_is_undone_on_its_own() -> None:
    steps = only(kit.join_sandbox("web", "db"), kit.address("eth0", "10.6.0.2/30", netns="web"))

    made = planned(steps, isolate=("net",))

    assert made.steps[1].removed_with is None
    assert made.steps[1].undo


def test_a_plan_survives_json() -> None:
    made = planned(only(kit.netns("web"), kit.file("/run/x/y", "a\nb")), isolate=("mount", "pid", "net"))

    assert Plan.from_json(made.to_json()) == made


def test_a_plan_from_a_file_is_checked_without_facts() -> None:
    bad = Plan("none", "web", {}, (replace(GOOD, do=Command(("/bin/sh",))),))

    with pytest.raises(Invalid, match="plain name"):
        validate(bad)


def test_the_same_request_and_facts_give_the_same_plan() -> None:
    steps: Steps = (kit.netns("web"), kit.bridge("br0"), kit.veth("p0", peer="eth0", netns="web"))

    assert planned(only(*steps), isolate=("net",)) == planned(only(*steps), isolate=("net",))


def test_an_effect_of_the_authors_own_is_kept() -> None:
    step = kit.command("x", "y", ("true",), undo=[("false",)], effect=DirIs("/run/x"), after=())

    assert planned(only(step)).steps[0] == step
