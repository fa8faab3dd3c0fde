"""Named network namespaces."""

from __future__ import annotations

from typing import ClassVar

from nsctl.engine.model.effects.base import UNKNOWN, EffectBase
from nsctl.engine.model.host import Host, Needs, Watch
from nsctl.engine.model.observation import Identity, Known, Observation, absent, foreign, ours

__all__ = ["NetnsIs"]


class NetnsIs(EffectBase, frozen=True, tag="netns"):
    """
    /run/netns/NAME is a network namespace that nsctl made or bound.

    `inode` is given where the namespace existed before (a target's): then it must be that very one.
    `source` names the sandbox whose namespace this is, if it is shared.
    """

    can_end: ClassVar[bool] = True

    name: str
    inode: int | None = None
    source: str | None = None

    @property
    def is_joined(self) -> bool:
        """Whether it was there before: a target's, or another sandbox's."""
        return self.inode is not None or self.source is not None

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By inode number and cookie; where nobody wrote them down, only one that nobody uses is nsctl's."""
        identity = known.identity
        if not host.netns_taken(self.name):
            return absent()
        inode = host.netns_inode(self.name)
        if inode is None:
            if (identity or known.in_flight) and host.netns_left_over(self.name):
                # `ip netns add` was killed between making the file and mounting on it, or somebody unmounted it.
                return ours("no namespace is mounted there", "no namespace is mounted there")
            return foreign("a file that is no network namespace")
        # The identity is what the step really made: that is what an undo takes away.
        expected = identity.get("inode") if identity else None
        if expected is None:
            expected = self.inode
        if expected is None and self.source is not None:
            expected = host.netns_inode(self.source)
        if expected is not None:
            return ours() if inode == expected and self._same(host, identity) else foreign("another network namespace")
        if not known.in_flight:
            return foreign("a network namespace that nsctl did not make")
        return self._pristine(host, known.own_macs)

    def _same(self, host: Host, identity: Identity | None) -> bool:
        # The number of a namespace that is gone is given to the next one at once, the cookie never.
        return not identity or "cookie" not in identity or host.netns_cookie(self.name) in {None, identity["cookie"]}

    def _pristine(self, host: Host, own_macs: frozenset[str]) -> Observation:
        # Nobody wrote down which namespace was made under this name: it counts as ours only if nobody else uses it.
        for link in host.links(self.name).values():
            if link.name != "lo" and link.mac not in own_macs:
                return foreign(f"a network namespace with a link that is not nsctl's: {link.name}")
        pid = host.someone_in(self.name)
        return foreign(f"a network namespace in use by process {pid}") if pid is not None else ours()

    def identity(self, host: Host) -> dict[str, int] | None:
        """Its inode number, and its cookie where the kernel has them."""
        inode, cookie = host.netns_inode(self.name), host.netns_cookie(self.name)
        return None if inode is None else {"inode": inode} if cookie is None else {"inode": inode, "cookie": cookie}

    def needs(self, needs: Needs) -> None:
        """The namespace itself, nothing in it."""
        needs.namespaces[self.name] = None

    def watch(self, watch: Watch) -> None:
        """Its name."""
        watch.namespaces.add(self.name)
