"""When a port is judged: before there is one, and until there is none."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from nsctl.engine.kit.port_filter import (
    FILTERED_PORTS,
    TABLE,
    TABLE_KEY,
    is_own_nft,
    made_anew,
    own_addresses,
    unfiltered,
    without,
)
from nsctl.engine.model.commands import Nft
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.plan import Plan
from nsctl.engine.runner.batches import batches_of, do_items, undo_items
from nsctl.testing import plan_case
from tests.modes.test_cases import MODES

CASES = Path(__file__).parents[2] / "modes" / "cases" / "bridge"
MAC = "02:00:00:00:00:01"


def planned(name: str) -> Plan:
    return plan_case(json.loads((CASES / f"{name}.json").read_text()), MODES)


def place(keys: list[str], key: str) -> int:
    assert key in keys
    return keys.index(key)


def test_what_a_port_may_send_is_said_before_it_is_there_and_taken_back_after_it_is_gone() -> None:
    steps = planned("ip").steps
    runs = batches_of(do_items(steps))
    order = {item.key: n for n, run in enumerate(runs) for item in run.items}
    assert order["port/ns-web"] in runs[order["link/ns-web"]].after
    # With its table, or by itself where another sandbox needs that.
    for going in (None, {s.key for s in steps} - {TABLE_KEY}):
        undone = undo_items(list(reversed(steps)), going)
        keys = [item.key for item in undone]
        last = TABLE_KEY if going is None else "port/ns-web"
        assert place(keys, last) > place(keys, "link/ns-web")
        assert "link/ns-web" in (undone[place(keys, last)].after or ())


def test_what_the_table_has_of_a_port_is_taken_away_and_no_more() -> None:
    step = own_addresses("ns-web", MAC, IPv4Address("10.0.3.2"))[1]
    [undo] = without(step, listed=False, macs=(), addresses=("10.0.3.2", "10.0.3.9")).undo
    assert undo.argv[1] == 'delete element bridge nsctl addresses { "ns-web" . 10.0.3.2, "ns-web" . 10.0.3.9 }'
    assert isinstance(undo, Nft)
    assert is_own_nft(undo)


def test_a_table_that_is_made_anew_keeps_its_ports() -> None:
    command = made_anew({"ns-web": (True, (MAC,), ()), "ns-db": (False, (), ("10.0.3.3",))})
    text = command.stdin or ""
    assert text.startswith("delete table bridge nsctl\n" + TABLE)
    assert is_own_nft(command)
    assert text.removeprefix("delete table bridge nsctl\n" + TABLE).splitlines() == [
        'add element bridge nsctl addresses { "ns-db" . 10.0.3.3 }',
        f'add element bridge nsctl ports {{ "ns-web" }}; add element bridge nsctl hardware {{ "ns-web" . {MAC} }}',
    ]


@pytest.mark.parametrize(
    ("port", "mac"), [('x" }', MAC), ("all", MAC), ("ns-web", "02:00"), ("ns-web", "ff:ff:ff:ff:ff:ff")]
)
def test_no_text_gets_into_a_statement_unchecked(port: str, mac: str) -> None:
    with pytest.raises(Invalid):
        own_addresses(port, mac, IPv4Address("10.0.3.2"))


def test_only_what_the_host_cannot_do_is_warned_of() -> None:
    lacking = Facts(lacks={FILTERED_PORTS: "why"})
    assert unfiltered(planned("cannot-filter-ports"), lacking) == [
        "sandboxes on nsbr0 can take each other's address: why"
    ]
    assert unfiltered(planned("allow-spoofing"), lacking) == []
    assert unfiltered(planned("ip"), lacking) == []
