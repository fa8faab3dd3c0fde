"""Announcements wait for the ports that they go out by."""

from __future__ import annotations

import pytest

from nsctl.engine.executor import announcing
from nsctl.engine.executor.announcing import announcements_last, wait_for_ports
from nsctl.engine.host import rtnl
from nsctl.engine.host.netlink import Netlink, socket_in
from nsctl.engine.kit import announce
from nsctl.engine.model.commands import Command
from nsctl.engine.model.effects import LinkUp
from nsctl.engine.model.plan import Step
from tests.lab import Lab

UP = Step("up/ns-web", "", Command(("ip", "link", "set", "dev", "ns-web", "up")), effect=LinkUp("ns-web"))


def test_announcements_come_last() -> None:
    told = announce("eth0", "02:00:00:00:00:07", netns="web")
    assert announcements_last([told, UP]) == ([UP], [told])
    assert announcements_last([UP]) == ([UP], [])


def test_they_wait_until_the_kernel_has_dealt_with_the_carrier(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, False, True]
    row = rtnl.LinkRow(7, "ns-web", "", 1500, "veth", 3, up=True, group=0, altnames=(), flags=0, parts={})
    monkeypatch.setattr(announcing, "link_by_name", lambda *_: row)
    monkeypatch.setattr(announcing, "settled", lambda _: answers.pop(0))
    wait_for_ports([UP])
    assert answers == []


def test_they_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "_WITHIN", 0.02)
    row = rtnl.LinkRow(7, "ns-web", "", 1500, "veth", 3, up=True, group=0, altnames=(), flags=0, parts={})
    monkeypatch.setattr(announcing, "link_by_name", lambda *_: row)
    monkeypatch.setattr(announcing, "settled", lambda _: False)
    wait_for_ports([UP])


@pytest.mark.system
def test_a_port_that_has_settled_forwards(lab: Lab) -> None:
    for words in (
        "netns add web",
        "link add br-x type bridge",
        "link set dev br-x up",
        "link add ns-web type veth peer name eth0 netns web",
        "link set dev ns-web master br-x up",
        "-n web link set dev eth0 up",
    ):
        lab.run(["ip", *words.split()], check=True)

    def settles() -> bool:
        wait_for_ports([UP])
        with Netlink(socket_in()) as netlink:
            row = rtnl.link_by_name(netlink, "ns-web")
        return row is not None and rtnl.settled(row)

    assert lab.call(settles)
    assert lab.run(["bridge", "link", "show", "dev", "ns-web"], check=True).stdout.count("state forwarding") == 1
    lab.run(["ip", "link", "set", "dev", "ns-web", "down"], check=True)
    assert lab.call(settles)  # without a carrier there is nothing to wait for
