"""What a mode makes is told apart: the sandbox's own, and its attachment's. A sandbox that is up can get another."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from msgspec.structs import replace

from nsctl import Facts, Invalid, Mode, Plan, Request, kit
from nsctl.engine.model.attachment import Attachment, sandbox_of
from nsctl.engine.planning.forecast import extend
from nsctl.engine.planning.planner import connect, plan, validate
from nsctl.modes import bridge, container, host, none

NETS = ("mount", "ipc", "pid", "uts", "net")


def asked(name: str, **options: Any) -> Request:
    return Request(name, bridge.Options(**options), NETS)


def made(name: str = "web", facts: Facts | None = None, **options: Any) -> Plan:
    return plan(bridge.MODE, asked(name, **options), facts or Facts())


def test_a_bridge_makes_a_sandbox_and_one_attachment() -> None:
    found = made(subnet=IPv4Network("10.0.3.0/24"), network="lan")
    (eth0,) = found.attachments
    assert (eth0.name, eth0.mode, eth0.addresses, eth0.gateway) == ("web/eth0", "bridge", ("10.0.3.2/24",), "10.0.3.1")
    assert (eth0.link, eth0.network) == ("nsbr-lan", "lan")
    assert eth0.mac == kit.derived_mac("address", "10.0.3.2")
    assert eth0.options == found.options
    own = {key for key, holder in found.held() if holder == "web"}
    assert {"netns/web", "up/web:lo", "init/web"} <= own
    assert not [key for key in own if "nsbr" in key or "eth0" in key or key.startswith(("claim/", "rule/"))]
    assert {"link/nsbr-lan", "link/ns-web", "route/web:default/100"} <= set(eth0.steps)
    assert Plan.from_json(found.to_json()) == found


@pytest.mark.parametrize(("mode", "options"), [(none.MODE, none.Options()), (host.MODE, host.Options())])
def test_without_an_interface_there_is_none(mode: Mode, options: object) -> None:
    found = plan(mode, Request("web", options, mode.isolate), Facts())
    assert found.attachments == ()
    assert {holder for _, holder in found.held()} == {"web"}


def test_who_shares_a_network_has_none_of_its_own() -> None:
    facts = extend(Facts(), made())
    request = Request("probe", container.Options(target="web"), container.MODE.isolate)
    assert plan(container.MODE, request, facts).attachments == ()


def test_another_attachment_is_a_plan_of_its_steps_only() -> None:
    facts = extend(Facts(), made())
    options: dict[str, Any] = {
        "network": "dmz",
        "internal": True,
        "subnet": IPv4Network("10.0.4.0/24"),
        "ifname": "eth1",
    }
    more = connect(bridge.MODE, asked("web", **options), facts)
    (eth1,) = more.attachments
    assert (more.existing, eth1.name, eth1.addresses) == (True, "web/eth1", ("10.0.4.2/24",))
    assert {step.key for step in more.steps} == set(eth1.steps)
    assert {holder for _, holder in more.held()} == {"web/eth1"}
    assert "netns/web" not in eth1.steps
    validate(more, facts)
    assert Plan.from_json(more.to_json()) == more


def test_what_can_not_be_added_to_is_refused() -> None:
    with pytest.raises(Invalid, match="no sandbox 'web' with a network of its own"):
        connect(bridge.MODE, asked("web"), Facts())
    with pytest.raises(Invalid, match="mode 'none' makes no interface"):
        connect(none.MODE, Request("web", none.Options()), extend(Facts(), made()))


GOOD = made(ip=IPv4Address("10.0.3.9"), subnet=IPv4Network("10.0.3.0/24"))


def changed(**fields: Any) -> Plan:
    return replace(GOOD, attachments=(replace(GOOD.attachments[0], **fields),))


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (changed(interface="../x"), "is not the name of an interface"),
        (changed(sandbox="db"), "the attachment 'db/eth0' is another sandbox's"),
        (changed(steps=("link/nope",)), "the attachment 'web/eth0' can't hold 'link/nope'"),
        (replace(GOOD, attachments=(*GOOD.attachments, replace(GOOD.attachments[0], steps=()))), "one name"),
        (replace(GOOD, existing=True), "has steps of its attachments only"),
    ],
)
def test_a_plan_whose_attachments_are_wrong_is_refused(bad: Plan, fault: str) -> None:
    with pytest.raises(Invalid, match=fault):
        validate(bad)


@pytest.mark.parametrize("data", [{}, {"interface": 7}, {"interface": "eth0", "mode": "m", "options": {}, "steps": 1}])
def test_what_is_no_attachment_is_a_damaged_plan(data: object) -> None:
    with pytest.raises(Invalid, match="the plan is damaged"):
        Plan.from_json({**GOOD.to_json(), "attachments": [data]})


def test_holders_name_their_sandbox() -> None:
    assert [sandbox_of(name) for name in ("web", "web/eth0")] == ["web", "web"]
    assert Attachment("web", "eth0", "m", {}, ()).name == "web/eth0"
