"""The whole result: tables, JSON and picture are made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from scripts.benchmark import picture, table
from scripts.benchmark.bench import Bench
from scripts.benchmark.phases import bulk, everyday, single
from scripts.benchmark.phases.imports import Imports
from scripts.benchmark.summary import Row, rows
from scripts.benchmark.variants import VARIANTS
from scripts.benchmark.variants.nsctl import NsctlBefore

__all__ = ["Report"]

_SINGLY = ("nsctl", "nsctl-full", "nsctl-no-batch", "script", "cni", "netavark", "podman", "docker", "netlink")
_TOGETHER = (
    *("nsctl-lab", "nsctl-lab-full", "nsctl-lab-no-batch"),
    *("script", "cni", "netavark", "podman", "docker", "netlink"),
)
"""Orders of rows: the first is what the others are compared with."""


@dataclass
class Report:
    """
    What was found out.

    Args:
        bench: What was read.
        machine: On what.
        memory: What takes how many MiB.
        imports: What `up` imports.
    """

    bench: Bench
    machine: dict[str, str]
    memory: dict[str, float] = field(default_factory=dict)
    imports: Imports | None = None

    def sections(self) -> dict[str, list[Row]]:
        """Metric → rows."""
        orders: dict[str, tuple[str, ...]] = dict.fromkeys(everyday.METRICS, everyday.ORDER)
        orders |= dict.fromkeys(single.METRICS, _SINGLY)
        for size in self.bench.sizes:
            orders |= {bulk.up_of(size): _TOGETHER, bulk.down_of(size): _TOGETHER}
        for reading in self.bench.readings:  # the rest, which nsctl has to itself
            orders.setdefault(reading.metric, _TOGETHER + _SINGLY)
        return {metric: rows(self.bench.readings, metric, order) for metric, order in orders.items()}

    def text(self) -> Iterator[str]:
        """Paragraphs."""
        yield "\n".join(f"{what}: {value}" for what, value in self.machine.items() if value)
        yield from table.tables(self.sections().values(), self.bench.titles)
        if self.memory:
            yield table.memory_table(self.memory)
        if self.imports is not None:
            yield table.imports_table(self.imports)
        notes = [f"{kind.title}: {kind.note}" for kind in VARIANTS if kind.key in self.bench.titles]
        yield "\n".join(notes)
        yield (
            "Medians and ranges; ratio: times the first row's time, round by round. "
            "ms: until it returned; gone: until the devices were gone."
        )
        if self.bench.left_out:
            yield "\n".join(f"left out: {self.bench.titles[k]}: {why}" for k, why in self.bench.left_out.items())

    def json(self) -> str:
        """Everything, each reading included."""
        whole = {
            "version": 1,
            "machine": self.machine,
            "titles": self.bench.titles,
            "notes": {kind.key: kind.note for kind in VARIANTS if kind.key in self.bench.titles},
            "left out": self.bench.left_out,
            "milliseconds": {metric: [asdict(row) for row in found] for metric, found in self.sections().items()},
            "MiB": self.memory,
            "imports": None if self.imports is None else asdict(self.imports),
            "readings, seconds": [asdict(reading) for reading in self.bench.readings],
        }
        return json.dumps(whole, indent=1) + "\n"

    def svg(self) -> str:
        """The most that all variants made at once, everyday commands, and one sandbox; without another version."""
        found = self.sections()
        wanted = [
            ("A command in a sandbox: exec NAME -- true", everyday.EXEC),
            ("A command in new namespaces: run none -- true", everyday.RUN),
            ("A list of sandboxes: ls", everyday.LS),
            ("One sandbox beside another, network only: up", everyday.UP),
            ("One sandbox beside another, network only: down, until its devices are gone", everyday.DOWN),
            ("One sandbox beside another: up", single.NTH_UP),
            ("One sandbox beside another: down, until its devices are gone", single.NTH_DOWN),
        ]
        many = [size for size in self.bench.sizes if 1 < size <= self.bench.everybody]
        if many:
            wanted[:0] = [
                (f"{many[-1]} sandboxes at once: up, for each", bulk.up_of(many[-1])),
                (f"{many[-1]} sandboxes at once: down, for each", bulk.down_of(many[-1])),
            ]
        m = self.machine
        sections = [(head, [r for r in found.get(key, []) if r.variant != NsctlBefore.key]) for head, key in wanted]
        rounds = [row.rounds for _, section in sections for row in section] or [0]
        foot = f"Medians of {min(rounds)} to {max(rounds)} rounds, {m['date']}; {m['processor']}, {m['cores']} cores"
        foot += f" (load {m['load at the beginning']}), Linux {m['kernel']}, {m['iptables']}"
        return picture.draw(sections, self.bench.titles, foot)
