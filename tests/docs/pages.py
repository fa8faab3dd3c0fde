"""
The project's documents, taken apart: fenced blocks with the notes before them, headings, links.

A note is an HTML comment on the line right above a block, invisible to the reader:

    <!-- lab: COMMAND -->        run in the lab before the block
    <!-- file: NAME -->          the block is a file; it is written before what follows runs
    <!-- not run: REASON -->     the block is not for a shell

`<!-- begin: NAME -->` … `<!-- end: NAME -->` enclose what is made from the code, see `generated`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES += [*sorted((ROOT / "docs").glob("*.md")), ROOT / "tests" / "faults" / "README.md"]

_FENCE = re.compile(r"```(\w*)")
_NOTE = re.compile(r"<!-- (lab|file|not run): (.+) -->")
_HEADING = re.compile(r"(#{1,6}) (.+)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(slots=True)
class Block:
    """
    A fenced block.

    Args:
        language: What stands behind the opening fence.
        line: The number of the first line inside, from 1.
        lines: What is inside.
        notes: The notes above it: kind and text.
    """

    language: str
    line: int
    lines: list[str] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def noted(self, kind: str) -> list[str]:
        """The texts of the notes of a kind."""
        return [text for found, text in self.notes if found == kind]


def name_of(page: Path) -> str:
    """A page as messages and test names show it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    inside: Block | None = None
    notes: list[tuple[str, str]] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if inside is not None:
            if line == "```":
                inside = None
            else:
                inside.lines.append(line)
        elif fence := _FENCE.fullmatch(line):
            inside = Block(fence[1], number + 1, notes=notes)
            found.append(inside)
            notes = []
        elif note := _NOTE.fullmatch(line):
            notes.append((note[1], note[2]))
        else:
            assert not notes, f"{name_of(page)}:{number}: a note stands right above a block"
    assert inside is None, f"{name_of(page)}: a block has no end"
    return found


def prose(page: Path) -> str:
    """A page without its blocks and comments."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def headings(page: Path) -> list[str]:
    """The headings of a page, without their marks."""
    return [found[2] for line in prose(page).splitlines() if (found := _HEADING.fullmatch(line))]


def anchor(heading: str) -> str:
    """Where a link to a heading leads, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(page: Path) -> list[str]:
    """What a page links to, pictures included."""
    return [a or b for a, b in _LINK.findall(prose(page))]
