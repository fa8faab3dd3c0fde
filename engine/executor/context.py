"""What the parts of the executor share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from nsctl.engine.executor.signals import HeldSignals
from nsctl.engine.host.kernel import Kernel
from nsctl.engine.model.events import Event
from nsctl.engine.model.observation import Known, Observation
from nsctl.engine.model.plan import Step
from nsctl.engine.runner import Runner, iptables_backend
from nsctl.engine.store import Journal, Others, StepRow

__all__ = ["Context", "boot_time", "new_transaction_id"]


class Context(Struct):
    """
    Everything that one locked session works with.

    Args:
        journal: The store.
        runner: What runs commands.
        kernel: What effects are compared with.
        emit: Where events go.
        signals: The signals that came.
        others: What other stores of this host hold.
        fuse: Whether steps may be fused.
        warnings: Lines for the user, gathered on the way.
        left: What recovery could not undo.
        begun: The keys of the steps whose commands were started in this session: the store may be gone when they are
            needed.
        looked: What a repair found that had nothing to do: each step, and what was seen of it.
        identities: The identities of what was made in this session, by key.
    """

    journal: Journal
    runner: Runner
    kernel: Kernel
    emit: Callable[[Event], None]
    signals: HeldSignals
    others: Others
    fuse: bool = True
    warnings: list[str] = []
    left: list[str] = []
    begun: set[str] = set()
    looked: list[tuple[StepRow, Observation | None]] | None = None
    identities: dict[str, dict[str, int]] = {}

    @contextmanager
    def undoing(self, *, best_effort: bool = True) -> Iterator[None]:
        """
        A context in which no signal stops anything.

        Args:
            best_effort: Nor does a write that the store refuses; without it, for what is done again meanwhile, it does.
        """
        before = self.journal.best_effort, self.signals.ignored
        self.journal.best_effort, self.signals.ignored = best_effort, True
        try:
            yield
        finally:
            self.journal.best_effort, self.signals.ignored = before

    def emit_safely(self, event: Event) -> None:
        """Emit an event that must not stop anything: while undoing, an observer's fault is only noted."""
        try:
            self.emit(event)
        except Exception as e:  # noqa: BLE001 - observers are other people's code
            line = f"an observer failed: {e}"
            if line not in self.warnings:
                self.warnings.append(line)

    def tools(self, tool: str, backend: str = "") -> dict[str, str]:
        """
        Which back end a tool's name stands for, to be recorded with the step.

        Args:
            tool: The name.
            backend: The back end that was chosen; the one in use, if empty.
        """
        return {"iptables": backend or iptables_backend()} if "tables" in tool else {}

    def observed(
        self, row: StepRow, *, in_flight: bool | None = None, own_macs: frozenset[str] = frozenset()
    ) -> Observation:
        """
        A journalled step's effect beside the kernel: by its identity, and in the back end that it was made with.

        Args:
            row: The step; it has an effect.
            in_flight: As in `Known`; where there is no identity, if not given.
            own_macs: As in `Known`.

        Raises:
            ValueError: It has no effect.
        """
        if row.step.effect is None:
            raise ValueError(f"{row.step.key} has no effect to look at")
        flying = row.identity is None if in_flight is None else in_flight
        known = Known(row.identity, flying, own_macs, row.tools.get("iptables", ""))
        return row.step.effect.observe(self.kernel, known)

    def identity_before(self, step: Step) -> dict[str, int] | None:
        """The identity of a setting of a link that nsctl does not make: it is there before; None for anything else."""
        self.identities.pop(step.key, None)
        return self.identity(step) if _of_others(step) else None

    def identity(self, step: Step) -> dict[str, int] | None:
        """The identity of what a step has just made; see `EffectBase.identity`."""
        if step.effect is None:
            return None
        of_others = _of_others(step)
        if of_others and step.key in self.identities:  # its link may have another name by now, and another one its name
            return self.identities[step.key]
        found = step.effect.link_identity(self.kernel) if of_others else step.effect.identity(self.kernel)
        if found is not None:
            self.identities[step.key] = found
        return found


def _of_others(step: Step) -> bool:
    return step.effect is not None and step.removed_with is None and step.effect.host_link is not None


def boot_time() -> float:
    """Seconds since boot, suspend included: no clock change touches it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def new_transaction_id() -> str:
    """A name for a transaction: unique enough for a log."""
    return f"{int(time.time()):x}-{os.getpid():x}-{os.urandom(3).hex()}"
