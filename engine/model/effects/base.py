"""What all effects have in common, and what settings of links do."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec
from msgspec.structs import replace

from nsctl.engine.model.host import Host, Needs, Watch
from nsctl.engine.model.observation import Known, Observation, absent, foreign

__all__ = ["UNKNOWN", "EffectBase", "LinkSetting"]

UNKNOWN: Known = Known()


class EffectBase(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True, forbid_unknown_fields=True):
    """
    How to tell whether a step's result is in place.

    A class of effects is one class here: its data, and how it is looked for on a host.
    Its tag is its kind in plans; those that live in a network namespace name it in `netns`.
    """

    survives_removal: ClassVar[bool] = False
    """It goes on when what the step is removed with is taken away: a process, when its namespace goes."""
    can_end: ClassVar[bool] = False
    """It ends by itself, or by its owner's doing; then no watcher makes it again."""

    @property
    def kind(self) -> str:
        """Its name in plans."""
        return str(self.__struct_config__.tag)

    @property
    def is_packet_filter(self) -> bool:
        """Whether it keeps packets out: `repair` makes it again before anything that packets could pass."""
        return False

    @property
    def is_shareable(self) -> bool:
        """Whether two stores of one host may both hold it: it is the host's, and the same whoever makes it."""
        return False

    @property
    def host_link(self) -> str | None:
        """The link of the host's that it is a setting of; None for anything else, and inside a namespace."""
        return None

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """
        Compare it with a host.

        Args:
            host: The host, read freshly enough.
            known: What is known of the step.
        """
        raise NotImplementedError(type(self).__name__)

    def identity(self, host: Host) -> dict[str, int] | None:
        """
        What tells the thing that the step has just made from another of the same name; None where its data alone tells.

        Read it right after the step, from a host that has forgotten what it saw before.
        """
        return None

    def link_identity(self, host: Host) -> dict[str, int] | None:
        """For a setting of a link that no step makes: the link's index; None where it is not there."""
        return None

    def needs(self, needs: Needs) -> None:
        """Say what `observe` will ask for."""

    def watch(self, watch: Watch) -> None:
        """Say which changes on the host can be about it; nothing tells of those inside namespaces."""


class LinkSetting(EffectBase, frozen=True):
    """
    A setting of a link.

    Where the link is not nsctl's own it is known by its index, which the host gives only once, and followed under
    whatever name it has by now.
    """

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """Compare it with a host, on the link that it was made on."""
        if not known.identity or "index" not in known.identity or (name := self.host_link) is None:
            return self.observe_by_name(host)
        link = host.link_by_index(known.identity["index"])
        if link is None:
            other = host.link(name)
            observed = foreign(f"{name} is another link now") if other is not None else absent(f"{name} is gone")
            return replace(observed, gone=True)
        if link.name == name:
            return self.observe_by_name(host)
        observed = self.on_link(link.name).observe_by_name(host)
        return replace(observed, found=f"{observed.found}; {name} is called {link.name} now", link=link.name)

    def observe_by_name(self, host: Host) -> Observation:
        """Compare it with the link that has this name now."""
        raise NotImplementedError(type(self).__name__)

    def on_link(self, name: str) -> Self:
        """The same setting of the link of another name."""
        raise NotImplementedError(type(self).__name__)

    def watch(self, watch: Watch) -> None:
        """The link."""
        if (name := self.host_link) is not None:
            watch.links.add(name)

    def link_identity(self, host: Host) -> dict[str, int] | None:
        """The link's index, while it has this name."""
        if (name := self.host_link) is None:
            return None
        link = host.link(name)
        return {"index": link.index} if link and link.name == name else None
