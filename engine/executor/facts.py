"""What modes may know of the host: the kernel's facts, with what the store says of the sandboxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace as with_fields

from nsctl.engine.executor.inventory import described
from nsctl.engine.host.facts import gather
from nsctl.engine.host.kernel import Reader
from nsctl.engine.kit.firewall import GUARD
from nsctl.engine.model.claims import CLAIM, place_and_thing
from nsctl.engine.model.effects import LinkIs, NetnsIs, SysctlIs
from nsctl.engine.model.facts import HIDDEN, Facts, Sandbox
from nsctl.engine.model.plan import Step
from nsctl.engine.planning.forecast import way_back_of
from nsctl.engine.store import Journal, Others, SandboxRow

__all__ = ["Without", "facts_of"]

V = TypeVar("V")

_WAYS = ("sysctl/net/ipv4/conf/", f"rule/4/filter/{GUARD}/")
"""What the keys of the steps begin with by which packets come back."""


def facts_of(
    state_dir: Path,
    journal: Journal,
    without: Sequence[str] = (),
    others: Others | None = None,
    hidden: tuple[str, ...] = HIDDEN,
    read: Reader | None = None,
) -> Facts:
    """
    The facts, from the store and the kernel.

    Args:
        state_dir: nsctl's directory under /run.
        journal: The store.
        without: Sandboxes to leave out, with what only they hold.
        others: What other stores hold: of that, modes see what two stores may share.
        hidden: Directories that no sandbox may reach; those of other stores are not, either.
        read: As for `gather`.
    """
    rows = {n: r for n, r in journal.sandboxes().items() if r.state == "up" and n not in without}
    networks: dict[str, IPv4Interface] = {}
    called: dict[str, str] = {}
    for row in rows.values():
        for cable in (cable for cable in row.attachments if cable.sandbox == row.name):
            for bridge, gateway in cable.networks.items():
                networks.setdefault(bridge, IPv4Interface(gateway))
            called |= cable.names
    hidden = (*hidden, *map(str, others.places() if others is not None else ()))
    found = gather(str(state_dir), _Sandboxes(journal, rows), {}, hidden, read)
    facts = with_fields(found, networks=networks, names=called, claims=_Claims(journal, without, others))
    if not without:
        return _with_ways(with_fields(facts, steps=_Steps(journal, frozenset(), others)), journal, others)
    going = {row.step.key: row.step.effect for row in journal.held_only_by(without)}
    links = {e.name for e in going.values() if isinstance(e, LinkIs) and e.netns is None}
    names = {e.name for e in going.values() if isinstance(e, NetnsIs)}
    before = {e.key: e.before for e in going.values() if isinstance(e, SysctlIs) and e.netns is None}
    facts = with_fields(
        facts,
        steps=_Steps(journal, frozenset(going), others),
        links=Without(facts.links, links),
        sysctls=Without(facts.sysctls, (), before),
        netns=facts.netns - names,
        routes=tuple(r for r in facts.routes if r.link not in links),
        addresses=tuple((link, address) for link, address in facts.addresses if link not in links),
    )
    return _with_ways(facts, journal, others)


def _with_ways(facts: Facts, journal: Journal, others: Others | None) -> Facts:
    # Where packets from outside come in by, or what has been done about it already.
    keys = [row.step.key for beginning in _WAYS for row in journal.steps_like(beginning)]
    keys += [key for key in others or () if key.startswith(_WAYS)]
    steps = [facts.steps[key] for key in dict.fromkeys(keys) if key in facts.steps]
    if way_back := way_back_of(steps):
        return with_fields(facts, way_back=way_back)
    outer = (n for n, link in facts.links.items() if n != "lo" and not link.master and f"link/{n}" not in facts.steps)
    return with_fields(facts, outer=tuple(outer))


class _Steps(Mapping[str, Step]):
    """The steps in place, read when asked for."""

    def __init__(self, journal: Journal, without: frozenset[str], others: Others | None) -> None:
        self._journal = journal
        self._without = without
        self._others = others
        self._seen: dict[str, Step | None] = {}

    def __getitem__(self, key: str) -> Step:
        if key not in self._seen:
            row = None if key in self._without else self._journal.step(key)
            if row is None and self._others and (held := self._others.shared(key)) is not None:
                row = held.row
            self._seen[key] = row.step if row is not None else None
        step = self._seen[key]
        if step is None:
            raise KeyError(key)
        return step

    def __contains__(self, key: object) -> bool:
        try:
            self[str(key)]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return (k for k in self._keys() if k not in self._without)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _keys(self) -> list[str]:
        return self._journal.keys()


class _Claims(Mapping[str, Mapping[str, str]]):
    """What is claimed, in this store and in the host's others, read when it is first asked for."""

    def __init__(self, journal: Journal, without: Sequence[str], others: Others | None) -> None:
        self._journal = journal
        self._without = frozenset(without)
        self._others = others
        self._read: dict[str, dict[str, str]] | None = None

    def _all(self) -> dict[str, dict[str, str]]:
        if self._read is None:
            self._read = {}
            theirs = ((key, str(held)) for key, held in (self._others or {}).items() if key.startswith(CLAIM))
            for key, holder in (*theirs, *self._journal.claims()):
                place, thing = place_and_thing(key)
                if holder not in self._without:
                    self._read.setdefault(place, {})[thing] = holder
        return self._read

    def __getitem__(self, place: str) -> Mapping[str, str]:
        return self._all()[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class _Sandboxes(Mapping[str, Sandbox]):
    """The sandboxes that are up, described when asked for."""

    def __init__(self, journal: Journal, rows: Mapping[str, SandboxRow]) -> None:
        self._journal = journal
        self._rows = rows

    def __getitem__(self, name: str) -> Sandbox:
        return described(self._journal, self._rows[name])

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Without(Mapping[str, V]):
    """A mapping as it will be when some of it is gone, and some has its old value back."""

    def __init__(self, base: Mapping[str, V], gone: Iterable[str], instead: Mapping[str, V] | None = None) -> None:
        self._base = base
        self._gone = frozenset(gone)
        self._instead = instead or {}

    def __getitem__(self, key: str) -> V:
        if key in self._gone:
            raise KeyError(key)
        return self._instead[key] if key in self._instead else self._base[key]

    def __iter__(self) -> Iterator[str]:
        return (k for k in self._base if k not in self._gone)

    def __len__(self) -> int:
        return sum(1 for _ in self)
