"""
A mode's options: from its dataclass to a form that people and files can fill in, and back.

`fields_of` describes the dataclass, `from_strings` reads what a command line gave, `from_plain` what a file gave,
`to_plain` turns an instance into JSON data that `from_plain` reads back.
Every wrong value ends here, in one line that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from nsctl.engine.model.errors import Invalid, NsctlError
from nsctl.engine.model.names import display, said_by

__all__ = [
    "MAYBE_WITH_PREFIX",
    "Field",
    "check_plain",
    "fields_of",
    "from_plain",
    "from_strings",
    "nearest",
    "plain_value",
    "to_plain",
]

_ADDRESSES = (IPv4Address, IPv6Address)
_WITH_PREFIX = (IPv4Interface, IPv4Network, IPv6Interface, IPv6Network)
MAYBE_WITH_PREFIX = IPv4Address | IPv4Interface
"""The type of an address that may have a prefix length."""
_METAVARS: dict[Any, str] = {
    MAYBE_WITH_PREFIX: "ADDRESS[/PREFIX]",
    str: "TEXT",
    int: "N",
    float: "NUMBER",
    bool: "",
    IPv4Address: "ADDRESS",
    IPv6Address: "ADDRESS",
    IPv4Interface: "ADDRESS/PREFIX",
    IPv6Interface: "ADDRESS/PREFIX",
    IPv4Network: "NETWORK/PREFIX",
    IPv6Network: "NETWORK/PREFIX",
}
_LONGEST_WORD = 200
"""Characters that are compared with what might have been meant."""
_TOO_LARGE = 10**18
"""A digit more than `_INT` reads; Python itself refuses to print what is much larger."""
_INT = re.compile(r"[+-]?[0-9]{1,18}")
_FLOAT = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")


class Field(NamedTuple):
    """
    One option.

    Args:
        name: The dataclass field's name.
        flag: What stands on a command line (`--allow-overlap`).
        type: The type of one value: a class, or `Literal[…]`.
        default: The default as an instance, None where the option must be given.
        help: One line.
        required: Whether it must be given.
        multiple: Whether it may be given several times (`tuple[X, …]`).
        nullable: Whether None is a value (`X | None`).
        choices: The words that are allowed, for enumerations and literals.
        metavar: What stands for a value in the help; nothing for a switch.
    """

    name: str
    flag: str
    type: Any
    default: Any
    help: str
    required: bool
    multiple: bool
    nullable: bool
    choices: tuple[str, ...]
    metavar: str

    @property
    def text(self) -> str:
        """The line in the help, with what holds if the option is not given."""
        if self.required:
            return f"{self.help} [required]".lstrip()
        plain = plain_value(self.default)
        if plain is None or plain is False or plain == []:
            return self.help
        shown = ", ".join(map(str, plain)) if isinstance(plain, list) else "on" if plain is True else str(plain)
        return f"{self.help} [default: {shown}]".lstrip()


def fields_of(options_type: type) -> list[Field]:
    """
    The options of a mode, in the order of its dataclass.

    Raises:
        TypeError: It is no dataclass, or a field's type is not among those that nsctl can read.
    """
    if not is_dataclass(options_type):
        raise TypeError(f"the options {options_type!r} are not a dataclass")
    hints = get_type_hints(options_type)
    found = []
    for f in fields(options_type):
        if not f.init:
            continue
        kind, multiple, nullable = _unwrap(hints[f.name])
        choices = _choices(kind)
        if not choices and kind not in _METAVARS:
            raise TypeError(f"the option '{f.name}' is of a type that nsctl can't read: {hints[f.name]!r}")
        if kind is bool and (multiple or nullable):
            raise TypeError(f"the option '{f.name}' is a switch: it is on or off, never absent or several")
        required = f.default is MISSING and f.default_factory is MISSING
        if kind is bool and required:
            raise TypeError(f"the option '{f.name}' is a switch: it needs a default")
        default: Any = None
        if f.default is not MISSING:
            default = f.default
        elif f.default_factory is not MISSING:
            default = f.default_factory()
        found.append(
            Field(
                name=f.name,
                flag="--" + f.name.replace("_", "-"),
                type=kind,
                default=default,
                help=f.metadata.get("help", ""),
                required=required,
                multiple=multiple,
                nullable=nullable,
                choices=choices,
                metavar=f.metadata.get("metavar") or "|".join(choices) or _METAVARS[kind],
            )
        )
    return found


def from_strings(options_type: type, given: Mapping[str, Any]) -> Any:
    """
    An instance from what a command line gave; messages name the flags.

    Args:
        options_type: The mode's options dataclass.
        given: Field names → a string, a list of strings, or a bool; what was not given is missing.

    Raises:
        Invalid: A value is wrong, or a required one is missing.
    """
    return _build(options_type, given, lambda f: f.flag)


def from_plain(options_type: type, given: Mapping[str, Any]) -> Any:
    """
    An instance from plain data (JSON or TOML); messages name the keys.

    Args:
        options_type: The mode's options dataclass.
        given: Field names (`-` and `_` mean the same) → strings, numbers, bools, lists, None.

    Raises:
        Invalid: A key is unknown (the nearest is named), a value is wrong, or a required one is missing.
    """
    return _build(options_type, given, lambda f: f"'{f.name}'")


def check_plain(options_type: type, given: Mapping[str, Any]) -> None:
    """
    Check each value as `from_plain` does, where more of them may come.

    Raises:
        Invalid: A key is unknown, or a value is wrong.
    """
    _values({f.name: f for f in fields_of(options_type)}, given, lambda f: f"'{f.name}'")


def to_plain(options: Any) -> dict[str, Any]:
    """The options as plain data, defaults included."""
    return {f.name: plain_value(getattr(options, f.name)) for f in fields(options) if f.init}


def nearest(word: str, words: Iterable[str]) -> str:
    """The word that was probably meant, or nothing."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word[:_LONGEST_WORD], list(words), n=1, cutoff=0.6)), "")


def _build(options_type: type, given: Mapping[str, Any], label: Callable[[Field], str]) -> Any:
    known = {f.name: f for f in fields_of(options_type)}
    values = _values(known, given, label)
    missing = [label(f) for f in known.values() if f.required and f.name not in values]
    if missing:
        raise Invalid(f"{missing[0]} is missing", hint=f"it must be given: {_helps(known, missing, label)}")
    try:
        return options_type(**values)
    except (NsctlError, KeyboardInterrupt):
        raise
    except BaseException as e:  # a mode's own class may check its values, in its own way
        raise Invalid(said_by(e)) from e


def _values(known: Mapping[str, Field], given: Mapping[str, Any], label: Callable[[Field], str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, raw in given.items():
        field = known.get(str(key).replace("-", "_"))
        if field is None:
            meant = nearest(str(key), known)
            listed = ", ".join(known) or "none"
            raise Invalid(
                f"there is no option '{display(str(key))}'",
                hint=f"did you mean '{meant}'?" if meant else f"the options are: {listed}",
            )
        if field.name in values:
            raise Invalid(f"the option '{field.name}' is given twice")
        values[field.name] = _value(field, raw, label(field))
    return values


def _helps(known: Mapping[str, Field], missing: list[str], label: Callable[[Field], str]) -> str:
    return "; ".join(f"{label(f)} {f.metavar} ({f.help})" for f in known.values() if label(f) in missing)


def _unwrap(hint: Any) -> tuple[Any, bool, bool]:
    """The type of one value, whether there may be several, whether None is one."""
    nullable = False
    if get_origin(hint) in {Union, UnionType}:
        inner = [a for a in get_args(hint) if a is not NoneType]
        nullable = len(inner) < len(get_args(hint))
        hint = (
            inner[0] if len(inner) == 1 else MAYBE_WITH_PREFIX if {*inner} == {*get_args(MAYBE_WITH_PREFIX)} else hint
        )
    match get_origin(hint), get_args(hint):
        case origin, (kind, end) if origin is tuple and end is Ellipsis:
            return kind, True, nullable
    return hint, False, nullable


def _choices(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return tuple(str(a) for a in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(member.value) for member in kind)
    return ()


def _value(field: Field, raw: Any, label: str) -> Any:
    if raw is None:
        if field.nullable:
            return None
        raise Invalid(f"{label} needs a value")
    if field.multiple:
        if not isinstance(raw, (list, tuple)):
            raw = [raw]
        return tuple(_one(field, item, label) for item in raw)
    return _one(field, raw, label)


def _one(field: Field, raw: Any, label: str) -> Any:
    if field.choices:
        return _choice(field, raw, label)
    if field.type is bool:
        if not isinstance(raw, bool):
            raise _wrong(label, raw, "a switch", "it is true or false")
        return raw
    if field.type in {int, float}:
        return _number(field.type, raw, label)
    if not isinstance(raw, str):
        raise _wrong(label, raw, "text", "put it in quotes")
    if field.type is not str:
        return _address(field.type, raw, label)
    # What is not printable (control characters, undecodable bytes) has no business in an argument vector.
    if not raw.isprintable():
        raise _wrong(label, raw, "printable text", "leave out control characters")
    return raw


def _number(kind: type[int | float], raw: Any, label: str) -> int | float:
    if isinstance(raw, str) and (_INT if kind is int else _FLOAT).fullmatch(raw):
        return kind(raw)
    whole = isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) < _TOO_LARGE
    if whole or (kind is float and isinstance(raw, float) and isfinite(raw)):
        return kind(raw)
    if kind is int:
        raise _wrong(label, raw, "a whole number", "write it in decimal, like 1400")
    raise _wrong(label, raw, "a number", "write it like 1.5")


def _choice(field: Field, raw: Any, label: str) -> Any:
    small = isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) < _TOO_LARGE
    word = raw if isinstance(raw, str) else str(raw) if small else ""
    if word not in field.choices:
        meant = nearest(word, field.choices)
        hint = f"did you mean '{meant}'?" if meant else "it is one of: " + ", ".join(field.choices)
        raise _wrong(label, raw, "a choice", hint)
    members: list[Any] = list(get_args(field.type) or field.type)
    return members[field.choices.index(word)]


def _address(kind: Any, raw: str, label: str) -> Any:
    if kind == MAYBE_WITH_PREFIX:
        kind = IPv4Interface if "/" in raw else IPv4Address
    six = kind in {IPv6Address, IPv6Interface, IPv6Network}
    network = kind in {IPv4Network, IPv6Network}
    what = f"an {'IPv6' if six else 'IPv4'} {'network' if network else 'address'}"
    if _is_of_the_other_family(raw, six=six):
        example = ("fd00:3::" if six else "10.0.3.") + ("/64" if six else "0/24") if network else ""
        hint = f"write it like {example or ('fd00:3::2' if six else '10.0.3.2')}"
        raise _wrong(label, raw, f"{what}: it is of IPv{4 if six else 6}", hint)
    if kind in _WITH_PREFIX and "/" not in raw:
        # ipaddress would take a bare address as a /32, which nobody means.
        raise _wrong(
            label, raw, f"{what} with a prefix length", f"write it like {'fd00:3::/64' if six else '10.0.3.0/24'}"
        )
    if "%" in raw:  # ipaddress lets anything at all pass as a scope
        raise _wrong(label, raw, what, "leave out the scope")
    try:
        return kind(raw)
    except ValueError as e:
        hint = "see RFC 4291 for the notation" if six else "four numbers from 0 to 255, without leading zeros"
        if network and "host bits" in str(e):
            hint = f"it has bits set beyond its prefix; did you mean {ip_interface(raw).network}?"
        elif kind in _WITH_PREFIX and _is_address(raw.partition("/")[0]):
            hint = f"what follows / is the length of the prefix, from 0 to {128 if six else 32}"
        raise _wrong(label, raw, what, hint) from None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_of_the_other_family(raw: str, *, six: bool) -> bool:
    address = raw.partition("/")[0]
    return (":" not in address if six else ":" in address) and _is_address(address.partition("%")[0])


def _wrong(label: str, raw: Any, what: str, hint: str) -> Invalid:
    if isinstance(raw, int) and abs(raw) >= _TOO_LARGE:
        return Invalid(f"{label}: the number is too large", hint=hint)
    return Invalid(f"{label}: '{said_by(raw)}' is not {what}", hint=hint)


def plain_value(value: Any) -> Any:
    """One value as plain data."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [plain_value(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
