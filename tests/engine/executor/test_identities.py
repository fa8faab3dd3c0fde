"""The identity of a setting of a link that nsctl does not make is that of the link it was made on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from nsctl.engine.executor.context import Context
from nsctl.engine.executor.signals import HeldSignals
from nsctl.engine.host.kernel import Kernel
from nsctl.engine.kit import sysctl
from nsctl.engine.model.facts import Facts
from tests.lab import Lab

pytestmark = pytest.mark.system

KEY = "net/ipv4/conf/upx/forwarding"


def context() -> Context:
    return Context(Mock(state_dir=Path("/run/nsctl")), Mock(), Kernel(Mock()), Mock(), HeldSignals(), Mock())


def test_it_is_known_before_and_stays_whatever_becomes_of_the_name(lab: Lab) -> None:
    lab.run(["ip", "link", "add", "upx", "index", "1007", "type", "veth", "peer", "name", "farx"], check=True)
    step = sysctl(Facts(sysctls={KEY: "0"}), KEY, "1")
    assert step is not None
    step = replace(step, removed_with=None)  # as it is in a plan that does not make the link

    def marked() -> tuple[object, object]:
        ctx = context()
        before = ctx.identity_before(step)
        script = "ip link set upx name wanx; ip link add upx type veth peer name fary"
        subprocess.run(["sh", "-ec", script], check=True)
        ctx.kernel.forget()
        return before, ctx.identity(step)

    assert lab.call(marked) == ({"index": 1007}, {"index": 1007})
