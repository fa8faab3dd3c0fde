"""The reference is complete: every mode, option, hook, command and exit status, as the code has them."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

import pytest

from nsctl.engine import cli
from nsctl.engine.cli import log, maintenance
from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.labfiles.file import COMMON
from nsctl.engine.model import errors
from tests.docs.generated import SECTIONS, hooks, modes, regenerated, sections_in
from tests.docs.pages import PAGES, ROOT, headings, name_of

DOCS = ROOT / "docs"
ROW = re.compile(r"^\| (.+?) \| (.+?) \|", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_made_from_the_code_is_up_to_date(page: Path) -> None:
    fresh = regenerated(page)
    if os.environ.get("NSCTL_UPDATE_DOCS"):
        page.write_text(fresh)
    assert page.read_text() == fresh, "NSCTL_UPDATE_DOCS=1 scripts/test tests/docs brings it up to date"


def test_every_section_that_can_be_made_from_the_code_stands_somewhere() -> None:
    there = {name for page in PAGES for name in sections_in(page)}
    without = {f"options of {name}" for name, mode in modes().items() if not inspect.signature(mode.options).parameters}
    assert set(SECTIONS) - without <= there


def test_every_mode_has_a_chapter() -> None:
    assert set(modes()) <= set(headings(DOCS / "modes.md"))


def test_every_hook_has_a_chapter() -> None:
    assert set(hooks()) <= set(headings(DOCS / "plugins.md"))


def test_every_command_is_used_somewhere() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert [name for name in COMMANDS if not re.search(rf"nsctl {name}\b", text)] == []


def test_the_table_of_exit_statuses_is_that_of_the_errors() -> None:
    text = (DOCS / "safety.md").read_text()
    table = dict(ROW.findall(text))
    shown = {int(key) for key in table if key.isdigit()}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.NsctlError)]
    raised = {kind.exit_status for kind in kinds if kind is not errors.NsctlError}
    others = {0, maintenance.DRIFT, log.BROKEN, cli.INTERNAL, cli.FAILED, 126, 127}
    assert shown == raised | others
    assert "128+n" in table
    assert re.search(r"^\| 1 \| .* \| as before: everything was undone \|$", text, re.MULTILINE)
    assert errors.Interrupted(15, "").exit_status == 128 + 15


def test_every_key_of_a_lab_file_is_explained() -> None:
    text = (DOCS / "lab-files.md").read_text()
    assert [key for key in COMMON if f"`{key}`" not in text] == []
