"""9. A crowd: 50 commands at once, ten times over, some of them killed, against a model of what may come of it."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.faults.ground import Ground, civil
from tests.faults.tally import Tally
from tests.faults.warm import Done, Warm

NAMES = [f"w{n}" for n in range(14)]
SUBNETS = [f"10.{n}.3.0/24" for n in range(1, 5)]
AT_ONCE = 50
ROUNDS = 5
"""On each of two hosts."""


@dataclass(frozen=True)
class Order:
    """
    A command that somebody gives.

    Args:
        name: The sandbox it is about; empty for none, or all.
        tick: When nsctl is killed over it; 0 for never.
    """

    argv: tuple[str, ...]
    name: str
    tick: int = 0


def order(generator: random.Random) -> Order:
    name, other = generator.sample(NAMES, 2)
    tick = generator.randint(20, 120) if generator.random() < 0.08 else 0
    only_net = () if generator.random() < 0.1 else ("--isolate", "net")
    match generator.choices(["bridge", "address", "none", "container", "down", "look"], [10, 3, 2, 3, 10, 2])[0]:
        case "bridge":
            argv = ("up", "bridge", "--name", name, "--subnet", generator.choice(SUBNETS), *only_net)
        case "address":
            # Many want the same one.
            subnet = generator.choice(SUBNETS)
            argv = ("up", "bridge", "--name", name, "--subnet", subnet, "--ip", subnet.replace("0/24", "77"), *only_net)
        case "none":
            argv = ("up", "none", "--name", name, "--isolate", "net")
        case "container":
            argv = ("up", "container", "--name", name, "--target", other, *only_net)
        case "down":
            argv = ("down", name)
        case _:
            return Order((generator.choice(["ls", "recover", "repair"]),), "")
    return Order(argv, name, tick)


def all_at_once(ground: Ground, orders: list[Order]) -> list[Done]:
    running = [ground.start(*given.argv, at={given.tick: [signal.SIGKILL]} if given.tick else None) for given in orders]
    return [civil(each.wait(180)) for each in running]


def by_the_model(orders: list[Order], done: list[Done], before: set[str], after: set[str]) -> None:
    """What each command says it did adds up to what there is."""
    for given, each in zip(orders, done, strict=True):
        allowed = {0, 2, -signal.SIGKILL} if given.tick else {0, 2}
        assert each.status in allowed, str(each)
    for name in NAMES:
        about = [(given, each) for given, each in zip(orders, done, strict=True) if given.name == name]
        if any(each.status < 0 for _, each in about):
            continue  # it may or may not have happened
        good = [(given.argv[0], each.stdout) for given, each in about if each.status == 0]
        made = sum(command == "up" and "(already)" not in said for command, said in good)
        ended = sum(command == "down" for command, _ in good)
        assert (name in before) + made - ended == (name in after), f"{name}: {good}"


def one_of_each(ground: Ground) -> None:
    """No two owners of an address, no rule twice, no bridge too many, and all of it in place."""
    rows: list[dict[str, Any]] = json.loads(ground.good("ls", "--json").stdout)
    own = [address for row in rows if row["mode"] != "container" for address in row.get("addresses", [])]
    assert not [address for address, times in Counter(own).items() if times > 1], own
    networks = {row["network"] for row in rows if row.get("network")}
    links = json.loads(ground.lab.run(["ip", "-json", "link"], check=True).stdout)
    bridges = {link["ifname"] for link in links if link["ifname"].startswith("nsbr")} - {"nsbr9"}
    assert bridges == networks, f"{bridges} for {rows}"
    for tables in (["iptables", "-S"], ["iptables", "-t", "nat", "-S"]):
        rules = ground.lab.run(tables, check=True).stdout.splitlines()
        assert not [rule for rule, times in Counter(rules).items() if times > 1]
    ground.good("check")


def test_a_crowd_never_has_two_owners_of_anything_and_leaves_nothing(warm: Warm, tally: Tally) -> None:
    def attempt(ground: Ground, case: int) -> None:
        generator = tally.random("crowd", case)
        up: set[str] = set()
        for _ in range(ROUNDS):
            orders = [order(generator) for _ in range(AT_ONCE)]
            done = all_at_once(ground, orders)
            ground.good("recover")
            now = set(ground.names())
            by_the_model(orders, done, up, now)
            one_of_each(ground)
            tally.note("in a crowd of 50", survived=True, times=len(orders))
            up = now
        ground.good("down", "--all")
        ground.back()

    tally.sweep("hosts with crowds", [1, 2], partial(Ground, warm), attempt)
