"""What the table of ports really has, where that is not what the steps say: for repair, for undoing, for the scan."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from nsctl.engine.host.kernel import Kernel
from nsctl.engine.kit.keys import port_key
from nsctl.engine.kit.port_filter import PORT, TABLE_KEY, made_anew, own_addresses, port_table, without
from nsctl.engine.model.effects import NftTable, PortFilter
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Step

__all__ = ["as_it_is", "in_the_table", "mended"]

_NONE = "00:00:00:00:00:00"


def as_it_is(kernel: Kernel, step: Step) -> Step:
    """
    The same step, whose undo takes away all that the table has of the port, and nothing that it has not.

    One element that is missing, and nft would take none away; one that is left would be the next sandbox's of that
    name.
    """
    if not isinstance(step.effect, PortFilter) or (table := kernel.nft_table()) is None:
        return step
    entry = table.port(step.effect.port)
    if not (entry.listed or entry.macs or entry.addresses):
        return step
    return without(step, listed=entry.listed, macs=entry.macs, addresses=entry.addresses)


def mended(kernel: Kernel, step: Step, observed: Observation) -> Iterator[Step]:
    """
    The step as it puts right what others changed about its result, if there is anything to put right.

    The table is made anew, all at once, with the ports that it has. To a port is added what it lacks; what others let
    it send besides is named by `check`, and left.
    """
    effect = step.effect
    table = kernel.nft_table()
    if not observed.drift or table is None:
        return
    if isinstance(effect, NftTable):
        known = {name: entry for name, entry in table.ports.items() if re.fullmatch(PORT, f'"{name}"')}
        do = made_anew({name: (entry.listed, entry.macs, entry.addresses) for name, entry in known.items()})
        yield replace(step, why="make the rules of bridge nsctl anew, with the ports that it has", do=do)
    elif isinstance(effect, PortFilter):
        entry = table.port(effect.port)
        if not (entry.listed and {effect.mac, *effect.addresses} <= {*entry.macs, *entry.addresses}):
            yield step


def in_the_table(kernel: Kernel) -> Iterator[Step]:
    """The steps that would have made what is there: the table, and each port that it has."""
    table = kernel.nft_table()
    if table is None:
        return
    yield port_table()
    for name, entry in table.ports.items():
        made = own_addresses("port", "02:00:00:00:00:01")[1]  # its commands are not used
        effect = PortFilter(name, next(iter(entry.macs), _NONE), entry.addresses)
        why = f"what may come in by {name}"
        yield as_it_is(kernel, replace(made, key=port_key(name), why=why, effect=effect, removed_with=TABLE_KEY))
