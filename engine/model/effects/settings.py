"""Sysctls."""

from __future__ import annotations

import re
from typing import Self

from msgspec.structs import replace

from nsctl.engine.model.effects.base import LinkSetting
from nsctl.engine.model.host import Host, Needs, Watch
from nsctl.engine.model.observation import Observation, State, absent, foreign

__all__ = ["SysctlIs", "key_on_link", "link_in"]

_OF_LINK = re.compile(r"(net/ipv[46]/(?:conf|neigh)/)([^/]+)(/.+)")


class SysctlIs(LinkSetting, frozen=True, tag="sysctl"):
    """
    A sysctl (key with slashes: `net/ipv4/conf/br0/forwarding`) has `value`; `before` is what was found.

    `globally` is what `conf/all` had when the step was planned, for a setting that the kernel copies from there to
    every link: whoever switches it on there since relies on this one too.
    """

    key: str
    value: str
    before: str
    netns: str | None = None
    globally: str | None = None

    @property
    def host_link(self) -> str | None:
        """The link that the key names, on the host; None for a setting of the whole host, and of `all` links."""
        if self.netns is not None or (link := link_in(self.key)) in {None, "all", "default"}:
            return None
        return link

    @property
    def is_shareable(self) -> bool:
        """The host's are anybody's."""
        return self.netns is None

    def observe_by_name(self, host: Host) -> Observation:
        """By value: neither what was set nor what was found before is a stranger's."""
        found = host.sysctl(self.key, self.netns)
        if found is None:
            return absent("no such key")
        if found == self.value or found.split() == self.value.split():
            return Observation(State.OURS, f"value {found}", taken=self._taken_over(host))
        if found.split() == self.before.split():
            return absent(f"value {found}, expected {self.value}")
        return foreign(f"value {found}, expected {self.value}")

    def _taken_over(self, host: Host) -> str:
        # Docker, libvirt and administrators switch forwarding on for all links: who does so after us relies on ours.
        if self.globally is None or self.netns is not None or self.globally.split() == self.value.split():
            return ""
        key = key_on_link(self.key, "all")
        now = host.sysctl(key)
        return f"{key} is {now} by now" if now is not None and now.split() == self.value.split() else ""

    def on_link(self, name: str) -> Self:
        """The same setting of the link of another name."""
        return replace(self, key=key_on_link(self.key, name))

    def needs(self, needs: Needs) -> None:
        """The setting, inside; the host's are files of its own /proc."""
        needs.look_into(self.netns, self.key)

    def watch(self, watch: Watch) -> None:
        """The settings of the link, or what later ones begin with."""
        if (name := self.host_link) is not None:
            watch.settings.add(name)
        elif self.netns is None and link_in(self.key) == "default":
            watch.later_links = True


def link_in(key: str) -> str | None:
    """The link, or `all` or `default`, that a key is about; None where it is about none."""
    found = _OF_LINK.fullmatch(key)
    return found[2] if found else None


def key_on_link(key: str, name: str) -> str:
    """The key of a link's sysctl for another link, or for `all`."""
    return _OF_LINK.sub(rf"\g<1>{name}\g<3>", key)
