from __future__ import annotations

from nsctl.engine.labfiles.planning import Reserved, in_order


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


def test_reserved_addresses_are_taken_until_they_are_released() -> None:
    chosen = {"10.0.3.9": "web", "10.0.3.8": "db"}
    taken = Reserved({"10.0.3.2": "old"}, chosen)
    assert dict(taken) == {"10.0.3.2": "old", "10.0.3.9": "web", "10.0.3.8": "db"}
    assert len(taken) == 3
    del chosen["10.0.3.9"]
    assert "10.0.3.9" not in taken
    assert (len(taken), list(taken), taken.get("10.0.3.8")) == (2, ["10.0.3.2", "10.0.3.8"], "db")
