"""The beginning: who can take part, and whether it works."""

from __future__ import annotations

from pathlib import Path

from scripts.benchmark.bench import Bench, say
from scripts.benchmark.cost import Failed
from scripts.benchmark.stand import Stand
from scripts.benchmark.variants import every_variant

__all__ = ["enter"]


def enter(bench: Bench, only: frozenset[str], software: Path | None) -> None:
    """
    Give each variant a lab host, and try it out.

    Args:
        bench: The benchmark.
        only: Keys of variants, or beginnings of them (`nsctl` is all of nsctl's); empty for all.
        software: A directory of unpacked packages to find others' tools in.
    """
    for variant in every_variant(software):
        if only and not any(variant.key == word or variant.key.startswith(f"{word}-") for word in only):
            continue
        bench.titles[variant.key] = variant.title
        reason = variant.missing()
        if not reason:
            try:
                stand = Stand(variant, software)
            except Failed as error:
                reason = str(error)
            else:
                bench.stands.append(stand)
                with bench.tolerant(stand):
                    stand.try_out()
        if reason:
            say(f"{variant.title} is left out: {reason}")
            bench.left_out[variant.key] = reason
