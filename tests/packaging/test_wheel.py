"""What is shipped: the linked folders are in the wheel and the sdist as files, and what is installed runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import nsctl
from tests.packaging.clones import ROOT

pytestmark = pytest.mark.slow

BUILT_IN = {"none", "host", "bridge", "container"}


def modules_of(tree: Path) -> set[str]:
    linked = {path for name in ("engine", "modes", "hooks") for path in (tree / name).rglob("*.py")}
    own = (tree / "src" / "nsctl").glob("*.py")
    return {f"nsctl/{path.relative_to(tree)}" for path in linked} | {f"nsctl/{path.name}" for path in own}


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-I", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(out), str(tree)], check=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    venv = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-I", "-m", "pip", "--python", str(venv / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", str(wheel)], check=True)
    return venv / "bin"


def test_the_wheel_holds_every_module_as_a_file_of_its_own(wheel: Path, tree: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entries = {entry.filename: entry.external_attr >> 28 for entry in archive.infolist()}
    regular_file = 0o10
    shipped = {name for name in entries if name.endswith(".py")}
    assert shipped == modules_of(tree)
    assert {"nsctl/engine/__init__.py", "nsctl/modes/bridge.py", "nsctl/hooks/__init__.py"} <= shipped
    assert {entries[name] for name in shipped} == {regular_file}


def test_the_wheel_says_that_it_is_typed_and_ships_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "nsctl/py.typed" in names
    stem = f"nsctl-{nsctl.__version__}"
    assert {name.partition("/")[0] for name in names} == {"nsctl", f"{stem}.dist-info", f"{stem}.data"}
    share = {name.removeprefix(f"{stem}.data/data/share/") for name in names if name.startswith(f"{stem}.data/")}
    assert share == {f"man/man1/{page.name}" for page in (ROOT / "man").iterdir()} | {
        "bash-completion/completions/nsctl",
        "zsh/site-functions/_nsctl",
        "fish/vendor_completions.d/nsctl.fish",
    }


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_finds_the_pages_beside_the_installed_command(installed: Path) -> None:
    env = {"PATH": f"{installed}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
    for words in (["nsctl"], ["nsctl-up-bridge"], ["nsctl", "adopt"]):
        done = subprocess.run(["man", *words], check=True, capture_output=True, text=True, env=env)
        assert done.stdout.startswith("-".join(words).upper())


def test_the_wheel_has_what_holds_a_lab(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "nsctl/engine/testing/holder.sh" in archive.namelist()


def test_the_wheel_has_what_completes_command_lines(wheel: Path, installed: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        scripts = {name for name in archive.namelist() if name.startswith("nsctl/engine/cli/shells/")}
    assert {Path(name).name for name in scripts} == {"nsctl", "_nsctl", "nsctl.fish"}
    done = subprocess.run([installed / "nsctl", "completion", "bash"], check=True, capture_output=True, text=True)
    assert "complete -F _nsctl nsctl" in done.stdout


def test_the_source_distribution_holds_the_linked_folders(tree: Path, tmp_path: Path) -> None:
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-I", "-c", build, str(tmp_path)], check=True, cwd=tree, stdout=subprocess.DEVNULL)
    (built,) = tmp_path.iterdir()
    with tarfile.open(built) as archive:
        members = {"/".join(Path(member.name).parts[1:]): member for member in archive.getmembers()}
    assert {f"src/{name}" for name in modules_of(tree)} <= members.keys()
    assert {"src/nsctl/engine/cli/shells/zsh/_nsctl", "man/nsctl.1"} <= members.keys()
    assert "src/nsctl/engine/testing/holder.sh" in members
    assert not [name for name, member in members.items() if member.issym() or member.islnk()]


def test_the_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run([installed / "nsctl", "--version"], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == f"nsctl {nsctl.__version__}\n"
    assert done.stderr == ""


def test_the_installed_package_runs_as_a_module(installed: Path, tmp_path: Path) -> None:
    python = [str(installed / "python"), "-I", "-m", "nsctl", "--version"]
    done = subprocess.run(python, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == f"nsctl {nsctl.__version__}\n"


def test_every_entry_point_can_be_loaded(installed: Path, tmp_path: Path) -> None:
    load = (
        "from importlib.metadata import entry_points\n"
        "for point in entry_points(group='nsctl'): point.load(); print(point.name)"
    )
    done = subprocess.run(
        [installed / "python", "-I", "-c", load], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert set(done.stdout.split()) >= BUILT_IN


def test_there_is_one_version(tree: Path) -> None:
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]
    assert nsctl.__version__ in (tree / "src" / "nsctl" / "_version.py").read_text()
