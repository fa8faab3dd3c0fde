"""
A plugin gets into nsctl's own environment as docs/plugins.md says: in a clone, a venv, and pipx's; without a network.
"""

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
from tests.packaging.clones import ROOT, Clone

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "plugins.md"
OFFLINE = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
"""No index, and no folder of packages either."""
WHEEL = "pip wheel --no-deps ./nsctl-pair"
needs_pipx = pytest.mark.skipif(shutil.which("pipx") is None, reason="pipx is not installed")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A folder with the plugin of the page in it, and the wheel that the page makes of it."""
    for block in blocks(PAGE):
        for name in block.noted("file"):
            if name.startswith("nsctl-pair/"):
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text("".join(f"{line}\n" for line in block.lines))
    assert f"`{WHEEL}`" in PAGE.read_text()
    done = sh(f"{shlex.quote(sys.executable)} -m {WHEEL}", tmp_path, "", {})
    assert done.returncode == 0, done
    return tmp_path


def way(where: str, column: int) -> str:
    """The command of the page's table for where nsctl is: with a network (1), and without one (2)."""
    (row,) = re.findall(rf"^\| {where} \| `(.+?)` \| `(.+?)` \|$", PAGE.read_text(), re.MULTILINE)
    found: str = row[column - 1]
    return found


def sh(command: str, cwd: Path, path: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    full = os.environ | {"PATH": f"{path}:{os.environ['PATH']}"} | env
    return subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True, cwd=cwd, env=full)


def knows_pair(nsctl: Path | str) -> bool:
    done = subprocess.run([nsctl, "modes", "pair"], check=False, capture_output=True, text=True)
    return "from nsctl-pair 1.0" in done.stdout


def test_in_a_clone(clone: Clone, plugin: Path) -> None:
    shutil.copytree(plugin, clone.path, dirs_exist_ok=True)
    nsctl = clone.path / "scripts" / "nsctl"
    assert not knows_pair(nsctl)
    for command, env in ((way("a clone", 2), OFFLINE), (way("a clone", 1), {})):
        done = sh(command.removeprefix("sudo "), clone.path, "", env)
        assert done.returncode == 0, done
        assert knows_pair(nsctl)
        sh(".venv/bin/pip uninstall --yes nsctl-pair", clone.path, "", {})


def test_in_a_venv(tree: Path, plugin: Path) -> None:
    venv = plugin / "venv"
    subprocess.run([sys.executable, "-I", "-m", "venv", str(venv)], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", str(tree)], check=True)
    for command, env in ((way("a venv", 2), OFFLINE), (way("a venv", 1), {})):
        done = sh(command, plugin, f"{venv}/bin", env)
        assert done.returncode == 0, done
        assert knows_pair(venv / "bin" / "nsctl")
        sh("pip uninstall --yes nsctl-pair", plugin, f"{venv}/bin", {})


@needs_pipx
def test_in_the_environment_of_pipx(tree: Path, plugin: Path) -> None:
    place = {"PIPX_HOME": f"{plugin}/pipx", "PIPX_BIN_DIR": f"{plugin}/bin"}
    done = sh(f"pipx install {shlex.quote(str(tree))}", plugin, "", place)
    assert done.returncode == 0, done
    for command, env in ((way("pipx", 2), OFFLINE), (way("pipx", 1), {})):
        done = sh(command, plugin, f"{plugin}/bin", place | env)
        assert done.returncode == 0, done
        assert knows_pair(plugin / "bin" / "nsctl")
        sh("pipx runpip nsctl uninstall --yes nsctl-pair", plugin, "", place)


def test_anywhere_else_pip_finds_no_nsctl_as_the_page_says(plugin: Path) -> None:
    venv = plugin / "venv"
    subprocess.run([sys.executable, "-I", "-m", "venv", str(venv)], check=True)
    done = sh(way("a venv", 2), plugin, f"{venv}/bin", OFFLINE)
    assert done.returncode == 1
    said = "No matching distribution found for nsctl"
    assert said in done.stderr
    assert said in PAGE.read_text()
