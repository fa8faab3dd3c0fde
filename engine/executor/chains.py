"""
The rules in chains of nsctl's: whose they are, how often they are there, and in which order.

What was inserted at a chain's head stands before what was appended to it (see `kit.rule`), in whatever order sandboxes
come: rules that drop before those that accept, those that return before those that drop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from nsctl.engine.executor.context import Context
from nsctl.engine.model.commands import RestoreRules, Rule
from nsctl.engine.model.commands.rules import Family
from nsctl.engine.model.commands.typed import typed
from nsctl.engine.model.effects import ChainIs, RuleTagged
from nsctl.engine.model.plan import Step

__all__ = ["OwnRules"]

_FAMILIES: dict[int, Family] = {4: 4, 6: 6}

Spec = tuple[str, ...]
_Place = tuple[str, str, int, str | None]


class OwnRules:
    """
    What nsctl has in its chains.

    Of most hosts the steps at hand make all that is there; where a rule is met that none of them makes, the steps of
    every store of this host are read, once.

    Args:
        ctx: The context.
        steps: The steps at hand.
    """

    def __init__(self, ctx: Context, steps: Iterable[Step]) -> None:
        self._ctx = ctx
        self._known: dict[_Place, dict[Spec, Step]] = {}
        self._every = False
        self._counts: dict[tuple[_Place, str], Counter[Spec]] = {}
        self._learn(steps)

    def strange(self, step: Step, backend: str = "") -> list[Spec]:
        """
        The rules in a chain of nsctl's that no store of this host knows.

        Args:
            step: The chain's.
            backend: The back end of iptables that the chain is in; empty: the one in use.

        Raises:
            NsctlError: The rules can't be read, or a store can't.
        """
        rules, own = self._of(step, backend)
        return [spec for spec in rules if spec not in own]

    def copies(self, step: Step, backend: str = "") -> int:
        """How often a rule of nsctl's is there; 0 for a step that makes none."""
        effect = step.effect
        if not isinstance(effect, RuleTagged):
            return 0
        where = (_place(effect), backend)
        if where not in self._counts:
            rules = self._ctx.kernel.rules(effect.table, effect.chain, effect.family, effect.netns, backend)
            self._counts[where] = Counter(rules)
        return self._counts[where][effect.spec]

    def removing_all(self, step: Step, backend: str = "") -> Step:
        """The same step, whose undo removes the rule as often as it is there: a jump that is left keeps its chain."""
        return replace(step, undo=step.undo * copies) if (copies := self.copies(step, backend)) > 1 else step

    def misplaced(self, step: Step, backend: str = "") -> dict[Spec, Step]:
        """
        The rules that have to stand at a chain's head, and stand behind one of nsctl's that was appended.

        Args:
            step: The chain's.
            backend: As above.

        Raises:
            NsctlError: As above.
        """
        rules, own = self._of(step, backend)
        appended = next((n for n, spec in enumerate(rules) if _verb(own.get(spec)) == "-A"), len(rules))
        return {spec: own[spec] for spec in rules[appended:] if _verb(own.get(spec)) == "-I"}

    def reordered(self, step: Step, backend: str = "") -> Step | None:
        """The chain's step, to put its misplaced rules at the head, all at once; None where there are none."""
        effect = step.effect
        if not isinstance(effect, ChainIs) or not (misplaced := self.misplaced(step, backend)):
            return None
        there = [spec for spec in self._of(step, backend)[0] if spec in misplaced]
        lines = (
            *(("-D", effect.chain, *spec) for spec in there),
            *(("-I", effect.chain, *spec) for spec in reversed(misplaced)),
        )
        why = f"put the rules that {effect.chain} begins with at its head again"
        return replace(step, why=why, do=RestoreRules(effect.table, lines, _FAMILIES[effect.family], effect.netns))

    def _of(self, step: Step, backend: str) -> tuple[Sequence[Spec], Mapping[Spec, Step]]:
        # A chain's rules as they stand there, and those of them that are known.
        effect = step.effect
        if not isinstance(effect, ChainIs):
            return (), {}
        rules = self._ctx.kernel.rules(effect.table, effect.chain, effect.family, effect.netns, backend) or ()
        own = self._known.setdefault(_place(effect), {})
        if not self._every and any(spec not in own for spec in rules):
            self._every = True
            self._learn(row.step for row in self._ctx.journal.steps_like("rule/"))
            self._learn(held.row.step for held in self._ctx.others.values())
        return rules, own

    def _learn(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step.effect, RuleTagged):
                self._known.setdefault(_place(step.effect), {}).setdefault(step.effect.spec, step)


def _place(effect: ChainIs | RuleTagged) -> _Place:
    return effect.table, effect.chain, effect.family, effect.netns


def _verb(step: Step | None) -> str:
    # Whether a rule was inserted or appended; nothing, where that can't be told of an author's own command.
    do = typed(step.do) if step is not None and step.do is not None else None
    return do.verb if isinstance(do, Rule) else ""
