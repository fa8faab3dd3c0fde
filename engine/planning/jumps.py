"""
The position of jumps to nsctl's chains in the host's chains.

It stands behind the administrator's rules, for what these say of certain packets is meant, and before the first rule
that decides for all of them: what is behind that is never asked. RHEL's default rules end FORWARD with such a rule
(`-j REJECT --reject-with icmp-host-prohibited`), as do the images of several clouds; ufw, where it forwards by default,
accepts all new TCP and UDP in a chain of its own.

Pure: rules come in as the words that `iptables-save` prints after `-A CHAIN`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from msgspec.structs import replace

from nsctl.engine.kit.firewall import JUMP, OWN_CHAINS, rule_key
from nsctl.engine.model.commands import Rule
from nsctl.engine.model.effects import RuleTagged
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import display, rule_tag
from nsctl.engine.model.plan import Step

__all__ = ["Chains", "Spec", "anew", "closing", "grown", "inserted", "is_jump", "place", "placed", "position"]

Spec = tuple[str, ...]
"""A rule, as the words that follow `-A CHAIN`."""
Chains = Callable[[str], Sequence[Spec] | None]
"""The rules of a chain of the same table, None where there is no such chain."""

_OWN = "NSCTL-"
_ENDS = frozenset({"ACCEPT", "DROP", "REJECT", "RETURN", "QUEUE", "NFQUEUE"})
"""
Targets behind which a packet meets no further rule of the chain.

An ACCEPT, too: what it lets pass would never be seen by the rules that keep networks apart. In nat, MASQUERADE and SNAT
are none: what they have translated has got what it needs.
"""
_WIDE = frozenset({"tcp", "udp", "sctp", "dccp", "udplite"})
"""
Protocols of which all is accepted by an ACCEPT that asks for nothing else.

ICMP is none of them: it is let through first in many a rule set, and opens nothing that listens.
"""
_STATES = frozenset({"--state", "--ctstate"})
_ANY = frozenset({("-i", "+"), ("-o", "+")})


def is_jump(step: Step) -> bool:
    """Whether a step is a jump from a host chain to an nsctl chain."""
    effect = step.effect
    return (
        isinstance(effect, RuleTagged)
        and not effect.chain.startswith(_OWN)
        and effect.spec[-2:-1] == ("-j",)
        and effect.spec[-1].startswith(_OWN)
    )


def closing(rules: Sequence[Spec], chains: Chains) -> int:
    """
    The position of the first rule that decides for all packets, counted from 0; the number of rules, if there is none.

    It drops them, or sends them elsewhere; or it accepts them, be it those of one protocol only.

    Args:
        rules: The rules of a built-in chain.
        chains: The other chains of its table.
    """
    decides = (n for n, spec in enumerate(rules) if _stops(spec, chains, frozenset()) or _opens(spec, chains, ()))
    return next(decides, len(rules))


def place(rules: Sequence[Spec], chains: Chains, target: str) -> int:
    """
    Where a jump belongs, counted from 0: before the rule that closes, and before nsctl's jumps that come after it.

    Args:
        rules: The rules of the chain, without this jump.
        chains: The other chains of its table.
        target: The chain that it leads to.
    """
    names = [name for _, _, name in OWN_CHAINS]
    later = set(names[names.index(target) + 1 :]) if target in names else set()
    end = closing(rules, chains)
    return next((n for n, spec in enumerate(rules[:end]) if spec[-2:-1] == ("-j",) and spec[-1] in later), end)


def anew(step: Step) -> Step:
    """The same jump, at the end of its chain."""
    do = step.do
    if isinstance(do, Rule) and do.verb == "-I" and do.number is not None:
        return replace(step, do=replace(do, verb="-A", number=None))
    return step


def inserted(step: Step, rules: Sequence[Spec], at: int) -> Step:
    """
    A jump that is appended, as one that is inserted before a rule.

    Args:
        step: The jump; one that its author inserts somewhere himself is left as it is.
        rules: The rules of its chain.
        at: The position of that rule, counted from 0.
    """
    do = step.do
    if isinstance(do, Rule) and do.verb == "-A" and at < len(rules):
        why = f"{step.why}, before: {display(' '.join(rules[at]))}"
        return replace(step, why=why, do=replace(do, verb="-I", number=at + 1))
    return step


def placed(steps: Iterable[Step], facts: Facts) -> list[Step]:
    """
    The same steps, each jump where it belongs.

    One that is in place already stays as it was made.

    Args:
        steps: A plan's steps.
        facts: The host.
    """
    found: dict[str, list[Spec]] = {}
    known: list[Step] = []
    out = []
    for step in steps:
        effect = step.effect
        if not isinstance(effect, RuleTagged) or not is_jump(step) or effect.netns is not None:
            out.append(step)
            continue
        there = facts.steps.get(step.key)
        if there is not None and step.same_work(there):
            out.append(there)
            known.append(there)
            continue
        key = _key(effect)
        if key not in found:
            found[key] = [spec for spec in facts.firewall.chains.get(key, ()) if _stays(spec, effect, facts)]
            # What is missing is mended in the same go, first.
            for one in known:
                if isinstance(one.effect, RuleTagged) and _key(one.effect) == key and one.effect.spec not in found[key]:
                    _put(one, found[key], facts)
        out.append(_put(step, found[key], facts))
    return out


def grown(steps: Iterable[Step], facts: Facts) -> dict[str, list[Spec]]:
    """The host's chains that a plan's steps jump from, as they will be then: `4/filter/FORWARD` → rules."""
    found: dict[str, list[Spec]] = {}
    for step in steps:
        if isinstance(step.effect, RuleTagged) and is_jump(step):
            key = _key(step.effect)
            rules = found.setdefault(key, list(facts.firewall.chains.get(key, ())))
            rules.insert(position(step, len(rules)), step.effect.spec)
    return found


def position(step: Step, end: int) -> int:
    """
    Where the rule that a step adds will stand, counted from 0, by its command.

    Args:
        step: The step.
        end: How many rules the chain has by then.
    """
    do = step.do
    return (do.number or 1) - 1 if isinstance(do, Rule) and do.verb == "-I" else end


def _key(effect: RuleTagged) -> str:
    return f"{effect.family}/{effect.table}/{effect.chain}"


def _put(step: Step, rules: list[Spec], facts: Facts) -> Step:
    effect = step.effect
    if not isinstance(effect, RuleTagged):
        return step
    table = _key(effect).removesuffix(effect.chain)
    at = place(rules, lambda name: facts.firewall.chains.get(table + name), effect.spec[-1])
    put = inserted(step, rules, at)
    rules.insert(at, effect.spec)
    return put


def _stays(spec: Spec, beside: RuleTagged, facts: Facts) -> bool:
    # A jump that only what is taken down first holds is gone by the time that this one comes.
    if spec[-2:-1] != ("-j",) or not spec[-1].startswith(_OWN) or rule_tag(JUMP) not in spec:
        return True
    return rule_key(beside.table, beside.chain, spec, family=beside.family) in facts.steps


def _stops(spec: Spec, chains: Chains, seen: frozenset[str]) -> bool:
    target, leaves = _target(spec)
    if _has_conditions(spec) or not target:
        return False
    return (target in _ENDS and not leaves) or _keeps(target, chains, seen)


def _keeps(name: str, chains: Chains, seen: frozenset[str]) -> bool:
    # Whether no packet comes back from a chain.
    if name in seen or name.startswith(_OWN):
        return False
    seen |= {name}
    for spec in chains(name) or ():
        target, leaves = _target(spec)
        if target == "RETURN":
            return False
        if leaves and not _keeps(target, chains, seen):
            return False  # it comes back past this chain
        if _stops(spec, chains, seen):
            return True
    return False


def _opens(spec: Spec, chains: Chains, seen: tuple[str, ...]) -> bool:
    # Whether a rule, or the chain that all packets go to by it, accepts whatever begins in some protocol.
    target, _ = _target(spec)
    if target == "ACCEPT":
        return not _has_conditions(spec, _WIDE)
    if target in seen or target.startswith(_OWN) or _has_conditions(spec):
        return False
    return any(_opens(one, chains, (*seen, target)) for one in chains(target) or ())


def _target(spec: Spec) -> tuple[str, bool]:
    # The target, and whether it is gone to (-g): a RETURN there leads past this chain.
    for n, word in enumerate(spec[:-1]):
        if word in {"-j", "-g"}:
            return spec[n + 1], word == "-g"
    return "", False


def _has_conditions(spec: Spec, protocols: Container[str] = ()) -> bool:
    cut = next((n for n, word in enumerate(spec) if word in {"-j", "-g"}), len(spec))
    words = list(spec[:cut])
    while words:
        match words:
            case ("-m", "comment", "--comment", _, *rest):
                words = rest
            case ("-p", protocol, *rest) if protocol in protocols:
                words = rest
            case ("-m", match, *rest) if match in protocols:  # as iptables-save prints it before ports
                words = rest
            case ("-i" | "-o" as way, what, *rest) if (way, what) in _ANY:
                words = rest
            case ("-m", "state" | "conntrack", option, states, *rest) if option in _STATES:
                if "NEW" not in states.split(","):
                    return True
                words = rest  # the first packet of whatever there is
            case _:
                return True
    return False
