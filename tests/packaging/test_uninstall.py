"""What docs/uninstall.md says takes all of it away: of the package here, of the host below."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.docs.transcripts import commands_of
from tests.lab import Lab, assert_back, needs, snapshot
from tests.lab.systemd import stand_in
from tests.packaging.clones import ROOT, Clone, copy_tree

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "uninstall.md"


def way(where: str) -> str:
    """The command of the page's table for where nsctl is."""
    (command,) = re.findall(rf"^\| {where} \| `(.+?)` \|", PAGE.read_text(), re.MULTILINE)
    found: str = command
    return found


def sh(command: str, cwd: Path, path: str, env: dict[str, str]) -> None:
    full = os.environ | {"PATH": f"{path}:{os.environ['PATH']}"} | env
    done = subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True, cwd=cwd, env=full)
    assert done.returncode == 0, done


def nsctls(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*nsctl*"))


def test_a_clone_is_as_it_was_cloned(tmp_path: Path) -> None:
    made = Clone(copy_tree(tmp_path / "clone"))
    before = {path for path in made.path.rglob("*") if "__pycache__" not in path.parts}
    assert made.start("--version").returncode == 0
    sh(way("a clone").removeprefix("sudo "), made.path, "", {})
    # What pip writes beside the sources to find them, and Python's bytecode, go with the clone.
    left = {path for path in made.path.rglob("*") if "__pycache__" not in path.parts} - before
    assert {path.relative_to(made.path).parts[:2] for path in left} <= {("src", "nsctl.egg-info")}


def test_a_venv_has_nothing_of_it_left(tree: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-I", "-m", "venv", str(venv)], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", str(tree)], check=True)
    assert nsctls(venv)
    sh(way("a venv"), tmp_path, f"{venv}/bin", {})
    assert nsctls(venv) == []


@pytest.mark.skipif(shutil.which("pipx") is None, reason="pipx is not installed")
def test_pipx_has_nothing_of_it_left(tree: Path, tmp_path: Path) -> None:
    place = {"PIPX_HOME": f"{tmp_path}/pipx", "PIPX_BIN_DIR": f"{tmp_path}/bin"}
    sh(f"pipx install {shlex.quote(str(tree))}", tmp_path, "", place)
    assert (tmp_path / "bin" / "nsctl").exists()
    sh(way("pipx"), tmp_path, "", place)
    assert nsctls(tmp_path / "bin") + nsctls(tmp_path / "pipx" / "venvs") == []


@pytest.mark.system
@needs("bridge", "veth", "iptables")
def test_a_host_is_as_it_was_before_nsctl_came(lab: Lab) -> None:
    stand_in(lab)
    before = snapshot(lab)
    lab.nsctl("systemd", "install", check=True)
    lab.nsctl("resident", "start", check=True)
    lab.nsctl("up", "bridge", "--name", "web", check=True)
    lab.nsctl("run", "none", "--", "true", check=True)
    for block in blocks(PAGE):
        for command in commands_of(block):
            if "~/" in command.text:  # of the user who installed it, not of the host
                continue
            argv = shlex.split(command.text)
            done = lab.nsctl(*argv[1:]) if argv[0] == "nsctl" else lab.run(argv)
            assert (done.returncode, done.stderr) == (0, "")
    assert_back(lab, before)
    assert not lab.exists("/run/nsctl")
    assert not lab.exists("/var/log/nsctl")
