"""
What the documents claim is so: links lead somewhere, named files and tests exist, the help says what the README says.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import nsctl
from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.cli.common_options import UpCommon
from nsctl.engine.cli.foreign_words import ALWAYS_SO
from nsctl.engine.cli.root import HELP
from nsctl.engine.model.options import fields_of
from tests.docs.generated import modes, options_of
from tests.docs.pages import PAGES, ROOT, anchor, blocks, headings, links, name_of, prose

ARCHITECTURE = ROOT / "ARCHITECTURE.md"
README = ROOT / "README.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_PATH = re.compile(r"`((?:engine|modes|hooks|scripts|tests|src|docs)/[\w./]*)`")
_COMMAND = re.compile(r"(?:^|[`# ])nsctl (?:-\w )?([a-z]+)(.*?)(?: -- |$|`|(?=[ (]nsctl ))")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        there = target.is_relative_to(ROOT) and target.exists()
        if not there or (fragment and fragment not in map(anchor, headings(target))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_exists(page: Path) -> None:
    assert [path for path in _PATH.findall(prose(page)) if not (ROOT / path).exists()] == []


@cache
def _tests_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_that_is_named_exists(page: Path) -> None:
    named: list[tuple[str, str]] = _TEST.findall(prose(page))
    assert [f"{p}::{t}" for p, t in named if not (ROOT / p).exists() or t not in _tests_in(p)] == []


def test_every_invariant_names_a_test_that_proves_it() -> None:
    chapter = prose(ARCHITECTURE).partition("## Invariants")[2].partition("\n## ")[0]
    rows = [line for line in chapter.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert [row for row in rows if not _TEST.search(row)] == []


def test_the_code_map_has_every_part_of_the_code() -> None:
    text = prose(ARCHITECTURE)
    parts = {
        f"{path.relative_to(ROOT).as_posix()}{'/' if path.is_dir() else ''}"
        for folder in ("engine", "hooks")
        for path in (ROOT / folder).iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.name != "__init__.py"
    }
    assert sorted(part for part in parts if f"`{part}`" not in text) == []


def test_the_code_map_has_nothing_that_is_gone() -> None:
    assert [p for p in _PATH.findall(prose(ARCHITECTURE)) if not (ROOT / p).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_option_that_is_shown_exists(page: Path) -> None:
    text = "\n".join([prose(page), *(line for b in blocks(page) if b.language != "toml" for line in b.lines)])
    unknown = []
    for line in text.splitlines():
        for name, rest in _COMMAND.findall(line):
            others = name in {"up", "run"} and rest.split()[:1] and rest.split()[0] not in {*modes(), "MODE"}
            if name in COMMANDS and not others:  # a mode of a plugin's has options of its own
                known = options_of(name) | {"--help"}
                unknown += [f"nsctl {name} {flag}" for flag in _FLAG.findall(rest) if flag not in known]
    # Flags that stand alone in the prose are some command's.
    every = {flag for name in COMMANDS for flag in options_of(name)}
    every |= {"--help", "--version", *(flag for flags in ALWAYS_SO.values() for flag in flags)}
    quoted = {flag for code in re.findall(r"`(--[^`]+)`", prose(page)) for flag in _FLAG.findall(code)}
    assert unknown + sorted(quoted - every) == []


def test_the_readme_is_short_enough_to_be_read() -> None:
    words = len(re.sub(r"[|*`#\[\]()-]", " ", prose(README)).split())
    assert 350 <= words <= 650
    highlights = [line for line in README.read_text().splitlines() if line.startswith("- **")]
    assert len(highlights) <= 8
    assert all(len(line) <= 180 for line in highlights)


def test_the_readme_shows_the_plugin_of_the_manual() -> None:
    first, *_ = (b for b in blocks(ROOT / "docs" / "plugins.md") if b.language == "python")
    shown, *_ = (b for b in blocks(README) if b.language == "python")
    assert shown.lines == first.lines
    assert len([line for line in shown.lines if line]) <= 20


def test_readme_and_help_say_what_a_sandbox_is_not() -> None:
    said = "no boundary against hostile code"
    for text in (README.read_text(), (ROOT / "docs" / "safety.md").read_text(), HELP):
        assert said in " ".join(text.split())


def test_readme_names_every_mode_and_the_help_of_up_what_it_claims() -> None:
    text = README.read_text()
    assert [name for name in modes() if f"**{name}**" not in text] == []
    flags = {f.flag: f.help for f in fields_of(UpCommon)}
    assert "needs no root" in flags["--dry-run"]
    assert "change the host" in flags["--privileged"]


def test_the_changelog_has_this_version_and_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[([^\]]+)\](?: - (\S+))?$", text, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == nsctl.__version__
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d|unreleased", date) for _, date in versions[1:])
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_are_plain_and_whole(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD|lorem)\b", text)
    written = re.sub(r"^```console\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"[^\S\n]$", written, re.MULTILINE)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
