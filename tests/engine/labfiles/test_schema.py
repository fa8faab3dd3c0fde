from __future__ import annotations

import copy
import json
import re
import tomllib
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest

from nsctl import opt
from nsctl.engine.labfiles import schema
from nsctl.engine.labfiles.file import COMMON
from nsctl.engine.model.mode import Mode
from nsctl.modes import bridge, container, host, none

EXAMPLE = """\
[network.lan]
mode = "bridge"
subnet = "10.0.3.0/24"
isolate = ["net"]

[sandbox.web]
network = "lan"
ip = "10.0.3.10"
workdir = "/srv"
command = ["python3", "-m", "http.server", "80"]
env = { LANG = "C" }
cap_add = ["sys_ptrace"]
privileged = false

[sandbox.client]
mode = "bridge"
subnet = "10.0.3.0/24"
isolate = ["net"]
count = 50

[sandbox.probe]
mode = "container"
target = "web"
"""


@dataclass(frozen=True)
class Tunnel:
    remote: str = opt(help="the other end")
    kind: Literal["fast", "safe"] = opt("safe", "how")
    keys: tuple[int, ...] = opt((), "keys")
    rate: float = opt(1.5, "rate")


TUNNEL = Mode("tunnel", "a plugin's", Tunnel, lambda _request, _facts: [])
SCHEMA = schema([none.MODE, host.MODE, bridge.MODE, container.MODE, TUNNEL])
TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": float}
KNOWN = frozenset(
    "$schema title description default type enum const pattern minimum maximum items uniqueItems properties required"
    " additionalProperties propertyNames anyOf allOf if then".split()
)


def is_a(value: Any, kind: str) -> bool:
    if kind in {"integer", "number"} and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind == "number" else TYPES[kind])


def valid(value: Any, rule: Any) -> bool:
    """As much of JSON Schema 2020-12 as the schema uses; a word that is not known here fails the test."""
    if isinstance(rule, bool):
        return rule
    assert rule.keys() <= KNOWN
    checks = [
        "type" not in rule or is_a(value, rule["type"]),
        "enum" not in rule or value in rule["enum"],
        "const" not in rule or value == rule["const"],
        all(valid(value, r) for r in rule.get("allOf", [])),
        "anyOf" not in rule or any(valid(value, r) for r in rule["anyOf"]),
        "if" not in rule or not valid(value, rule["if"]) or valid(value, rule["then"]),
    ]
    if isinstance(value, str):
        checks.append(re.search(rule.get("pattern", ""), value) is not None)
    if is_a(value, "number"):
        checks.append(rule.get("minimum", value) <= value <= rule.get("maximum", value))
    if isinstance(value, list):
        checks.append(all(valid(v, rule.get("items", True)) for v in value))
        checks.append(not rule.get("uniqueItems") or len(value) == len(set(map(str, value))))
    if isinstance(value, dict):
        properties = rule.get("properties", {})
        checks.append(set(rule.get("required", [])) <= value.keys())
        checks.append(all(valid(k, rule.get("propertyNames", True)) for k in value))
        rest = rule.get("additionalProperties", True)
        checks += [valid(v, properties.get(k, rest)) for k, v in value.items()]
    return all(checks)


def test_the_schema_is_json_and_names_its_dialect() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_example_is_accepted() -> None:
    assert valid(tomllib.loads(EXAMPLE), SCHEMA)
    assert valid({}, SCHEMA)


def test_a_plugins_mode_and_its_options_are_accepted() -> None:
    tunnel = {"mode": "tunnel", "remote": "there", "kind": "fast", "keys": [1, 2], "rate": 2}
    assert valid({"sandbox": {"a": tunnel}}, SCHEMA)
    assert not valid({"sandbox": {"a": tunnel | {"kind": "slow"}}}, SCHEMA)
    assert not valid({"sandbox": {"a": tunnel | {"keys": ["x"]}}}, SCHEMA)
    assert not valid({"sandbox": {"a": tunnel | {"rate": "fast"}}}, SCHEMA)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("web", "subnett", "10.0.3.0/24"),
        ("web", "ip", 5),
        ("web", "ip", "10.0.3.256"),
        ("web", "ip", "010.0.3.2"),
        ("web", "command", "sleep 60"),
        ("web", "command", [1]),
        ("web", "env", {"A": 1}),
        ("web", "env", ["A=1"]),
        ("web", "privileged", "yes"),
        ("client", "mode", "brigde"),
        ("client", "subnet", "10.0.3.0"),
        ("client", "count", -1),
        ("client", "count", 4097),
        ("client", "count", "3"),
        ("client", "count", True),
        ("client", "isolate", "net"),
        ("client", "isolate", ["nte"]),
        ("client", "isolate", ["net", "net"]),
        ("client", "mtu", "1400"),
        ("client", "internal", "yes"),
    ],
)
def test_what_nsctl_refuses_the_schema_refuses(table: str, key: str, value: object) -> None:
    data = copy.deepcopy(tomllib.loads(EXAMPLE))
    data["sandbox"][table][key] = value
    assert not valid(data, SCHEMA)


@pytest.mark.parametrize(
    "data",
    [
        {"sandbx": {}},
        {"sandbox": {"a": {}}},
        {"sandbox": {"a": {"ip": "10.0.3.2"}}},
        {"sandbox": {"Web": {"mode": "none"}}},
        {"sandbox": {"a": 1}},
        {"sandbox": []},
        {"network": {"n": {"mtu": 1400}}},
        {"network": {"n": {"mode": "bridge", "count": 3}}},
        {"network": {"n": {"mode": "bridge", "network": "m"}}},
    ],
)
def test_tables_and_keys_that_do_not_belong_are_refused(data: dict[str, Any]) -> None:
    assert not valid(data, SCHEMA)


def test_every_key_says_what_it_is_for() -> None:
    properties = SCHEMA["properties"]["sandbox"]["additionalProperties"]["properties"]
    assert COMMON.keys() <= properties.keys()
    assert all(p.get("description") for p in properties.values())
    assert properties["ifname"]["default"] == "eth0"


@pytest.mark.parametrize("key", ["allow-overlap", "allow_overlap"])
def test_a_key_may_be_spelt_with_hyphens(key: str) -> None:
    for kind in ("network", "sandbox"):
        table = {"mode": "bridge", key: True, "cap-add": ["kill"], "cap_drop": []}
        assert valid({kind: {"a": table}}, SCHEMA)
        assert not valid({kind: {"a": table | {key: "yes"}}}, SCHEMA)


class Kind(Enum):
    FAST = "fast"
    SAFE = "safe"


@dataclass(frozen=True)
class Other:
    rate: str = opt("slow", "how")
    kind: Kind = opt(Kind.SAFE, "what kind")
    words: tuple[str, ...] = opt(("a", "b"), "words")


def test_modes_may_mean_different_things_by_one_word() -> None:
    found = schema([TUNNEL, Mode("other", "another plugin's", Other, lambda _request, _facts: [])])
    networks: dict[str, Any] = {"t": {"mode": "tunnel", "rate": 2.5}, "o": {"mode": "other", "rate": "fast"}}
    sandboxes: dict[str, Any] = {name: {"network": name, "rate": table["rate"]} for name, table in networks.items()}
    assert valid({"network": networks, "sandbox": sandboxes}, found)
    assert not valid({"sandbox": {"a": {"mode": "other", "rate": 2.5}}}, found)
    assert not valid({"sandbox": {"a": {"network": "t", "rate": True}}}, found)
    every = found["properties"]["sandbox"]["additionalProperties"]["properties"]
    assert every["rate"]["description"] == "rate; or how"


def test_defaults_are_what_a_file_would_say() -> None:
    found = schema([Mode("other", "another plugin's", Other, lambda _request, _facts: [])])
    every = found["properties"]["sandbox"]["additionalProperties"]["properties"]
    assert (every["kind"]["default"], every["words"]["default"]) == ("safe", ["a", "b"])
    for rule in every.values():
        assert "default" not in rule or valid(rule["default"], rule)
