"""
Effects: how to tell whether a step's result is in place.

An effect is data that knows how it is looked for: `observe` compares it with a host and answers with a `State`.
A new one is one class, listed in `Effect`.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from nsctl.engine.model.effects.addresses import AddrOn, RouteVia
from nsctl.engine.model.effects.commands import CommandSucceeds
from nsctl.engine.model.effects.files import DirIs, FileIs
from nsctl.engine.model.effects.firewall import ChainIs, RuleTagged
from nsctl.engine.model.effects.links import LinkIs, LinkSet, LinkUp
from nsctl.engine.model.effects.namespaces import NetnsIs
from nsctl.engine.model.effects.port_filter import NftTable, PortFilter
from nsctl.engine.model.effects.processes import ProcessIs
from nsctl.engine.model.effects.settings import SysctlIs
from nsctl.engine.model.effects.zones import ZoneIs
from nsctl.engine.model.observation import State

__all__ = [
    "EFFECTS",
    "AddrOn",
    "ChainIs",
    "CommandSucceeds",
    "DirIs",
    "Effect",
    "FileIs",
    "LinkIs",
    "LinkSet",
    "LinkUp",
    "NetnsIs",
    "NftTable",
    "PortFilter",
    "ProcessIs",
    "RouteVia",
    "RuleTagged",
    "State",
    "SysctlIs",
    "ZoneIs",
    "effect_from_json",
    "effect_to_json",
    "wrong_field",
]

Effect = (
    LinkIs
    | LinkUp
    | LinkSet
    | AddrOn
    | RouteVia
    | SysctlIs
    | NetnsIs
    | ChainIs
    | RuleTagged
    | NftTable
    | PortFilter
    | ProcessIs
    | FileIs
    | DirIs
    | CommandSucceeds
    | ZoneIs
)

EFFECTS: dict[str, type[Effect]] = {str(cls.__struct_config__.tag): cls for cls in get_args(Effect)}
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "tuple[str, ...]": (tuple,),
}
_FIELDS = {
    cls: tuple((name, _TYPES[cls.__annotations__[name]]) for name in cls.__struct_fields__) for cls in EFFECTS.values()
}
_ANY_TEXT = frozenset({"argv", "before", "content", "output", "value"})
"""Fields that are read or compared, and not shown: they may hold newlines and the like."""


def effect_to_json(effect: Effect) -> dict[str, Any]:
    """The effect as plain data, without the fields that have their defaults."""
    data: dict[str, Any] = msgspec.to_builtins(effect)
    return data


def effect_from_json(data: object) -> Effect:
    """
    The inverse of `effect_to_json`.

    Raises:
        TypeError: The kind is unknown; a field is unknown, missing or of another type.
    """
    try:
        made: Effect = msgspec.convert(data, Effect)
    except msgspec.ValidationError as e:
        raise TypeError(f"this is no effect: {e}") from e
    return made


def wrong_field(effect: Effect) -> str:
    """The field that has another type than declared, or can't be shown or passed on; empty if none."""
    for name, types in _FIELDS[type(effect)]:
        value = getattr(effect, name)
        if value.__class__ is str and str in types and value.isprintable():  # most of them are
            continue
        if not isinstance(value, types) or isinstance(value, bool):
            return name
        texts = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
        for text in texts:
            if not isinstance(text, str) or not (text.isprintable() or (name in _ANY_TEXT and _can_be_read(text))):
                return name
    return ""


def _can_be_read(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text))
