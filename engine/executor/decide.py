"""
What is done about a step: the one table behind `up`, undoing, `check` and `repair`.

It sees a step, its row in the journal and what was found of its effect, and answers with an action and the reason.
It is pure: what it has to know of the host it is given, or asks for by functions, since a look costs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

from nsctl.engine.model.effects import LinkUp, NetnsIs, NftTable, PortFilter, ProcessIs, State
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Step
from nsctl.engine.model.progress import DONE, INTENT

__all__ = ["Action", "Decision", "Row", "backward", "check", "forward", "mend", "still_there"]


class Action(StrEnum):
    """What is done about a step."""

    DO = "do"
    """Its command is run; nothing is there yet."""
    ADOPT = "adopt"
    """Another store of this host has made it: both hold it, and nothing is run."""
    MEND = "mend"
    """It is held, and its result is gone: its command is run again."""
    RENEW = "renew"
    """It is there, in something that is made anew: undone first, then done."""
    ALTER = "alter"
    """It is there, and something about it is not as it was made: that is put back."""
    UNDO = "undo"
    """Its undo is run."""
    END = "end"
    """It is not where it was made, but somebody still lives in it: these processes are ended."""
    SKIP = "skip"
    """There is nothing to do."""
    LEAVE = "leave"
    """It is somebody else's, or others need it: it stays as it is, and that is said."""
    REPORT = "report"
    """It is not as it was made, which is said."""
    REFUSE = "refuse"
    """It can't be, and stops what was asked for; an undo, only itself."""


class Decision(NamedTuple):
    """
    A line of the table.

    Args:
        step: The step.
        action: What is done about it.
        reason: Why, in a phrase for people.
        hint: What a refusal suggests.
        state: Of a report: `absent`, `foreign` or `changed`.
    """

    step: Step
    action: Action
    reason: str = ""
    hint: str = ""
    state: str = ""


class Row(Protocol):
    """A step as it was journalled; the store's row is one."""

    step: Step
    state: str


R = TypeVar("R", bound=Row)


def forward(
    new: Iterable[Step],
    rows: Iterable[R],
    going: Container[str],
    find: Callable[[Step], Observation],
    observe: Callable[[R], Observation],
    *,
    holder: Callable[[Step], str],
    adoptable: Callable[[Step], bool],
    backend: Callable[[R], str],
) -> Iterator[Decision]:
    """
    What `up` does about the steps of its plans.

    Args:
        new: The steps that are not in the store.
        rows: Those that are.
        going: The keys of what is taken down first.
        find: What is found where a new step's result would be.
        observe: What is found of a journalled one's.
        holder: Which other store of this host holds a step; empty for none.
        adoptable: Whether that one and this may both hold it, and it is in place.
        backend: Why the tools in use are not those that a step was made with; empty if they are.
    """
    absent: set[str | None] = set()
    for step in new:
        if step.effect is None or step.key in going or step.removed_with in absent:
            absent.add(step.key)
            yield Decision(step, Action.DO, "it is claimed" if step.is_claim else "nothing of it can be there")
            continue
        by = holder(step)
        if by and adoptable(step):
            yield Decision(step, Action.ADOPT, f"held by {by}")
            continue
        observed = find(step)
        if observed.state is State.ABSENT:
            absent.add(step.key)
            yield Decision(step, Action.DO, observed.found)
        elif by:
            hint = "use that store (NSCTL_STATE_DIR), or another name"
            yield Decision(step, Action.REFUSE, f"{step.key} is held by {by}", hint)
        elif observed.state is State.OURS:
            reason = f"{step.key} is there already, and bears nsctl's mark, but no sandbox holds it"
            hint = "left by another nsctl or a lost store: nsctl recover --scan"
            yield Decision(step, Action.REFUSE, reason, hint)
        else:
            hint = "nsctl touches nothing that it did not make: choose another name"
            yield Decision(step, Action.REFUSE, f"{step.key} is taken: {observed.found}", hint)
    for row in rows:
        if row.step.effect is not None:
            yield _relied_on(row, observe, backend)


def _relied_on(row: R, observe: Callable[[R], Observation], backend: Callable[[R], str]) -> Decision:
    # What sandboxes that are up hold already, and one more will.
    step = row.step
    if other := backend(row):
        hint = "set iptables back (update-alternatives --config iptables), or take down first: nsctl down --all"
        return Decision(step, Action.REFUSE, f"{step.key} is in {other}", hint)
    observed = observe(row)
    if observed.gone or observed.state is State.OURS:
        return Decision(step, Action.SKIP, observed.found)
    if observed.state is State.ABSENT:
        return Decision(step, Action.MEND, observed.found)
    reason = f"{step.key} has been changed by somebody else: {observed.found}"
    return Decision(step, Action.REFUSE, reason, "see: nsctl check")


def backward(
    rows: Sequence[R],
    observe: Callable[[R], Observation],
    *,
    shared: Callable[[Step], str],
    inhabited: Callable[[R], bool],
    refusal: Callable[[Step], str],
) -> dict[str, Decision]:
    """
    What is done to undo steps: only what is in place, and nsctl's, is taken away.

    They are looked at before anything is undone, what was done first at first: what goes with it need not be looked at.

    Args:
        rows: The steps, last applied first.
        observe: What is found of a step's effect.
        shared: Which other store of this host needs it, too; empty for none.
        inhabited: Whether somebody lives in what it made, wherever that is by now.
        refusal: Why its undo is not run, since no plan would hold it; empty if it is.
    """
    decided: dict[str, Decision] = {}
    going: set[str | None] = set()
    strangers: set[str | None] = set()
    for row in reversed(rows):
        step = row.step
        survives = step.effect is not None and step.effect.survives_removal
        goes = step.removed_with in going and not survives
        went = step.removed_with in strangers and not survives
        without = f"goes with {step.removed_with}" if step.removed_with else step.no_undo
        observed = None
        if step.is_claim:
            decision = Decision(step, Action.SKIP, "let go")
        elif row.state == INTENT:
            decision = Decision(step, Action.SKIP, "was never started")
        elif goes or went or (step.effect is None and not step.undo):
            decision = Decision(step, Action.SKIP, without)
        elif step.effect is None:
            decision = Decision(step, Action.UNDO)
        else:
            observed = observe(row)
            decision = _in_place(step, observed, shared(step), without)
            if observed.state is not State.OURS and inhabited(row):
                decision = decision._replace(action=Action.END)
        if decision.action is Action.UNDO:
            # What is refused stays, is named, and what goes with it is undone by itself.
            if why := refusal(step):
                decision = Decision(step, Action.REFUSE, why)
            else:
                going.add(step.key)
        elif (went and not goes and row.state != INTENT) or (observed and observed.state is State.FOREIGN):
            strangers.add(step.key)  # what is in there went with what the stranger's has replaced
        decided[step.key] = decision
    return decided


def _in_place(step: Step, observed: Observation, shared: str, without: str) -> Decision:
    if observed.state is State.FOREIGN:
        return Decision(step, Action.LEAVE, f"not ours, left alone: {observed.found}")
    if shared:
        return Decision(step, Action.SKIP, f"left as it is: held by {shared}")
    if observed.taken:
        return Decision(step, Action.LEAVE, f"left as it is: {observed.taken}")
    if observed.state is State.ABSENT:
        return Decision(step, Action.SKIP, "was gone already")
    return Decision(step, Action.UNDO) if step.undo else Decision(step, Action.SKIP, without)


def still_there(observed: Observation | None, complaint: str, inhabitant: Callable[[], int | None]) -> str:
    """
    Why a step counts as not undone, once its undo has run; empty if it does.

    Args:
        observed: What is found of its effect by now; None, if it has none.
        complaint: What its undo said if it failed.
        inhabitant: The PID of a process that still lives in what it made.
    """
    if observed is None:
        return complaint
    gone = observed.state is State.ABSENT or (observed.state is State.FOREIGN and not complaint)
    if gone or observed.taken:
        pid = inhabitant()
        return "" if pid is None else f"process {pid} still runs in it"
    return complaint or f"still there: {observed.found}"


def check(rows: Iterable[tuple[R, Observation | None]], *, under_way: bool) -> Iterator[Decision]:
    """
    What is reported as not as it was made; what lives in something that is missing is not listed beside it.

    Args:
        rows: The steps, in order, each with what was found of its effect: None, if there is nothing to miss.
        under_way: Whether a transaction is open that never ended.
    """
    missing: set[str | None] = set()
    for row, observed in rows:
        step = row.step
        if row.state != DONE and under_way:
            reason, state = "a transaction that never ended", "absent"
        elif observed is None or (observed.state is State.OURS and not observed.drift):
            continue
        elif observed.state is State.OURS:
            reason, state = observed.drift, "changed"
        else:
            reason, state = observed.found, observed.state.value
        along = state == "absent" and step.removed_with in missing
        if state == "absent" or (state == "changed" and isinstance(step.effect, NetnsIs)):
            missing.add(step.key)  # what is in a namespace without its name can't be seen
        if not along:
            yield Decision(step, Action.REPORT, reason, state=state)


def mend(
    rows: Sequence[tuple[R, Observation | None]], *, homeless: Callable[[Step], bool], ended: bool
) -> list[Decision]:
    """
    What `repair` does about each step, in order.

    Args:
        rows: The steps, in order, each with what was found of its effect: None, if there is nothing to miss.
        homeless: Whether somebody else's bridge that a link was a port of is gone.
        ended: Whether processes that have ended, and what has gone with them, are made again, too.
    """
    steps = [row.step for row, _ in rows]
    seen = {row.step.key: observed for row, observed in rows if observed is not None}
    absent = {key for key, observed in seen.items() if observed.state is State.ABSENT}
    foreign = {key for key, observed in seen.items() if observed.state is State.FOREIGN}
    names = [step.key for step in steps if isinstance(step.effect, NetnsIs) and step.key in seen.keys() - foreign]
    lost = {key for key in names if key in absent or seen[key].drift}
    lost |= {key for step in steps if step.key in absent for key in _lost_peers(step, seen)}
    # What somebody else put in a link's place gets nothing of ours, and what was renamed gets its name back first.
    renamed = {key for key, observed in seen.items() if observed.renamed is not None}
    later = dict.fromkeys(renamed, "it has another name")
    later |= {key: "not ours" for key in foreign if key.startswith(("link/", "netns/"))}
    later |= {step.key: "its bridge is gone" for step in steps if step.key in absent and homeless(step)}
    beyond = _stranded(steps, later) - renamed
    again = (absent | _stranded(steps, lost)) - foreign - beyond
    over = set() if ended else _ended(steps, again, absent)
    again -= over
    left = dict.fromkeys(over, "it has ended, or was in what has")
    left |= {key: later.get(key, "what it belongs to is not made again") for key in beyond}
    return [_mended(step, seen.get(step.key), again=step.key in again, left=left.get(step.key, "")) for step in steps]


def _mended(step: Step, observed: Observation | None, *, again: bool, left: str) -> Decision:
    found = observed.found if observed is not None else ""
    foreign = observed is not None and observed.state is State.FOREIGN
    if again and observed is not None and observed.state is State.OURS:
        return Decision(step, Action.RENEW, observed.drift or "what it belongs to is made anew")
    if again:
        return Decision(step, Action.MEND, found or "what it belongs to is made anew")
    if left:
        return Decision(step, Action.LEAVE, f"not ours: {found}" if foreign else left)
    if observed is not None and (observed.drift or isinstance(step.effect, NftTable | PortFilter)):
        return Decision(step, Action.ALTER, observed.drift or found)
    if foreign:
        return Decision(step, Action.LEAVE, f"not ours: {found}")
    return Decision(step, Action.SKIP, found)


def _lost_peers(step: Step, seen: Mapping[str, Observation]) -> Iterator[str]:
    # The inner end of a cable has no step of its own: if it is gone, or has another name, the cable is made anew.
    if isinstance(step.effect, LinkUp) and step.effect.netns is not None and seen[step.key].found == "no such link":
        for key in step.after or ():
            if key.startswith("link/") and key in seen and seen[key].state is State.OURS:
                yield key


def _ended(steps: Sequence[Step], again: Collection[str], absent: Collection[str]) -> set[str]:
    # A workload that is over, or that somebody has ended, is a service manager's affair, or its owner's: no process is
    # started, nor stopped to be started anew. Nor is the namespace of a sandbox made again in which nothing lives.
    over = {s.key for s in steps if s.key in absent and s.effect is not None and s.effect.can_end}
    return _stranded(steps, over) | {s.key for s in steps if s.key in again and isinstance(s.effect, ProcessIs)}


def _stranded(steps: Iterable[Step], lost: Iterable[str]) -> set[str]:
    # What is lost, and what was made in a lost namespace, or after something lost: a cable, its settings.
    stranded = set(lost)
    for step in steps:
        if f"netns/{step.netns}" in stranded or stranded.intersection((*(step.after or ()), step.removed_with)):
            stranded.add(step.key)
    return stranded
