"""The result as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from scripts.benchmark.phases.imports import Imports
from scripts.benchmark.summary import Row, Span

__all__ = ["imports_table", "memory_table", "tables"]

WORTH_IT = 15
"""Modules, and packages, that the table of imports names."""


def tables(sections: Iterable[Sequence[Row]], titles: Mapping[str, str]) -> Iterator[str]:
    """One table for each metric; milliseconds."""
    for section in sections:
        if not section:
            continue
        gone = any(row.gone for row in section)
        rounds = max(row.rounds for row in section)
        head = f"{section[0].metric} ({rounds} rounds)"
        lines = [[head, "ms", "min-max", "CPU ms", *(["gone ms"] if gone else []), "ratio", "min-max"]]
        lines += [_cells(row, titles.get(row.variant, row.variant), gone=gone) for row in section]
        yield _aligned(lines)


def _cells(row: Row, title: str, *, gone: bool) -> list[str]:
    return [
        title,
        _number(row.wall.median),
        _range(row.wall),
        _number(row.cpu.median),
        *([_number(row.gone.median) if row.gone else ""] if gone else []),
        f"x {row.ratio.median:.2f}" if row.ratio else "",
        _range(row.ratio) if row.ratio else "",
    ]


def memory_table(memory: Mapping[str, float]) -> str:
    """MiB."""
    return _aligned([["memory", "MiB"], *([what, f"{size:.1f}"] for what, size in memory.items())])


def imports_table(imports: Imports) -> str:
    """The packages and the modules that take longest."""
    head = f"imports of `up`: {imports.modules} modules, {imports.total:.1f} ms under -X importtime"
    packages = [["package", "ms"], *([n, f"{t:.1f}"] for n, t in list(imports.packages.items())[:WORTH_IT])]
    modules = [["module", "own ms", "with its imports"]]
    modules += [[n, f"{own:.1f}", f"{all_:.1f}"] for n, (own, all_) in list(imports.largest.items())[:WORTH_IT]]
    return f"{head}\n\n{_aligned(packages)}\n\n{_aligned(modules)}"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - digits


def _range(span: Span) -> str:
    return f"{_number(span.least)}-{_number(span.most)}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns: the first to the left, numbers to the right; a rule below the head."""
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    widths[0] = max(widths[0], 34)
    texts = []
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        texts.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join([texts[0], "-" * (sum(widths) + 2 * len(widths) - 2), *texts[1:]])
