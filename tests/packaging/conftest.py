"""What the tests of this folder build in, and start."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.clones import Clone, copy_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh copy, to build in."""
    return copy_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    """A clone in which nsctl was started for the first time, twice at once, by someone who wants no bytecode."""
    with tempfile.TemporaryDirectory(prefix="nsctl-clone-") as folder:
        Path(folder).chmod(0o755)
        made = Clone(copy_tree(Path(folder, "a clone")))  # with a space, since somebody's home has one
        starts = [made.begin({"PYTHONDONTWRITEBYTECODE": "1"}) for _ in range(2)]
        for start in starts:
            out, err = start.communicate()
            made.told.append((start.returncode, out, err))
        yield made
