"""Files and directories."""

from __future__ import annotations

from nsctl.engine.model.effects.base import UNKNOWN, EffectBase
from nsctl.engine.model.host import Host
from nsctl.engine.model.observation import Known, Observation, absent, foreign, ours

__all__ = ["DirIs", "FileIs"]


class FileIs(EffectBase, frozen=True, tag="file"):
    """A regular file with this content."""

    path: str
    content: str

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By content."""
        kind = host.kind(self.path)
        if kind is None:
            return absent()
        if kind != "file":
            return foreign("not a regular file")
        content = host.file(self.path)
        if content == self.content:
            return ours()
        if known.in_flight and content is not None and self.content.startswith(content):
            return ours("half written", "half written")  # nsctl died between making it and writing the last of it
        return foreign("other content")


class DirIs(EffectBase, frozen=True, tag="dir"):
    """A directory."""

    path: str

    def observe(self, host: Host, known: Known = UNKNOWN) -> Observation:
        """By its kind."""
        kind = host.kind(self.path)
        if kind is None:
            return absent()
        return ours() if kind == "directory" else foreign("not a directory")
