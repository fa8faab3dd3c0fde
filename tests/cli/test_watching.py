"""What the watcher makes of the kernel's messages, and of who fights back."""

from __future__ import annotations

import struct

import pytest

from nsctl.engine.cli.watching import fight as fights
from nsctl.engine.cli.watching.fight import FREE, LONGEST, Fight
from nsctl.engine.host.changes import Interest, is_about

INTEREST = Interest(
    links=frozenset({"nsbr0"}),
    indexes=frozenset({7}),
    settings=frozenset({2, -2}),
    chains=frozenset({"2/filter/FORWARD", "2/filter/NSCTL-FORWARD"}),
    tables=frozenset({"7/nsctl"}),
)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def link(index: int, name: bytes) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, 0, 0) + attribute(3, name + b"\0")


def rule(table: bytes, chain: bytes, family: int = 2) -> bytes:
    return bytes((family, 0, 0, 0)) + attribute(1, table + b"\0") + attribute(2, chain + b"\0")


def chain(table: bytes, name: bytes) -> bytes:
    return bytes((2, 0, 0, 0)) + attribute(1, table + b"\0") + attribute(2, bytes(8)) + attribute(3, name + b"\0")


ROUTE = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, 0, 0, 1, 0)
NFT = 10 << 8


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (16, link(7, b"other"), True),
        (16, link(9, b"nsbr0"), True),  # a stranger's under the name
        (17, link(9, b"other"), False),
        (21, struct.pack("=BBBBI", 2, 24, 0, 0, 7), True),
        (20, struct.pack("=BBBBI", 2, 24, 0, 0, 2), False),
        (25, ROUTE + attribute(4, struct.pack("=i", 7)), True),
        (25, ROUTE + attribute(4, struct.pack("=i", 2)), False),
        (24, ROUTE, False),
        (80, b"\x02\0\0\0" + attribute(1, struct.pack("=i", -2)), True),
        (80, b"\x02\0\0\0" + attribute(1, struct.pack("=i", 2)), True),
        (80, b"\x02\0\0\0" + attribute(1, struct.pack("=i", -1)), False),
        (32, b"\x02\0\0\0", False),
        (NFT + 8, rule(b"filter", b"FORWARD"), True),
        (NFT + 6, rule(b"filter", b"NSCTL-FORWARD"), True),
        (NFT + 6, rule(b"filter", b"DOCKER"), False),
        (NFT + 6, rule(b"nat", b"FORWARD"), False),
        (NFT + 6, rule(b"filter", b"FORWARD", 10), False),
        (NFT + 5, chain(b"filter", b"NSCTL-FORWARD"), True),
        (NFT + 3, chain(b"filter", b"DOCKER"), False),
        (NFT + 2, b"\x02\0\0\0" + attribute(1, b"filter\0"), True),
        (NFT + 2, b"\x02\0\0\0" + attribute(1, b"filt\0"), False),
        (NFT + 15, b"\x02\0\0\0" + attribute(1, b"\0\0\0\1"), False),
        (NFT + 12, b"\x02\0\0\0" + attribute(1, b"filter\0"), False),
        (NFT + 6, rule(b"nsctl", b"anything", 7), True),
        (NFT + 14, b"\x07\0\0\0" + attribute(1, b"nsctl\0"), True),
        (NFT + 12, b"\x07\0\0\0" + attribute(1, b"other\0"), False),
        (NFT + 6, rule(b"nsctl", b"FORWARD", 2), False),
    ],
)
def test_only_what_can_be_about_nsctls_own_is_of_interest(kind: int, data: bytes, expected: object) -> None:
    assert is_about(kind, data, INTEREST) is expected


def test_pauses_grow_while_somebody_fights_back_and_end_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(fights, "monotonic", lambda: now)
    fight, rule = Fight(), frozenset({"rule/x"})
    pauses, lines = [], []
    for _ in range(15):
        pause, line = fight.round(rule, restless=False)
        pauses.append(pause)
        lines.append(line)
        now += pause + 0.5
    assert pauses[: FREE + 4] == [0.0] * FREE + [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST
    assert [bool(line) for line in lines].count(True) == 1
    now += 1000.0
    assert fight.round(rule, restless=False) == (0.0, "")
    assert fight.round(frozenset(), restless=False) == (0.0, "")
    assert fight.round(rule, restless=True)[0] == 1.0


def test_one_after_the_other_is_no_fight(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(fights, "monotonic", lambda: now)
    fight = Fight()
    for number in range(20):
        assert fight.round(frozenset({f"rule/{number}"}), restless=False) == (0.0, "")
        now += 0.5
