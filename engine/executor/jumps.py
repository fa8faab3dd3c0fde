"""
Jumps to nsctl's chains, as they stand in the host's: where no packet comes by, they are no good.

Their place is a number of the moment. So it is looked at after the last step and by `check`, and worked out anew by
whoever puts one back: `repair`, and any `up` that relies on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nsctl.engine.executor.context import Context
from nsctl.engine.model.commands import RestoreRules, Rule
from nsctl.engine.model.effects import RuleTagged
from nsctl.engine.model.plan import Step
from nsctl.engine.planning.jumps import Chains, Spec, anew, closing, inserted, is_jump, place

__all__ = ["Jumps"]

_Place = tuple[str, str, int, str]


class Jumps:
    """
    The host's chains that nsctl jumps from, as the kernel has been read, and as they will be.

    Args:
        ctx: The context.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._rules: dict[_Place, list[Spec]] = {}

    def stopped(self, step: Step, backend: str = "") -> str:
        """
        The rule before a jump that decides for all packets; empty where there is none, or the jump is not there.

        Args:
            step: Any step.
            backend: The back end of iptables that it was made with; empty: the one in use.

        Raises:
            NsctlError: The rules can't be read.
        """
        effect = step.effect
        if not isinstance(effect, RuleTagged) or not is_jump(step):
            return ""
        rules = self._of(effect, backend)
        end = closing(rules, self._chains(effect, backend))
        behind = effect.spec in rules[end:] and effect.spec not in rules[:end]
        return " ".join(rules[end]) if behind else ""

    def astray(self, step: Step) -> str:
        """
        A rule of the host's that a jump was inserted before, although it belongs behind it.

        Between planning and doing, others may have changed what its place was counted by.

        Args:
            step: A step that has just been done.
        """
        effect = step.effect
        if not isinstance(effect, RuleTagged) or not is_jump(step):
            return ""
        if not isinstance(step.do, Rule) or step.do.verb != "-I":
            return ""
        rules = list(self._of(effect, ""))
        if effect.spec not in rules:
            return ""
        at = rules.index(effect.spec)
        del rules[at]
        return " ".join(rules[at]) if place(rules, self._chains(effect, ""), effect.spec[-1]) > at else ""

    def moved(self, steps: Iterable[tuple[Step, str]]) -> Iterator[Step]:
        """
        Steps that have jumps stand where they belong again: each is taken out and put in, by one process.

        Args:
            steps: The steps in place, each with its back end.
        """
        for step, backend in steps:
            effect = step.effect
            if not isinstance(effect, RuleTagged) or not (stopped := self.stopped(step, backend)):
                continue
            do = self._put(step, backend).do
            if not isinstance(do, Rule):
                continue
            lines = (("-D", effect.chain, *effect.spec), do.line)
            restore = RestoreRules(effect.table, lines, do.family, effect.netns)
            yield Step(
                step.key,
                f"have {effect.chain} pass through {effect.spec[-1]} before: {stopped}",
                restore,
                step.undo,
                effect,
                after=step.after,
            )

    def again(self, steps: Iterable[Step], backend: str = "") -> Iterator[Step]:
        """Steps that are to be done again, the jumps among them where they belong by now."""
        for step in steps:
            yield self._put(step, backend) if is_jump(step) else step

    def _put(self, step: Step, backend: str) -> Step:
        effect = step.effect
        if not isinstance(effect, RuleTagged):
            return step
        rules = self._of(effect, backend)
        if effect.spec in rules:
            rules.remove(effect.spec)
        at = place(rules, self._chains(effect, backend), effect.spec[-1])
        put = inserted(anew(step), rules, at)
        rules.insert(at, effect.spec)
        return put

    def _of(self, effect: RuleTagged, backend: str) -> list[Spec]:
        where = (effect.table, effect.chain, effect.family, backend)
        if where not in self._rules:
            found = self._ctx.kernel.rules(effect.table, effect.chain, effect.family, effect.netns, backend)
            self._rules[where] = list(found or ())
        return self._rules[where]

    def _chains(self, effect: RuleTagged, backend: str) -> Chains:
        return lambda name: self._ctx.kernel.rules(effect.table, name, effect.family, effect.netns, backend)
