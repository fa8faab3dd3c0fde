"""
Finding what nsctl made and no store knows: after the store was lost or damaged.

Only what bears a mark counts: a hardware address that nsctl derives from names, a chain or a directory of its own.
A namespace without a link and without a directory bears none, and a sysctl's old value is lost with the store.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from pathlib import Path

from nsctl.engine import kit
from nsctl.engine.executor.context import Context, new_transaction_id
from nsctl.engine.executor.port_filters import in_the_table
from nsctl.engine.executor.undo import undo_rows
from nsctl.engine.kit.firewall import GUARD, OWN_CHAINS, own_chain
from nsctl.engine.kit.forwarding import DEFAULT, GUARDING
from nsctl.engine.kit.zones import FIREWALLD, TRUSTED
from nsctl.engine.model.commands import Sysctl
from nsctl.engine.model.effects import (
    ChainIs,
    DirIs,
    Effect,
    FileIs,
    LinkIs,
    NetnsIs,
    NftTable,
    PortFilter,
    ProcessIs,
    RuleTagged,
    State,
    SysctlIs,
    ZoneIs,
)
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.events import PlanFinished, PlanStarted
from nsctl.engine.model.facts import Facts, Firewall
from nsctl.engine.model.names import derived_mac, host_ifname, port_mac, rule_tag
from nsctl.engine.model.plan import Step
from nsctl.engine.store.rows import DONE, StepRow

__all__ = ["scan"]


def scan(ctx: Context, *, remove: bool) -> list[str]:
    """
    Look for what bears nsctl's marks and is in no store.

    Args:
        ctx: The session's context.
        remove: Take it away.

    Returns:
        A line for each thing.
    """
    ctx.kernel.forget()
    held = _held(ctx)
    rows = [row for row in (*_found(ctx), *_switched_on(ctx, held)) if _identity(row.step) not in held]
    if not remove or not rows:
        return [f"found {row.step.key}" for row in rows]
    rows.reverse()
    ident = new_transaction_id()
    # As with any undoing: the start is on record before the first change, and a trail that is full holds up nothing.
    ctx.emit_safely(PlanStarted(ident, "", "recover", "", tuple(row.step for row in rows)))
    undone = undo_rows(ctx, rows, ident, "", record=False)
    keys = tuple(row.step.key for row, _ in undone.left)
    ctx.emit_safely(PlanFinished(ident, "", "recover", "left" if keys else "done", keys))
    left = {row.step.key: why for row, why in undone.left}
    ctx.warnings += [f"still left: {key}: {why}" for key, why in left.items()]
    return [f"removed {row.step.key}" for row in rows if row.step.key not in left]


def _held(ctx: Context) -> set[object]:
    # What any store of this host holds, by what it is: keys are spelt as whoever made the step spelt them.
    own = (row.step for row in ctx.journal.steps())
    return {_identity(step) for step in (*own, *(held.row.step for held in ctx.others.everything()))}


_WHAT_IT_IS: dict[type[Effect], tuple[str, ...]] = {
    LinkIs: ("name", "netns"),
    NetnsIs: ("name",),
    ProcessIs: ("pidfile",),
    DirIs: ("path",),
    FileIs: ("path",),
    ChainIs: ("table", "chain", "family"),
    RuleTagged: ("table", "chain", "spec", "family"),
    ZoneIs: ("zone", "link"),
    NftTable: ("family", "name"),
    PortFilter: ("port",),
}


def _identity(step: Step) -> object:
    effect = step.effect
    if effect is None or type(effect) not in _WHAT_IT_IS:
        return step.key
    return type(effect).kind, *(getattr(effect, name) for name in _WHAT_IT_IS[type(effect)])


def _found(ctx: Context) -> Iterator[StepRow]:
    # In the order in which a plan makes them: it is undone from the end.
    for step in in_the_table(ctx.kernel):
        yield _row(ctx, step)
    names = _sandboxes(ctx)
    for name in sorted(ctx.kernel.netns_names()):
        inode = ctx.kernel.netns_inode(name)
        if inode is not None and (name in names or _has_our_link(ctx, name)):
            yield StepRow(0, kit.netns(name), DONE, {"inode": inode})
    links = dict(ctx.kernel.links())
    for name, link in links.items():
        if link.type == "bridge" and link.mac == derived_mac("bridge", name):
            yield _row(ctx, kit.bridge(name))
            yield from _zone(ctx, name)
    candidates = {*names, *ctx.kernel.netns_names()}
    for name, link in links.items():
        identities = ((n, {derived_mac(n, name), port_mac(n, name)}) for n in (*candidates, name.removeprefix("ns-")))
        owner = next((n for n, macs in identities if link.mac in macs), None)
        if link.type == "veth" and owner is not None:
            yield _row(ctx, kit.veth(name, peer="eth0", netns=owner, mac=link.mac))
    for table, builtin, chain in OWN_CHAINS:
        for step in own_chain(table, builtin, chain):
            if step.effect is not None and step.effect.observe(ctx.kernel).state is State.OURS:
                yield _row(ctx, step)
    yield from _directories(ctx, names)


def _zone(ctx: Context, bridge: str) -> Iterator[StepRow]:
    zones = ctx.kernel.zones.of_links
    if zones is not None and zones.get(bridge) == TRUSTED:
        step = kit.zone(bridge, Facts(firewall=Firewall(managers={FIREWALLD: {}})))
        if step is not None:
            yield _row(ctx, step)


def _switched_on(ctx: Context, held: Container[object]) -> Iterator[StepRow]:
    # Where NSCTL-GUARD drops whatever it does not let return, nsctl had all other links forward, late ones too.
    rules = ctx.kernel.rules("filter", GUARD) or ()
    guarding = [spec for spec in rules if rule_tag(GUARDING) in spec]
    if f"sysctl/{DEFAULT}" in held or not any("DROP" in spec for spec in guarding):
        return
    before = {spec[spec.index("-i") + 1] for spec in guarding if "-i" in spec and "-o" not in spec}
    before |= {"lo", *(n for n, link in ctx.kernel.links().items() if link.mac == derived_mac("bridge", n))}
    links = [n for n, link in ctx.kernel.links().items() if not link.master and n not in before]
    for key in (DEFAULT, *(f"net/ipv4/conf/{name}/forwarding" for name in links)):
        if ctx.kernel.sysctl(key) == "1":
            on, off = (Sysctl(key, value) for value in "10")
            effect = SysctlIs(key, "1", "0", globally="0")
            yield StepRow(0, Step(f"sysctl/{key}", f"set {key} to 1", on, (off,), effect), DONE)


def _row(ctx: Context, step: Step) -> StepRow:
    return StepRow(0, step, DONE, step.effect.identity(ctx.kernel) if step.effect is not None else None)


def _sandboxes(ctx: Context) -> list[str]:
    try:
        return sorted(os.listdir(ctx.journal.state_dir / "sandboxes"))
    except OSError:
        return []


def _has_our_link(ctx: Context, netns: str) -> bool:
    try:
        return any(
            link.mac == derived_mac(netns, host_ifname(netns, name), name)
            or any(
                link.mac == derived_mac("address", address.partition("/")[0])
                for address in ctx.kernel.addresses(name, netns)
            )
            for name, link in ctx.kernel.links(netns).items()
        )
    except Invalid:  # a name that nsctl would not have given
        return False


def _directories(ctx: Context, names: list[str]) -> Iterator[StepRow]:
    root = ctx.journal.state_dir / "sandboxes"
    if root.is_symlink() or not root.is_dir():
        return
    facts = Facts(state_dir=str(ctx.journal.state_dir))
    yield StepRow(0, kit.directory(str(root)), DONE)
    for name in names:
        place = root / name
        if place.is_symlink() or not place.is_dir():
            continue
        yield StepRow(0, kit.directory(str(place), remove=_files_in(place)), DONE)
        for pidfile in sorted(place.glob("*.pid")):
            step = kit.spawn(facts, name, pidfile.stem, ("sh",), why="a process of a sandbox")
            if step.effect is not None and step.effect.observe(ctx.kernel).state is State.OURS:
                yield _row(ctx, step)


def _files_in(place: Path) -> tuple[str, ...]:
    return tuple(str(p) for p in sorted(place.iterdir()) if not p.is_dir() or p.is_symlink())
