from __future__ import annotations

from dataclasses import dataclass

from nsctl.engine.planning.sharing import Sharing, in_order


@dataclass
class Row:
    """A sandbox, as the store has it."""

    shares: str | None = None


def sharing(**targets: str | None) -> Sharing:
    return Sharing({name: Row(target) for name, target in targets.items()})


def test_who_shares_goes_along_and_so_do_its_own_sharers() -> None:
    some = sharing(probe="web", web=None, inner="probe", other=None, also="web")
    assert list(some.dependents(["web"])) == [("also", "web"), ("probe", "web"), ("inner", "probe")]
    assert list(some.dependents(["inner", "web", "probe"])) == [("also", "web")]
    assert list(some.dependents(["other"])) == []
    assert some.sharers("web") == ["also", "probe"]
    assert some.sharers("inner") == []


def test_a_circle_ends() -> None:
    some = sharing(a="b", b="a")
    assert list(some.dependents(["a"])) == [("b", "a")]
    assert some.owner("a") == "a"


def test_the_owner_is_at_the_end_of_the_chain_and_nobody_where_it_is_gone() -> None:
    some = sharing(inner="probe", probe="web", web=None, lost="gone")
    assert [some.owner(name) for name in ("inner", "probe", "web", "lost")] == ["web", "web", "web", ""]


def test_owners_come_back_first() -> None:
    some = sharing(inner="probe", probe="web", web=None, lost="gone")
    assert some.owners_first(["lost", "inner", "probe", "web"]) == ["lost", "web", "probe", "inner"]
    assert some.owners_first(["inner", "web"]) == ["web", "inner"]


def test_who_has_a_target_comes_behind_it_and_the_rest_stays_in_order() -> None:
    names = dict.fromkeys("abcd")
    assert in_order(names, {"a": "c", "c": "d", "d": "elsewhere"}, "") == (["d", "c", "a", "b"], "")
    assert in_order(names, {}, "") == (list("abcd"), "")


def test_a_circle_is_broken_at_one_that_can_do_without_its_target() -> None:
    names = dict.fromkeys("xabc")
    targets = {"x": "a", "a": "b", "b": "c", "c": "a"}
    assert in_order(names, targets, "xac") == (["b", "a", "c", "x"], "")
    assert in_order(names, targets, "") == (["a", "c", "b", "x"], "")
    assert in_order(names, targets, "abc") == ([], "a")
