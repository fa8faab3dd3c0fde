"""The variants."""

from __future__ import annotations

from pathlib import Path

from scripts.benchmark.variant import Variant
from scripts.benchmark.variants.cni import Cni
from scripts.benchmark.variants.containers import Docker, Podman
from scripts.benchmark.variants.floor import Floor
from scripts.benchmark.variants.netavark import Netavark
from scripts.benchmark.variants.nsctl import (
    Nsctl,
    NsctlFull,
    NsctlLab,
    NsctlLabFull,
    NsctlLabUnfused,
    NsctlUnfused,
)
from scripts.benchmark.variants.script import Script

__all__ = ["VARIANTS", "every_variant"]

VARIANTS: tuple[type[Variant], ...] = (
    NsctlFull,
    Nsctl,
    NsctlUnfused,
    NsctlLab,
    NsctlLabFull,
    NsctlLabUnfused,
    Script,
    Cni,
    Netavark,
    Podman,
    Docker,
    Floor,
)
"""In the order of tables."""


def every_variant(software: Path | None) -> list[Variant]:
    """
    One of each.

    Args:
        software: A directory of unpacked packages to find others' tools in.
    """
    return [kind(software) for kind in VARIANTS]
