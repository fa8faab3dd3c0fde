"""The kernel's messages, as they come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nsctl.engine.host.changes import EVERYTHING, Changes, Interest
from tests.lab import Lab

pytestmark = pytest.mark.system

FLOOD = (
    "i=0; while [ $i -lt 60000 ]; do echo route add blackhole 198.18.$((i / 250)).$((i % 250))/32; i=$((i + 1)); done"
    " | ip -batch -"
)
"""More than fits into the socket's buffer."""


@pytest.fixture
def opened(lab: Lab) -> Iterator[Changes]:
    changes = lab.call(Changes)
    yield changes
    changes.close()


def test_what_was_lost_is_of_interest_and_what_was_not_only_if_it_is(lab: Lab, opened: Changes) -> None:
    changes = opened
    lab.run(["ip", "route", "add", "blackhole", "198.51.100.1/32"], check=True)
    assert not changes.read(Interest())
    lab.run(["ip", "route", "add", "blackhole", "198.51.100.2/32"], check=True)
    assert changes.read(EVERYTHING)
    lab.run(["sh", "-ec", FLOOD], check=True)
    assert changes.read(Interest())
    assert not changes.read(Interest())


def test_a_link_is_told_of_by_its_name_and_by_its_number(lab: Lab, opened: Changes) -> None:
    changes = opened
    lab.run(["ip", "link", "add", "a0", "type", "bridge"], check=True)
    assert changes.read(Interest(links=frozenset({"a0"})))
    index = int(lab.read("/sys/class/net/a0/ifindex"))
    lab.run(["ip", "link", "set", "a0", "name", "b0"], check=True)
    assert changes.read(Interest(indexes=frozenset({index})))
    lab.run(["ip", "link", "del", "b0"], check=True)
    assert not changes.read(Interest(indexes=frozenset({index + 100})))
