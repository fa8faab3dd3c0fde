"""A JSON schema of lab files, for editors."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from nsctl.engine.labfiles.file import COMMON, COUNT_MAX, NETWORK
from nsctl.engine.model.mode import Mode
from nsctl.engine.model.options import MAYBE_WITH_PREFIX, Field, fields_of, plain_value
from nsctl.engine.model.plan import NAMESPACES

__all__ = ["schema"]

_TYPES: dict[Any, str] = {int: "integer", float: "number", bool: "boolean"}
_QUAD = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = rf"({_QUAD}\.){{3}}{_QUAD}"
_PATTERNS: dict[Any, str] = {
    IPv4Address: f"^{_ADDRESS}$",
    MAYBE_WITH_PREFIX: f"^{_ADDRESS}(/[0-9]{{1,2}})?$",
    IPv4Interface: f"^{_ADDRESS}/[0-9]{{1,2}}$",
    IPv4Network: f"^{_ADDRESS}/[0-9]{{1,2}}$",
}
_WORDS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


def schema(modes: Iterable[Mode]) -> dict[str, Any]:
    """The schema, with the options of these modes."""
    known = list(modes)
    found: dict[str, list[dict[str, Any]]] = {}
    branches = []
    for mode in known:
        properties = {f.name: _property(f) for f in fields_of(mode.options) if f.name != NETWORK}
        for key, rule in properties.items():
            found.setdefault(key, []).append(rule)
        branches.append(
            {
                "if": {"properties": {"mode": {"const": mode.name}}, "required": ["mode"]},
                "then": {"properties": _spelt(properties)},
            }
        )
    every: dict[str, Any] = {"mode": {"enum": [m.name for m in known], "description": COMMON["mode"]}}
    every |= {key: _any_of(rules) for key, rules in found.items()}
    common: dict[str, Any] = {
        "network": {"type": "string"},
        "count": {"type": "integer", "minimum": 0, "maximum": COUNT_MAX},
        "isolate": {"type": "array", "items": {"enum": list(NAMESPACES)}, "uniqueItems": True},
        "command": _WORDS,
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "user": {"type": "string"},
        "workdir": {"type": "string", "pattern": "^/"},
        "dns": _WORDS | {"maxItems": 3},
        "dns_search": _WORDS,
        "add_host": _WORDS,
        "sysctl": {"type": "object", "additionalProperties": {"type": "string"}},
        "cap_add": _WORDS,
        "cap_drop": _WORDS,
        "privileged": {"type": "boolean"},
    }
    for key, value in common.items():
        common[key] = {**value, "description": COMMON[key]}
    shared = {k: v for k, v in common.items() if k not in ("network", "count")}
    name = {"pattern": "^[a-z][a-z0-9_-]{0,62}$"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nsctl lab file",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "network": {
                "type": "object",
                "propertyNames": name,
                "additionalProperties": {
                    "type": "object",
                    "required": ["mode"],
                    "properties": _spelt({**every, **shared}),
                    "additionalProperties": False,
                },
            },
            "sandbox": {
                "type": "object",
                "propertyNames": name,
                "additionalProperties": {
                    "type": "object",
                    "properties": _spelt({**every, **common}),
                    "additionalProperties": False,
                    "anyOf": [{"required": ["mode"]}, {"required": ["network"]}],
                    "allOf": branches,
                },
            },
        },
    }


def _spelt(properties: dict[str, Any]) -> dict[str, Any]:
    # `allow-overlap` and `allow_overlap` are one key.
    return {way: rule for key, rule in properties.items() for way in (key, key.replace("_", "-"))}


def _any_of(rules: list[dict[str, Any]]) -> dict[str, Any]:
    # What several modes call alike need not be alike; and which mode it is, may stand in another table.
    first, *others = rules
    if all(rule == first for rule in others):
        return first
    return {"anyOf": rules, "description": "; or ".join(dict.fromkeys(rule["description"] for rule in rules))}


def _property(field: Field) -> dict[str, Any]:
    if field.choices:
        one: dict[str, Any] = {"enum": list(field.choices)}
    elif field.type in _TYPES:
        one = {"type": _TYPES[field.type]}
    else:
        one = {"type": "string"}
        if field.type in _PATTERNS:
            one["pattern"] = _PATTERNS[field.type]
    if field.multiple:
        one = {"type": "array", "items": one}
    one["description"] = field.help
    if field.default is not None:
        one["default"] = plain_value(field.default)
    return one
