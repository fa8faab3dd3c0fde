"""
What repair does: what is missing is made again, packet filters first, so that isolation never weakens.

A stranger's thing is never overwritten, and what runs is never restarted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from nsctl.engine.executor import decide
from nsctl.engine.executor.chains import OwnRules
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.decide import Action
from nsctl.engine.executor.jumps import Jumps
from nsctl.engine.executor.port_filters import mended
from nsctl.engine.executor.wiring import Wiring
from nsctl.engine.model.commands import Ip, RenameLink
from nsctl.engine.model.effects import AddrOn, FileIs, LinkIs, NftTable, PortFilter, RouteVia
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Step
from nsctl.engine.store import StepRow

__all__ = ["Mending", "mending"]

Observed = Sequence[tuple[StepRow, Observation | None]]


class Mending(NamedTuple):
    """
    What there is to mend.

    Args:
        todo: The steps to do, in order.
        restart: Those of them that are undone first.
        backend: The back end of iptables that rules are put back in.
        look_again: Whether something can be looked at only when this is done.
    """

    todo: list[Step]
    restart: list[StepRow]
    backend: str
    look_again: bool


def mending(ctx: Context, observations: Observed, late: Sequence[Step], *, ended: bool) -> Mending:
    """
    What there is to mend.

    Args:
        ctx: The context.
        observations: The steps, each with what was found of its effect; None, if there is nothing to miss.
        late: Steps that are wanted by now, besides.
        ended: Whether processes that have ended, and what has gone with them, are made again, too.
    """
    decisions = decide.mend(observations, homeless=lambda step: _homeless(ctx, step), ended=ended)
    restart = [row for (row, _), one in zip(observations, decisions, strict=True) if one.action is Action.RENEW]
    todo = [one.step for one in decisions if one.action in {Action.MEND, Action.RENEW}]
    wiring = Wiring(ctx.kernel)
    for (row, observed), one in zip(observations, decisions, strict=True):
        if one.action is Action.ALTER and observed is not None:
            todo += _alterations(ctx, row.step, observed, wiring)
    todo = _gateways_last(todo)
    once = {s.key: s for s in reversed(todo)}  # of a cable with both ends changed, the other end's turn comes then
    todo, look_again = list(reversed(once.values())), len(once) < len(todo)
    todo.sort(key=lambda s: not _is_filter(s))
    backend = next((b for r, _ in observations if (b := r.tools.get("iptables", ""))), "")
    return Mending(_needs_first([*_in_order(ctx, observations, todo, backend), *late]), restart, backend, look_again)


def _in_order(
    ctx: Context, observations: Sequence[tuple[StepRow, Observation | None]], todo: Sequence[Step], backend: str
) -> list[Step]:
    # What is to be done, with what puts rules where they belong: those in place, and those that are put back.
    own, jumps = OwnRules(ctx, (row.step for row, _ in observations)), Jumps(ctx)
    reordered = [s for r, _ in observations if (s := own.reordered(r.step, r.tools.get("iptables", ""))) is not None]
    moved = list(jumps.moved((r.step, r.tools.get("iptables", "")) for r, s in observations if s is not None))
    return [*reordered, *moved, *jumps.again(todo, backend)]


def _is_filter(step: Step) -> bool:
    return step.effect is not None and step.effect.is_packet_filter


def _alterations(ctx: Context, step: Step, observed: Observation, wiring: Wiring) -> Iterator[Step]:
    yield from _fixes(ctx, step, observed)
    if observed.drift and (fault := wiring.fault(step)) is not None and fault.do is not None:
        yield replace(step, why=fault.why, do=fault.do, after=())


def _gateways_last(steps: Sequence[Step]) -> list[Step]:
    # A gateway is reached by the route of its subnet, which may be among what is put back.
    subnets = tuple(s.key for s in steps if isinstance(s.effect, AddrOn))
    return [replace(s, after=(*(s.after or ()), *subnets)) if isinstance(s.effect, RouteVia) else s for s in steps]


def _needs_first(steps: Sequence[Step]) -> list[Step]:
    # A chain before its rules, whatever the sort made of them.
    by_key = {s.key: s for s in steps}
    out: dict[str, Step] = {}

    def put(step: Step) -> None:
        if step.key in out:
            return
        for needed in step.after or ():
            if needed in by_key and needed != step.key:
                put(by_key[needed])
        out[step.key] = step

    for step in steps:
        put(step)
    return list(out.values())


def _master(ctx: Context, effect: LinkIs) -> str | None:
    if effect.master_index is None:
        return effect.master
    theirs = ctx.kernel.link_by_index(effect.master_index)
    return theirs.name if theirs is not None else None


def _homeless(ctx: Context, step: Step) -> bool:
    # Somebody else's bridge that it was a port of is gone, or has another name: a namesake is another bridge.
    effect = step.effect
    if not isinstance(effect, LinkIs) or effect.master_index is None:
        return False
    return _master(ctx, effect) != effect.master


def _fixes(ctx: Context, step: Step, observed: Observation) -> list[Step]:
    # What somebody changed about a link that is still ours.
    effect = step.effect
    if observed.drift and isinstance(effect, FileIs):
        return [step]
    if isinstance(effect, NftTable | PortFilter):
        return list(mended(ctx.kernel, step, observed))
    if not observed.drift or not isinstance(effect, LinkIs):
        return []
    if observed.renamed is not None:
        if ctx.kernel.link(effect.name, effect.netns) is not None:
            return []  # the name is somebody else's now
        rename = RenameLink(observed.renamed, effect.name, effect.netns)
        return [replace(step, why=f"give {observed.renamed} its name {effect.name} back", do=rename, after=())]
    wrong = [
        (w, str(v))
        for w, v in (("master", _master(ctx, effect)), ("mtu", effect.mtu))
        if v is not None and f"{w} " in observed.drift
    ]
    settings = tuple(word for pair in wrong for word in pair)
    do = Ip("link", "set", (), effect.name, settings, effect.netns)
    why = f"give {effect.name} its {' and '.join(w for w, _ in wrong)} back"
    return [replace(step, why=why, do=do, after=())] if wrong else []
