"""
`dataclass` as the standard library's, but without generating code.

dataclasses compiles six functions for every class: 0.5 ms each, a fifth of a whole `nsctl up` for the engine's fifty.
This one shares generic functions between all classes: 0.03 ms.
Only for a class that is used a lot, an `__init__` is compiled then: thousands of steps are made four times faster.
`fields`, `replace`, `is_dataclass` and `match` work with its classes as with the standard library's;
for type checkers it is the standard library's (see the imports of the engine's modules).

Only what the engine uses: `frozen`, `slots`, defaults, `field(default_factory=…)`, class variables, inheritance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from inspect import get_annotations
from operator import attrgetter
from typing import Any

__all__ = ["dataclass"]


@dataclasses.dataclass
class _Template:
    one: int = 0


_KIND = dataclasses.fields(_Template)[0]._field_type  # type: ignore[attr-defined]  # noqa: SLF001 - what fields() looks for
_set = object.__setattr__
_OFTEN = 200
"""Instances of a class after which compiling its `__init__` pays."""


def dataclass(*, frozen: bool = False, slots: bool = False) -> Callable[[type], type]:
    """
    Decorate a class as `dataclasses.dataclass` does.

    Args:
        frozen: Instances can't be changed, and can be hashed.
        slots: Instances have no `__dict__`.
    """

    def decorate(cls: type) -> type:
        return _build(cls, frozen=frozen, slots=slots)

    return decorate


def _build(cls: type, *, frozen: bool, slots: bool) -> type:
    every: dict[str, dataclasses.Field[Any]] = {}
    for base in reversed(cls.__mro__[1:]):
        every |= getattr(base, "__dataclass_fields__", {})
    hints = get_annotations(cls)
    own = [n for n, hint in hints.items() if not str(hint).startswith("ClassVar")]
    for name in own:
        given = cls.__dict__.get(name, dataclasses.MISSING)
        made: Any = given if isinstance(given, dataclasses.Field) else dataclasses.field(default=given)
        made.name, made.type, made._field_type = name, hints[name], _KIND  # noqa: SLF001 - as dataclasses does
        every[name] = made
    names = tuple(every)
    body = {k: v for k, v in cls.__dict__.items() if k not in own and k not in {"__dict__", "__weakref__"}}
    body |= {"__dataclass_fields__": every, "__match_args__": names, "__init__": _init_of(cls.__name__, every)}
    values = attrgetter(*names) if len(names) > 1 else (lambda self: tuple(getattr(self, n) for n in names))
    body |= {
        "__eq__": _eq_of(values),
        "__repr__": _repr,
        "__reduce__": _reduce,
        "__hash__": _hash_of(values) if frozen else None,
    }
    if frozen:
        body |= {"__setattr__": _refuse, "__delattr__": _refuse}
    if slots:
        inherited = {s for base in cls.__mro__[1:] for s in getattr(base, "__slots__", ())}
        body["__slots__"] = tuple(n for n in own if n not in inherited)
    made_class = type(cls)(cls.__name__, cls.__bases__, body)
    made_class.__qualname__ = cls.__qualname__
    return made_class


def _compiled(title: str, every: dict[str, dataclasses.Field[Any]]) -> Callable[..., None]:
    # Names of fields are identifiers of the engine's own source: nothing else gets into what is compiled here.
    scope: dict[str, Any] = {"_set": _set, "_absent": dataclasses.MISSING}
    parameters, lines = [], []
    for name, one in every.items():
        value = name
        if one.default is not dataclasses.MISSING:
            scope[f"_default_{name}"] = one.default
            parameters.append(f"{name}=_default_{name}")
        elif one.default_factory is not dataclasses.MISSING:
            scope[f"_make_{name}"] = one.default_factory
            parameters.append(f"{name}=_absent")
            value = f"_make_{name}() if {name} is _absent else {name}"
        else:
            parameters.append(name)
        lines.append(f"    _set(self, {name!r}, {value})")
    source = f"def __init__(self, {', '.join(parameters)}):\n" + "\n".join(lines or ["    pass"])
    exec(compile(source, f"<{title}>", "exec"), scope)  # noqa: S102
    made: Callable[..., None] = scope["__init__"]
    return made


def _init_of(title: str, every: dict[str, dataclasses.Field[Any]]) -> Callable[..., None]:
    names = tuple(every)
    count = len(names)
    made = 0
    defaults = {n: f.default for n, f in every.items() if f.default is not dataclasses.MISSING}
    factories = {n: f.default_factory for n, f in every.items() if f.default_factory is not dataclasses.MISSING}

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it becomes the method
        nonlocal made
        made += 1
        if made == _OFTEN and type(self).__dict__.get("__init__") is __init__:
            type(self).__init__ = _compiled(title, every)
        given = len(args)
        if given > count:
            raise TypeError(f"{title}() takes {count} values, not {given}")
        for name, value in zip(names, args, strict=False):
            _set(self, name, value)
        for name in names[given:]:
            if name in kwargs:
                _set(self, name, kwargs.pop(name))
            elif name in defaults:
                _set(self, name, defaults[name])
            elif name in factories:
                _set(self, name, factories[name]())
            else:
                raise TypeError(f"{title}() needs a value for '{name}'")
        if kwargs:
            raise TypeError(f"{title}() has no field '{next(iter(kwargs))}', or it is given twice")

    return __init__


def _eq_of(values: Callable[[Any], Any]) -> Callable[[Any, object], Any]:
    def __eq__(self: Any, other: object) -> Any:  # noqa: N807 - it becomes the method
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash_of(values: Callable[[Any], Any]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:  # noqa: N807 - it becomes the method
        return hash(values(self))

    return __hash__


def _reduce(self: Any) -> tuple[type, tuple[Any, ...]]:
    # For pickle and copy, which would set the slots of a frozen instance one by one.
    return self.__class__, tuple(getattr(self, n) for n in self.__dataclass_fields__)


def _repr(self: Any) -> str:
    inside = ", ".join(f"{n}={getattr(self, n)!r}" for n in self.__dataclass_fields__)
    return f"{type(self).__qualname__}({inside})"


def _refuse(self: Any, name: str, *_: object) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__} can't be changed: '{name}'")
