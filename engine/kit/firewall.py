"""
Firewall rules, in chains of nsctl's own.

The words of a rule stand in the order in which `iptables -S` prints them, with both back ends:
`-s`, `-d`, `-i`, `-o`, `-p`, then the matches in the order given, then the target.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network

from nsctl.engine.kit.keys import shared
from nsctl.engine.model.commands import Chain, RestoreRules, Rule
from nsctl.engine.model.commands.rules import Family
from nsctl.engine.model.effects import ChainIs, RuleTagged
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.hashing import sha256
from nsctl.engine.model.names import check_ifname, display, rule_tag
from nsctl.engine.model.plan import Step

__all__ = [
    "FORWARD",
    "GUARD",
    "JUMP",
    "OWN_CHAINS",
    "POSTROUTING",
    "PREROUTING",
    "chain",
    "filter_network",
    "masquerade",
    "own_chain",
    "own_sources",
    "rule",
    "rule_key",
]

FORWARD = "NSCTL-FORWARD"
GUARD = "NSCTL-GUARD"
POSTROUTING = "NSCTL-POSTROUTING"
PREROUTING = "NSCTL-PREROUTING"
OWN_CHAINS = (
    ("raw", "PREROUTING", PREROUTING),
    ("filter", "FORWARD", FORWARD),
    ("filter", "FORWARD", GUARD),
    ("nat", "POSTROUTING", POSTROUTING),
)
"""
All of nsctl's chains: the table, the built-in chain that jumps there, and the name.

Jumps from one chain stand in this order.
"""
JUMP = "jump"
"""Whose the jumps are."""
_CHAIN = re.compile(r"NSCTL-[A-Z0-9-]{1,20}")


def chain(table: str, name: str, *, family: Family = 4) -> Step:
    """
    Make a chain of nsctl's own; its rules go with it.

    Args:
        table: filter, nat, mangle or raw.
        name: `NSCTL-…`, 28 characters at most.
        family: 4 or 6.

    Raises:
        Invalid: The name is not one of nsctl's.
    """
    if not _CHAIN.fullmatch(name):
        raise Invalid(
            f"'{display(name)}' is not a name for a chain of nsctl's", hint="it begins with NSCTL-, in capitals"
        )
    return Step(
        key=f"chain/{family}/{table}/{name}",
        why=f"make the chain {name}",
        do=Chain("-N", table, name, family),
        undo=(RestoreRules(table, (("-F", name), ("-X", name)), family),),
        effect=ChainIs(table, name, family),
        after=(),
    )


def rule(table: str, chain_name: str, *spec: str, owner: str, why: str, head: bool = False, family: Family = 4) -> Step:
    """
    Add a rule.

    The comment that says whose it is stands right before the target.

    Args:
        table: filter, nat, mangle or raw.
        chain_name: The chain.
        spec: The rule's words up to and including the target (`-j`, `DROP`).
        owner: Whose it is: a bridge, a sandbox.
        why: One line for the reader of a dry run.
        head: Insert it at the chain's head; else it goes to the end.
        family: 4 or 6.

    Raises:
        Invalid: The rule has no target.
    """
    if "-j" not in spec:
        raise Invalid(f"a rule of {display(owner)} has no target", hint="end it with -j and a target")
    cut = spec.index("-j")
    words = (*spec[:cut], "-m", "comment", "--comment", rule_tag(owner), *spec[cut:])
    own = _CHAIN.fullmatch(chain_name) is not None
    needed = tuple(f"chain/{family}/{table}/{w}" for w in (chain_name, spec[cut + 1]) if _CHAIN.fullmatch(w))
    return Step(
        key=rule_key(table, chain_name, words, family=family),
        why=why,
        do=Rule("-I" if head else "-A", table, chain_name, words, None, family),
        undo=(Rule("-D", table, chain_name, words, None, family),),
        effect=RuleTagged(table, chain_name, words, family),
        removed_with=f"chain/{family}/{table}/{chain_name}" if own else None,
        after=needed,
    )


def rule_key(table: str, chain_name: str, words: tuple[str, ...], *, family: int = 4) -> str:
    """
    The key of the step that adds a rule.

    Args:
        table: filter, nat, mangle or raw.
        chain_name: The chain.
        words: The rule as `iptables -S` prints it, behind the chain's name.
        family: 4 or 6.
    """
    digest = sha256("\0".join(words).encode()).hexdigest()[:10]
    return f"rule/{family}/{table}/{chain_name}/{digest}"


def own_chain(table: str, builtin: str, name: str, *, family: Family = 4) -> tuple[Step, ...]:
    """
    A chain of nsctl's own and the jump to it, behind the administrator's rules.

    Where one of these decides for all packets, the planner has the jump stand before that: see `jumps`.
    """
    return (
        chain(table, name, family=family),
        rule(
            table,
            builtin,
            "-j",
            name,
            owner=JUMP,
            why=f"jump to {name} from {builtin}, behind the host's own rules",
            family=family,
        ),
    )


@shared
def filter_network(bridge: str, *, internal: bool = False) -> tuple[Step, ...]:
    """
    What may be forwarded from and to a bridge, whatever the policy of FORWARD is.

    Nothing new comes in from other networks or from outside.
    What goes out, its answers, and what stays on the bridge passes.
    The rules that drop stand at the head of the chain, before those of every network that accept.

    Args:
        bridge: The bridge.
        internal: Nothing passes but what stays on the bridge.
    """
    check_ifname(bridge, "bridge name")
    steps = list(own_chain("filter", "FORWARD", FORWARD))

    def add(*spec: str, why: str, head: bool = False) -> None:
        steps.append(rule("filter", FORWARD, *spec, owner=bridge, why=why, head=head))

    if internal:
        add("!", "-i", bridge, "-o", bridge, "-j", "DROP", head=True, why=f"let nothing into {bridge}")
        add("-i", bridge, "!", "-o", bridge, "-j", "DROP", head=True, why=f"let nothing out of {bridge}")
        add("-i", bridge, "-o", bridge, "-j", "ACCEPT", why=f"accept what stays on {bridge}")
    else:
        state = ("-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED")
        add(
            "!",
            "-i",
            bridge,
            "-o",
            bridge,
            *state,
            "-j",
            "DROP",
            head=True,
            why=f"let only answers into {bridge}",
        )
        invalid = ("-m", "conntrack", "--ctstate", "INVALID")
        add("-i", bridge, *invalid, "-j", "DROP", head=True, why=f"drop invalid packets from {bridge}")
        add("-o", bridge, "-j", "ACCEPT", why=f"accept remaining traffic to {bridge}")
        add("-i", bridge, "-j", "ACCEPT", why=f"accept traffic from {bridge}")
    return tuple(steps)


@shared
def own_sources(bridge: str, subnet: IPv4Network, *, internal: bool = False) -> tuple[Step, ...]:
    """
    Nothing that comes from a bridge has a source outside of its subnet, wherever it is for.

    Else a sandbox could send in the name of another network's, or past the masquerade (RFC 2827). In raw, it stands
    before everything that decides by the source.

    Args:
        bridge: The bridge.
        subnet: Its subnet.
        internal: Nor a destination outside: of the host, only the bridge's own address can be reached.
    """
    check_ifname(bridge, "bridge name")
    words = ("!", "-s", str(subnet), "-i", bridge, "-j", "DROP")
    steps = [
        *own_chain("raw", "PREROUTING", PREROUTING),
        rule(
            "raw",
            PREROUTING,
            *words,
            owner=bridge,
            why=f"drop spoofed sources from {bridge}",
        ),
    ]
    if internal:
        words = ("!", "-d", str(subnet), "-i", bridge, "-j", "DROP")
        why = f"drop packets from {bridge} to other networks"
        steps.append(rule("raw", PREROUTING, *words, owner=bridge, why=why))
    return tuple(steps)


@shared
def masquerade(subnet: IPv4Network, *, unless_to: str) -> tuple[Step, ...]:
    """
    Show the host's address to whom a subnet talks to, except on its own bridge.

    Args:
        subnet: The subnet.
        unless_to: The bridge.
    """
    check_ifname(unless_to, "bridge name")
    spec = ("-s", str(subnet), "!", "-o", unless_to, "-j", "MASQUERADE")
    return (
        *own_chain("nat", "POSTROUTING", POSTROUTING),
        rule("nat", POSTROUTING, *spec, owner=unless_to, why=f"masquerade {subnet} on other links"),
    )
