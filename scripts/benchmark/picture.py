"""The result as a picture, for the README: bars, readable on light and on dark ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from scripts.benchmark.summary import Row, Span

__all__ = ["draw"]

WIDTH, LABELS, NUMBERS = 760, 210, 90
"""Of the whole, of the titles at the left, and of the room for numbers at the right; pixels."""
LINE, BAR = 22, 14
"""Heights; pixels."""

_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>{title}</title>
<style>
text {{ font: 13px system-ui, sans-serif; fill: #24292f; }}
.head {{ font-weight: 600; }}
.foot {{ font-size: 11px; fill: #656d76; }}
.own {{ fill: #0969da; }}
.other {{ fill: #afb8c1; }}
.range {{ stroke: #656d76; stroke-width: 1; }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3; }}
.foot {{ fill: #9198a1; }}
.own {{ fill: #4493f8; }}
.other {{ fill: #57606a; }}
.range {{ stroke: #9198a1; }}
}}
</style>
"""


def draw(sections: Sequence[tuple[str, Sequence[Row]]], titles: Mapping[str, str], foot: str) -> str:
    """
    An SVG document without a ground of its own.

    Args:
        sections: Head and rows of each group of bars; bars are medians, thin lines go from the least to the most.
        titles: Key of a variant → what its bar is called.
        foot: Date and machine.
    """
    parts: list[str] = []
    y = 8
    for head, section in sections:
        if not section:
            continue
        y += LINE
        parts.append(f'<text class="head" x="0" y="{y - 6}">{escape(head)}</text>')
        # The longest bar; a single slow round must not squeeze all the others.
        scale = (WIDTH - LABELS - NUMBERS) / max(_time(row).median for row in section)
        for row in sorted(section, key=lambda row: _time(row).median):
            parts += _bar(row, titles.get(row.variant, row.variant), y, scale)
            y += LINE
        y += LINE // 2
    y += LINE // 2
    parts.append(f'<text class="foot" x="0" y="{y}">{escape(foot)}</text>')
    title = "Time for each sandbox, in milliseconds; shorter is better"
    return _HEAD.format(width=WIDTH, height=y + 8, title=title) + "\n".join(parts) + "\n</svg>\n"


def _time(row: Row) -> Span:
    """Where devices are taken away, what counts is that they are gone: some tools return before."""
    return row.gone or row.wall


def _bar(row: Row, title: str, y: int, scale: float) -> list[str]:
    kind = "own" if row.variant.startswith("nsctl") else "other"
    time = _time(row)
    length = max(1.0, time.median * scale)
    least = LABELS + time.least * scale
    most = LABELS + min(time.most * scale, WIDTH - LABELS - NUMBERS)
    middle, base = y + LINE / 2, y + LINE / 2 + 4.5
    number = f"{time.median:.1f}" if time.median < 100 else f"{time.median:.0f}"  # noqa: PLR2004 - digits
    return [
        f'<text x="{LABELS - 8}" y="{base}" text-anchor="end">{escape(title)}</text>',
        f'<rect class="{kind}" x="{LABELS}" y="{middle - BAR / 2}" width="{length:.1f}" height="{BAR}" rx="2"/>',
        f'<line class="range" x1="{least:.1f}" x2="{most:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text x="{max(LABELS + length, most) + 6:.1f}" y="{base}">{number} ms</text>',
    ]
