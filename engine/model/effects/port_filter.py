"""The table `bridge nsctl` of nftables, and what it lets each port of a bridge send."""

from __future__ import annotations

from nsctl.engine.model.effects.base import UNKNOWN, EffectBase
from nsctl.engine.model.host import Host, Watch
from nsctl.engine.model.observation import Known, Observation, absent, ours

__all__ = ["NftTable", "PortFilter"]


class NftTable(EffectBase, frozen=True, tag="nft"):
    """A table of nsctl's own in nftables, with the rules that it was made with."""

    family: str
    name: str

    @property
    def is_packet_filter(self) -> bool:
        """It judges what ports send."""
        return True

    @property
    def is_shareable(self) -> bool:
        """It judges the ports of all stores."""
        return True

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By the number that stands for its rules."""
        table = host.nft_table()
        if table is None:
            return absent()
        made = known.identity.get("rules") if known.identity else None
        changed = "" if made is None or table.rules == made else "its rules are not those that it was made with"
        return ours(changed or "in place", changed)

    def identity(self, host: Host) -> dict[str, int] | None:
        """The number that stands for its rules: how `nft` compiles them is for its version to say."""
        table = host.nft_table()
        return {"rules": table.rules} if table is not None else None

    def watch(self, watch: Watch) -> None:
        """The table, with all that is in it."""
        watch.tables.add((self.family, self.name))


class PortFilter(EffectBase, frozen=True, tag="port"):
    """
    By this port of a bridge comes in only what this hardware address, and one of these addresses, has sent.

    It is listed so in the sets of the table `bridge nsctl`.
    """

    port: str
    mac: str
    addresses: tuple[str, ...]

    @property
    def is_packet_filter(self) -> bool:
        """It judges what a port sends."""
        return True

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By what the sets have of the port; more than was planned is a stranger's, and named."""
        table = host.nft_table()
        if table is None:
            return absent("no such table")
        entry = table.port(self.port)
        has, wanted = {*entry.macs, *entry.addresses}, {self.mac, *self.addresses}
        if not entry.listed and not has:
            return absent()
        wrong = [] if entry.listed else ["it is not judged"]
        wrong += [f"{address} is missing" for address in sorted(wanted - has)]
        wrong += [f"it may send as {address}, too" for address in sorted(has - wanted)]
        drift = "; ".join(wrong)
        return ours(drift or "in place", drift)
