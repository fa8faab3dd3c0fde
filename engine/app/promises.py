"""
Whether sandboxes have what they are promised: a way out, and a name server that they can reach.

Looked at after `up`, `run` and `apply`, forecast for dry runs; one diagnostic for each cause.
A look that fails is no reason for anything: what was made stays made.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from nsctl.engine.app.ways_out import SHOWN, diagnostics
from nsctl.engine.model.diagnostics import Diagnostic
from nsctl.engine.model.effects import FileIs, NetnsIs, RouteVia, ZoneIs
from nsctl.engine.model.errors import NsctlError
from nsctl.engine.model.names import listed
from nsctl.engine.model.plan import Plan, Step
from nsctl.engine.planning.resolvers import HINT, name_servers, no_resolver, only_loopback

if TYPE_CHECKING:
    from nsctl.engine.executor import Session
    from nsctl.engine.model.facts import Facts
    from nsctl.engine.reach.promise import Verdict

__all__ = ["broken_promises", "deaf_resolvers", "forecast", "forecast_promises", "resolver_notes"]


def broken_promises(session: Session, plans: Sequence[Plan]) -> tuple[Diagnostic, ...]:
    """Diagnose ways out and name servers that the sandboxes of these plans, which are up, lack."""
    found: list[Diagnostic] = []
    made = {plan.name: plan.steps for plan in plans if any(map(_leads_out, plan.steps))}
    if made:
        from nsctl.engine.executor.ways_out import ways_out

        with suppress(NsctlError, OSError):
            found += diagnostics(ways_out(session.ctx, tuple(made), made=made))
    return (*found, *_of_resolvers(plans))


def forecast_promises(plans: Sequence[Plan], facts: Facts, present: Container[str]) -> tuple[Diagnostic, ...]:
    """
    What the sandboxes of these plans would lack of what they are promised.

    Args:
        plans: The plans, which are for one transaction.
        facts: The facts that they were made from.
        present: The keys of the steps that are in place.
    """
    found: list[Diagnostic] = []
    steps = {step.key: step for plan in plans for step in plan.steps}
    if any(map(_leads_out, steps.values())):
        with suppress(NsctlError, OSError):
            found += diagnostics(forecast(steps, facts, present), future=True)
    return (*found, *_of_resolvers(plans))


def forecast(steps: Mapping[str, Step], facts: Facts, present: Container[str]) -> dict[str, Verdict]:
    """
    Whether the sandboxes of a plan would have the ways out that it promises.

    Args:
        steps: Its steps.
        facts: The facts that it was made from.
        present: The keys of the steps that are in place.

    Raises:
        NsctlError, OSError: The host can't be read.
    """
    from nsctl.engine.host.kernel import Kernel
    from nsctl.engine.host.snapshot import read_host
    from nsctl.engine.reach.forecast import PlannedRules, planned
    from nsctl.engine.reach.promise import judge, promises_of
    from nsctl.engine.runner import Runner

    firewall = facts.firewall
    readable = os.geteuid() == 0
    rules = PlannedRules(firewall.backend, firewall.chains, firewall.policies) if readable else None
    host = read_host(Kernel(Runner().read), rulesets=())
    if any(isinstance(step.effect, ZoneIs) for step in steps.values()):  # firewalld's chains will let it pass
        host = host._replace(base_chains=[chain for chain in host.base_chains if chain.owner != "firewalld"])
    host = planned(host, rules, [step for key, step in steps.items() if key not in present])
    if not readable:
        host = host._replace(unseen=("the rules of iptables can't be read without root",))
    return judge(host, promises_of(steps.values()).values(), {})


def _leads_out(step: Step) -> bool:
    effect = step.effect
    return isinstance(effect, RouteVia) and effect.destination == "default" and effect.netns is not None


def deaf_resolvers(steps: Iterable[Step], name: str) -> tuple[str, ...]:
    """
    The name servers of a sandbox with a way out, if all of them are on its own loopback, where nobody listens.

    Without a way out no server is reached, whichever it is.
    What is in /etc/netns/NAME stands in the place of the same file in /etc, whatever the plan says.

    Args:
        steps: The sandbox's steps.
        name: Its name.
    """
    own = leads_out = False
    content = ""
    for step in steps:
        effect = step.effect
        if isinstance(effect, NetnsIs):
            own = own or (effect.name == name and not effect.source)
        elif isinstance(effect, FileIs) and step.key.endswith("/resolv.conf"):
            content = getattr(step.do, "stdin", None) or ""
        else:
            leads_out = leads_out or _leads_out(step)
    if not (own and leads_out and content):
        return ()
    deaf = only_loopback(content) and not os.path.lexists(f"/etc/netns/{name}/resolv.conf")
    return name_servers(content) if deaf else ()


def resolver_notes(session: Session, names: Iterable[str]) -> list[str]:
    """
    Which sandboxes that are up have no name server that they could reach: a line for each set of servers.

    Args:
        session: The session.
        names: Sandboxes with a way out.
    """
    from nsctl.engine.host.facts import resolv_conf

    if not only_loopback(resolv_conf() or ""):  # what they are given follows the host's
        return []
    steps = {name: [row.step for row in session.steps(name)] for name in names}
    return _resolver_lines({name: found for name, its in steps.items() if (found := deaf_resolvers(its, name))})


def _resolver_lines(deaf: Mapping[str, tuple[str, ...]]) -> list[str]:
    by_servers: dict[tuple[str, ...], list[str]] = {}
    for name, servers in deaf.items():
        by_servers.setdefault(servers, []).append(name)
    return [
        f"names don't resolve in {listed(names, SHOWN)}: {no_resolver(servers)}"
        for servers, names in by_servers.items()
    ]


def _of_resolvers(plans: Iterable[Plan]) -> Iterator[Diagnostic]:
    lines = _resolver_lines({plan.name: found for plan in plans if (found := deaf_resolvers(plan.steps, plan.name))})
    for number, line in enumerate(lines, 1):
        yield Diagnostic("warning", line, HINT if number == len(lines) else "")
