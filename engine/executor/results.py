"""What is wrong with a step's result: by its effect, and by what came along without an effect of its own."""

from __future__ import annotations

from collections.abc import Iterable

from nsctl.engine.executor.chains import OwnRules
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.wiring import Wiring
from nsctl.engine.model.effects import ChainIs, State
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Step

__all__ = ["Results"]


class Results:
    """
    The results of some steps, as the kernel has been read.

    Args:
        ctx: The context; a stranger's rule in a chain of nsctl's becomes one of its warnings.
        steps: The steps.
    """

    def __init__(self, ctx: Context, steps: Iterable[Step]) -> None:
        self._ctx = ctx
        self._own = OwnRules(ctx, steps)
        self._wiring = Wiring(ctx.kernel)

    def fault(self, step: Step, observed: Observation, backend: str = "") -> str:
        """
        What is wrong; empty, if nothing is.

        Args:
            step: The step.
            observed: What its effect is compared with.
            backend: The back end of iptables that it was made with; empty: the one in use.
        """
        found = observed.drift if observed.state is State.OURS else observed.found
        if not found and (fault := self._wiring.inside(step)):
            found = fault.found
        if isinstance(step.effect, ChainIs):
            told = f"{step.effect.chain} holds a rule that is not nsctl's"
            self._ctx.warnings += [f"{told}: {' '.join(spec)}" for spec in self._own.strange(step, backend)]
            if not found and (behind := self._own.misplaced(step, backend)):
                found = f"a rule stands behind what it has to precede: {' '.join(next(iter(behind)))}"
        return found
