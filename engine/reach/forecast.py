"""A host as it will be once a plan is carried out: so a dry run can say what would come of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nsctl.engine.model.effects import AddrOn, ChainIs, LinkIs, LinkUp, RuleTagged, SysctlIs
from nsctl.engine.model.plan import Step
from nsctl.engine.planning.jumps import position
from nsctl.engine.reach.model import LOCAL, MAIN, Device, Hop, Host, TableRoute, text
from nsctl.engine.reach.rules import prefix

__all__ = ["PlannedRules", "planned"]

_FULL = 32
_CONF = "net/ipv4/conf/"


class PlannedRules:
    """
    The packet filter as it is, with what a plan adds.

    Args:
        backend: `nft` or `legacy`.
        chains: Rules by `4/TABLE/CHAIN`; may be read when asked for.
        policies: Policies by the same keys.
    """

    def __init__(
        self, backend: str, chains: Mapping[str, Sequence[tuple[str, ...]]], policies: Mapping[str, str]
    ) -> None:
        self._backend = backend
        self._base = chains
        self._policies = policies
        self._new: dict[str, list[tuple[str, ...]]] = {}

    @property
    def backend(self) -> str:
        """`nft` or `legacy`."""
        return self._backend

    def chain(self, table: str, chain: str) -> Sequence[tuple[str, ...]] | None:
        """The rules of a chain, in order; None where there is no such chain."""
        key = f"4/{table}/{chain}"
        return self._new[key] if key in self._new else self._base.get(key)

    def chains(self) -> list[tuple[str, str]]:
        """The chains there are, each with its table first."""
        keys = [key.split("/") for key in dict.fromkeys((*self._base, *self._new))]
        return [(table, name) for _, table, name in keys]

    def policy(self, table: str, chain: str) -> str:
        """The policy of a built-in chain, `-` for any other."""
        return self._policies.get(f"4/{table}/{chain}", "-" if chain not in _BUILT_IN else "ACCEPT")

    def add(self, step: Step) -> None:
        """Add what a step adds: a chain, or a rule at the place that its command says."""
        effect = step.effect
        if isinstance(effect, ChainIs):
            self._rules(effect.table, effect.chain)
        elif isinstance(effect, RuleTagged):
            rules = self._rules(effect.table, effect.chain)
            rules.insert(position(step, len(rules)), effect.spec)

    def _rules(self, table: str, chain: str) -> list[tuple[str, ...]]:
        key = f"4/{table}/{chain}"
        if key not in self._new:
            self._new[key] = list(self._base.get(key, ()))
        return self._new[key]


_BUILT_IN = frozenset("PREROUTING INPUT FORWARD OUTPUT POSTROUTING".split())


def planned(host: Host, rules: PlannedRules | None, steps: Iterable[Step]) -> Host:
    """
    The host once these steps are done.

    Args:
        host: The host.
        rules: Its packet filter; None where it can't be read.
        steps: Those steps of a plan that are not in place.
    """
    links: dict[str, Device] = {}
    tables = {table: list(routes) for table, routes in host.tables.items()}
    own = set(host.own)
    changed = _Links(host.links, links)
    for step in steps:
        effect = step.effect
        if getattr(effect, "netns", None) is not None or getattr(effect, "family", 4) != 4:  # noqa: PLR2004 - of IP
            continue
        if isinstance(effect, LinkIs):
            links[effect.name] = Device(effect.name, up=False, kind=effect.type, master=effect.master)
        elif isinstance(effect, LinkUp) and (link := changed.get(effect.name)) is not None:
            links[effect.name] = link._replace(up=True, carrier=True)
        elif isinstance(effect, AddrOn) and ":" not in effect.address:
            _address(tables, effect)
        elif isinstance(effect, SysctlIs):
            own.add(effect.key)
            _setting(links, changed, effect)
        elif rules is not None and isinstance(effect, (ChainIs, RuleTagged)):
            rules.add(step)
    return host._replace(links=changed, tables=tables, rulesets=() if rules is None else (rules,), own=own)


class _Links(Mapping[str, Device]):
    """The host's links, with those that a plan makes or changes."""

    def __init__(self, base: Mapping[str, Device], new: dict[str, Device]) -> None:
        self._base = base
        self._new = new

    def __getitem__(self, name: str) -> Device:
        return self._new[name] if name in self._new else self._base[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._base, *self._new)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _setting(links: dict[str, Device], changed: Mapping[str, Device], effect: SysctlIs) -> None:
    parts = effect.key.split("/")
    if not effect.key.startswith(_CONF) or parts[-1] != "forwarding" or len(parts) != 5:  # noqa: PLR2004
        return
    link = changed.get(parts[3])
    if link is not None:
        links[link.name] = link._replace(forwarding=effect.value != "0")


def _address(tables: dict[int, list[TableRoute]], effect: AddrOn) -> None:
    base, mask = prefix(effect.address)
    length = int(effect.address.partition("/")[2] or _FULL)
    hops = (Hop(effect.link),)
    tables.setdefault(LOCAL, []).append(TableRoute(LOCAL, base, _FULL, "local", hops))
    if length < _FULL:
        tables.setdefault(MAIN, []).append(
            TableRoute(MAIN, base & mask, length, hops=hops, source=text(base)),
        )
