"""Every step of every mode fails in turn, on the real kernel: the host is as before."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from nsctl import Mode
from nsctl.modes import bridge, container, host, none
from nsctl.testing import fail_every_step
from tests.modes import litter

LAN = IPv4Network("10.0.3.0/24")
BESIDE = (bridge.MODE, "db", bridge.Options(subnet=LAN))


CASES = [
    pytest.param(none.MODE, none.Options(), {}, id="none"),
    pytest.param(
        none.MODE, none.Options(), {"command": ("sleep", "60"), "fuse": False}, id="none with a workload, one by one"
    ),
    pytest.param(host.MODE, host.Options(), {}, id="host"),
    pytest.param(bridge.MODE, bridge.Options(), {"isolate": ("net",)}, id="bridge", marks=pytest.mark.nightly),
    pytest.param(
        bridge.MODE,
        bridge.Options(internal=True),
        {"isolate": ("net",), "fuse": False},
        id="internal bridge, one by one",
        marks=pytest.mark.nightly,
    ),
    pytest.param(bridge.MODE, bridge.Options(subnet=LAN), {"beside": (BESIDE,)}, id="bridge joined"),
    pytest.param(container.MODE, container.Options(target="db"), {"beside": (BESIDE,)}, id="container"),
]


@pytest.mark.usefixtures("_labs")
@pytest.mark.parametrize(("mode", "options", "more"), CASES)
def test_the_host_is_as_before_whichever_step_fails(mode: Mode, options: object, more: dict[str, Any]) -> None:
    assert fail_every_step(mode, options, **more) > 1


@pytest.mark.usefixtures("_labs")
def test_a_mode_that_leaves_something_is_found_out() -> None:
    with pytest.raises(AssertionError, match="litter"):
        fail_every_step(litter.MODE, litter.Options(), isolate=())
