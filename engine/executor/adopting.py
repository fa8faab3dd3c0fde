"""
Taking over what a script of nsctl's made: a plan that is in place as a whole, written down as if `up` had made it.

Nothing of the host is changed. A plan says what is there; whether it is there, and nobody else's, the kernel says. What
has no effect of its own and would be undone by a command can't be told, and so isn't taken over.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from nsctl.engine.executor.claims import refuse_claimed
from nsctl.engine.executor.context import Context, new_transaction_id
from nsctl.engine.executor.jumps import Jumps
from nsctl.engine.executor.new_rows import attached, new_row, tell_sharers
from nsctl.engine.executor.pending import Pending, gather, may_adopt
from nsctl.engine.executor.results import Results
from nsctl.engine.host.process import inhabitants_of, is_descendant, netns_inode_of, pid_in, start_of
from nsctl.engine.model.commands import Spawn
from nsctl.engine.model.commands.changes import hardware_addresses
from nsctl.engine.model.effects import LinkIs, NetnsIs, State
from nsctl.engine.model.errors import Conflict
from nsctl.engine.model.events import PlanFinished, PlanStarted
from nsctl.engine.model.names import listed
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.store import Damaged, SandboxRow, Unwritable

__all__ = ["adopt"]

_SHOWN = 3
"""Faults that a refusal names."""


class Stock(Struct):
    """
    What of the plans is there.

    Args:
        pending: The steps that no sandbox holds yet, and who will hold what.
        absent: What is missing, by key.
        wrong: What is there, and not as the plans make it, or can't be told from a stranger's.
    """

    pending: Pending
    absent: dict[str, str] = {}
    wrong: dict[str, str] = {}


def adopt(ctx: Context, plans: Sequence[Plan], *, operation: str, source: str) -> list[SandboxRow]:
    """Take over what plans have made, all of them or none; see `Session.adopt`."""
    stock = _taken(ctx, plans)
    _refuse(plans, stock)
    pending, rows = stock.pending, [new_row(plan, owner=None, confirm_by=None, source=source) for plan in plans]
    tell_sharers(ctx, rows)
    for row in rows:
        row.state = "up"
    sandbox, mode = (plans[0].name, plans[0].mode) if len(plans) == 1 else ("", "")
    done = [(step.key, ctx.identity(step), ctx.tools(step.tool)) for step in pending.new]
    done += [(row.step.key, row.identity, row.tools) for row in pending.adopted]
    ident = new_transaction_id()
    ctx.emit(PlanStarted(ident, sandbox, operation, mode, tuple(pending.new)))
    try:
        ctx.journal.adopt(
            rows, [*(row.step for row in pending.adopted), *pending.new], pending.held, done, attached(plans)
        )
    except (Unwritable, Damaged):
        ctx.emit_safely(PlanFinished(ident, sandbox, operation, "refused"))
        raise
    ctx.emit_safely(PlanFinished(ident, sandbox, operation, "done"))
    return rows


def _taken(ctx: Context, plans: Sequence[Plan]) -> Stock:
    refuse_claimed(ctx, plans)
    stock = Stock(gather(ctx, plans))
    pending = stock.pending
    ctx.kernel.forget()
    every = pending.every()
    ctx.kernel.read(step.effect for step in every)
    held = {step.key: held for step in pending.new if (held := ctx.others.get(step.key)) is not None}
    for step in pending.new:
        if step.key in held and not may_adopt(ctx, step):
            raise Conflict(f"{step.key} is held by {held[step.key]}", hint="use that store (NSCTL_STATE_DIR)")
    pending.adopt([one.row for one in held.values()])
    _look(ctx, stock, every)
    return stock


def _look(ctx: Context, stock: Stock, every: Sequence[Step]) -> None:
    results, jumps = Results(ctx, every), Jumps(ctx)
    # A veth's peer has no effect of its own: its address stands in the command that made it.
    links = [step for step in every if isinstance(step.effect, LinkIs)]
    macs = frozenset(mac for step in links for mac in hardware_addresses(step.do))
    pids = {step.do.netns: pid_in(step.do.pidfile) for step in every if isinstance(step.do, Spawn)}
    inits = {netns: pid for netns, pid in pids.items() if pid is not None and start_of(pid) is not None}
    for step in stock.pending.new:
        if step.effect is None:
            if step.undo and step.removed_with is None:
                stock.wrong[step.key] = "nothing tells whether it is in place"
            continue
        if isinstance(step.effect, NetnsIs) and not step.effect.is_joined:
            observed = _namespace(ctx, step.effect.name, macs, inits.get(step.effect.name))
        else:
            observed = step.effect.observe(ctx.kernel)
        found = results.fault(step, observed)
        if not found and (before := jumps.stopped(step)):
            found = f"no packet gets past a rule before it: {before}"
        if found:
            (stock.absent if observed.state is State.ABSENT else stock.wrong)[step.key] = found
    for key, row in stock.pending.rows.items():
        if (
            row.step.effect is not None
            and (observed := ctx.observed(row)).state is not State.OURS
            and not observed.gone
        ):
            stock.wrong[key] = f"{observed.found}, though others hold it (see: nsctl check)"


def _namespace(ctx: Context, name: str, macs: frozenset[str], init: int | None) -> Observation:
    # Nobody wrote down which namespace the script made: it is the one in which the plan's own links and processes are,
    # and nothing else. Whatever else is in there would end with it.
    inode = ctx.kernel.netns_inode(name)
    if inode is None:
        return (
            Observation(State.FOREIGN, "a file that is no network namespace")
            if ctx.kernel.netns_taken(name)
            else _MISSING
        )
    for link in ctx.kernel.links(name).values():
        if link.name != "lo" and link.mac not in macs:
            return Observation(State.FOREIGN, f"a network namespace with a link that is not of this plan: {link.name}")
    if init is not None and netns_inode_of(init) != inode:
        return Observation(
            State.FOREIGN, f"another network namespace than that of process {init}, which the plan started"
        )
    for pid in inhabitants_of(inode):
        if init is None or not is_descendant(pid, init):
            return Observation(State.FOREIGN, f"a network namespace in use by process {pid}, which is not of this plan")
    return Observation(State.OURS, "in place")


_MISSING = Observation(State.ABSENT, "missing")


def _refuse(plans: Sequence[Plan], stock: Stock) -> None:
    if not stock.wrong and not stock.absent:
        return
    names = ", ".join(plan.name for plan in plans[:_SHOWN])
    if not stock.wrong and len(stock.absent) == sum(step.effect is not None for step in stock.pending.new):
        raise Conflict(
            f"nothing of '{names}' is there to be adopted", hint="have it made: nsctl apply FILE, or sh FILE"
        )
    faults = [f"{key}: {found}" for key, found in (stock.wrong | stock.absent).items()]
    raise Conflict(
        f"'{names}' is not as the plan makes it: {listed(faults, _SHOWN, '; ')}",
        hint="nothing was taken over; what the script has made, `sh SCRIPT down` takes away",
    )
