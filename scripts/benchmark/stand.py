"""A variant on a lab host of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark.cost import Cost
from scripts.benchmark.host import Host
from scripts.benchmark.variant import Variant

__all__ = ["Stand"]


class Stand:
    """
    Where a variant is measured; it ends with `close`.

    Args:
        variant: Who.
        software: A directory of unpacked packages to find others' tools in.
    """

    def __init__(self, variant: Variant, software: Path | None) -> None:
        self.variant = variant
        self.host = Host(strangers=variant.strangers, software=software if variant.strangers else None)

    def try_out(self) -> None:
        """
        Do everything once, unmeasured: sandboxes have to reach the outside.

        What the kernel loads, and files that are read for the first time, are so out of the way.

        Raises:
            Failed: It does not work.
        """
        self.variant.prepare(self.host)
        before = self.host.links()
        self.up([1])
        self.up([2])
        self.host.measure(lambda work: self.variant.check(work, 1))
        self.host.measure(lambda work: self.variant.check(work, 2))
        self.down([2])
        self.down([1], before)
        self.clear()

    def up(self, numbers: Sequence[int]) -> Cost:
        """
        Attach sandboxes.

        Raises:
            Failed: It did not work.
        """
        return self.host.measure(lambda work: self.variant.up(work, numbers))

    def down(self, numbers: Sequence[int], back_to: frozenset[str] | None = None) -> Cost:
        """
        Take sandboxes away.

        Args:
            numbers: Which.
            back_to: The links that are to be left then, if that is to be waited for.

        Raises:
            Failed: It did not work.
        """
        if back_to is None:
            return self.host.measure(lambda work: self.variant.down(work, numbers))
        return self.host.measure_gone(lambda work: self.variant.down(work, numbers), back_to | self.variant.keeps)

    def clear(self) -> None:
        """Bring the host to where it was, and wait until the kernel is done: rounds stand apart."""
        self.host.measure(self.variant.sweep)
        self.host.settle()

    def close(self) -> None:
        """End everything."""
        try:
            self.host.measure(self.variant.finish)
        finally:
            self.host.close()
