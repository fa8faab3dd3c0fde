"""`nsctl.engine.model.values.dataclass` against the standard library's, on the same class bodies."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, ClassVar

import pytest

from nsctl.engine.model import values

DECORATORS = {"ours": values.dataclass, "ours, used a lot": values.dataclass, "stdlib": dataclasses.dataclass}


def made(decorator: Any, **options: bool) -> Any:
    @decorator(**options)
    class Base:
        kind: ClassVar[str] = "base"
        name: str
        size: int = 3

        def double(self) -> int:
            return self.size * 2

    @decorator(**options)
    class Child(Base):
        words: tuple[str, ...] = ()
        extra: dict[str, int] = dataclasses.field(default_factory=dict)

    return Base, Child


@pytest.fixture(params=DECORATORS)
def decorator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "ours, used a lot":
        monkeypatch.setattr(values, "_OFTEN", 1)
    return DECORATORS[request.param]


@pytest.mark.parametrize("options", [{"frozen": True, "slots": True}, {"slots": True}, {"frozen": True}, {}])
def test_it_behaves_as_the_standard_library_s(decorator: Any, options: dict[str, bool]) -> None:
    base, child = made(decorator, **options)
    one = child("a", words=("x",))
    assert (one.name, one.size, one.words, one.extra, one.kind, one.double()) == ("a", 3, ("x",), {}, "base", 6)
    assert one == child("a", 3, ("x",), {})
    assert one != child("b", 3, ("x",), {})
    assert base("a") != child("a")
    assert repr(one).endswith("Child(name='a', size=3, words=('x',), extra={})")
    assert [f.name for f in dataclasses.fields(one)] == ["name", "size", "words", "extra"]
    assert dataclasses.replace(one, size=9).size == 9
    is_dataclass: Any = dataclasses.is_dataclass  # as a guard it would narrow the type for what follows
    assert is_dataclass(child)
    match base("m", 1):
        case base(name, size):
            assert (name, size) == ("m", 1)
        case _:
            pytest.fail("positional patterns do not match")
    assert child("a").extra is not child("a").extra
    assert copy.copy(one) == one
    assert hasattr(one, "__dict__") is not options.get("slots", False)


def test_frozen_instances_refuse_changes_and_can_be_hashed(decorator: Any) -> None:
    base, _ = made(decorator, frozen=True, slots=True)
    one = base("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.name
    assert hash(one) == hash(base("a"))
    loose, _ = made(decorator, slots=True)
    with pytest.raises(TypeError, match="unhashable"):
        hash(loose("a"))


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), (("a", 1, 2), {}), (("a",), {"nope": 1}), (("a",), {"name": "b"})]
)
def test_wrong_arguments_are_type_errors(decorator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    base, _ = made(decorator, frozen=True, slots=True)
    with pytest.raises(TypeError):
        base(*args, **kwargs)


def test_a_class_that_is_used_a_lot_gets_an_init_of_its_own() -> None:
    base, child = made(values.dataclass, frozen=True, slots=True)
    first = child.__init__
    few = [child(str(n)) for n in range(values._OFTEN - 1)]
    assert child.__init__ is first
    assert child("more", 4, extra={"a": 1}).extra == {"a": 1}
    assert child.__init__ is not first
    assert child("0") == few[0]
    assert child("0").extra is not few[0].extra
    assert base.__init__ is not child.__init__
