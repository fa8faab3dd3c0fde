from __future__ import annotations

import os
from pathlib import Path

import pytest

from nsctl.engine.model.errors import Refused
from nsctl.engine.store.files import ensure_ballast, ensure_private_dir, remove_tree


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        ensure_private_dir(tmp_path / "state")
    finally:
        os.umask(umask)
    assert mode(tmp_path / "state") == 0o700


def test_a_directory_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    ensure_private_dir(tmp_path / "state")
    assert mode(tmp_path / "state") == 0o700


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_what_is_no_directory_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(Refused, match="is not a directory"):
        ensure_private_dir(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="chown needs root")
def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(Refused, match="belongs to user 65534"):
        ensure_private_dir(path)


def test_a_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="can't be made"):
        ensure_private_dir(tmp_path / "file" / "state")


def test_ballast_follows_no_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "ballast").symlink_to(tmp_path / "elsewhere")
    ensure_ballast(tmp_path)
    assert (tmp_path / "elsewhere").stat().st_size == 0


def test_a_tree_is_removed_and_symbolic_links_in_it_are_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    tree = tmp_path / "tree"
    (tree / "web").mkdir(parents=True)
    (tree / "web" / "hosts").touch()
    (tree / "web" / "link").symlink_to(kept)
    (tree / "link").symlink_to(kept / "file")
    remove_tree(tree)
    assert not tree.exists()
    assert (kept / "file").exists()


def test_a_symbolic_link_in_place_of_the_tree_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / "tree").symlink_to(kept)
    remove_tree(tmp_path / "tree")
    assert (kept / "file").exists()
