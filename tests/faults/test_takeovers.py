"""
18. A setting that others take over: before, while and after nsctl has it; then it stays theirs, else it comes back.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial

from tests.faults.ground import Ground
from tests.faults.tally import Tally
from tests.faults.warm import Warm

CONF = "/proc/sys/net/ipv4/conf"
UP = ("up", "bridge", "--isolate", "net", "--no-batch", "--name", "web", "--subnet", "10.0.3.0/24", "--uplink", "upx")
PAIR = "ip link add upx type veth peer name farx && ip link set upx up && ip link set farx up"


@dataclass(frozen=True, repr=False)
class Takeover:
    """
    What somebody else does to the uplink's forwarding, or to the uplink.

    Args:
        what: In words.
        script: In sh.
        left: What is to be found after all is over: link → its forwarding, `before` for what it was before nsctl.
    """

    what: str
    script: str
    left: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return self.what


RENAMED = "ip link set upx down && ip link set upx name wanx && ip link set wanx up"
ANEW = "ip link add upx type veth peer name fary"
TAKEOVERS = (
    Takeover("nobody", "true", (("upx", "before"),)),
    Takeover("switched off", f"echo 0 >{CONF}/upx/forwarding", (("upx", "0"),)),
    Takeover("switched on for all", "echo 1 >/proc/sys/net/ipv4/ip_forward", (("upx", "1"), ("farx", "1"))),
    Takeover("switched on for all by its other name", f"echo 1 >{CONF}/all/forwarding", (("upx", "1"), ("farx", "1"))),
    Takeover(
        "switched on and off for all",
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/ip_forward",
        (("upx", "0"), ("farx", "0")),
    ),
    Takeover("the uplink is renamed", RENAMED, (("wanx", "before"),)),
    Takeover(
        "the uplink is renamed, and another has its name",
        f"{RENAMED} && {ANEW} && echo 1 >{CONF}/upx/forwarding",
        (("wanx", "before"), ("upx", "1")),
    ),
    Takeover(
        "the uplink is gone, and another has its name",
        f"ip link del upx && {ANEW} && echo 1 >{CONF}/upx/forwarding",
        (("upx", "1"),),
    ),
    Takeover("the uplink is gone", "ip link del upx", ()),
    Takeover("the uplink is down", "ip link set upx down", (("upx", "before"),)),
    Takeover("the uplink has another hardware address", "ip link set upx address 02:00:5e:99:00:07",
             (("upx", "before"),)),
    Takeover("the uplink is a port of a bridge", "ip link add brz type bridge && ip link set upx master brz",
             (("upx", "before"),)),
)  # fmt: skip
NEXT_TO_LAST, LAST = "ip -n web link set dev eth0 up*", "ip -n web route add*"
"""Calls of `up`."""
ENDS = ("down", "rolled back", "recovered", "replaced", "second")
Case = tuple[Takeover, str, str]


def ground_for(warm: Warm) -> Ground:
    return Ground(warm, shims=True)


def taken(ground: Ground, case: Case) -> None:
    takeover, before, end = case
    ground.lab.run(["sh", "-ec", f"{PAIR}; echo {before} >{CONF}/upx/forwarding"], check=True)
    ground.plan({})
    ground.shims.stranger(takeover.script)
    if end in ("rolled back", "recovered"):
        fault = "fail-before" if end == "rolled back" else "kill-parent-before"
        ground.plan({NEXT_TO_LAST: "stranger-before", LAST: fault})
        done = ground.nsctl(*UP)
        assert ground.shims.acted
        assert done.status == (1 if end == "rolled back" else -9), done
        ground.plan({})
        if end == "recovered":
            ground.good("recover")
    else:
        ground.good(*UP)
        if end == "second":
            ground.good(
                "up", "bridge", "--isolate", "net", "--name", "db", "--subnet", "10.0.3.0/24", "--uplink", "upx"
            )
        ground.lab.run(["sh", "-ec", takeover.script], check=True)
        if end == "second":
            ground.good("down", "db")
        if end == "replaced" and ground.lab.exists("/sys/class/net/upx"):
            done = ground.nsctl(UP[0], UP[1], "--replace", *UP[2:])
            assert done.status in (0, 2), done
        ground.good("down", "web")
    assert ground.names() == []
    for link, value in takeover.left:
        found = ground.lab.read(f"{CONF}/{link}/forwarding").strip()
        assert found == (before if value == "before" else value), f"{link}: {found}"
    clean(ground)


def clean(ground: Ground) -> None:
    # What is theirs goes, and only that.
    script = """\
    for link in upx wanx farx fary brz; do ip link del $link 2>/dev/null; done
    [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ] || echo 0 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv4/conf/nsbr9/forwarding
    """
    ground.lab.run(["sh", "-c", script], check=True)
    ground.back()


def test_a_setting_that_others_took_over_stays_theirs(warm: Warm, tally: Tally) -> None:
    cases: list[Case] = list(itertools.product(TAKEOVERS, ("0", "1"), ENDS))
    tally.sweep("taken over", cases, partial(ground_for, warm), taken)
