"""An environment of its own with nsctl installed from a wheel, and other people's plugins beside it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer

from tests.lab import ENVIRONMENT, Lab
from tests.packaging.clones import copy_tree

PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "1.0"

[project.entry-points.nsctl]
{entry} = "{module}"

[tool.setuptools]
py-modules = ["{module}"]
"""


class Environment:
    """
    A fresh virtual environment; the dependencies are those of the interpreter that runs the tests.

    Args:
        place: Where to make it.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        venv = place / "venv"
        _run(sys.executable, "-I", "-m", "venv", "--without-pip", str(venv))
        self.python = venv / "bin" / "python"
        self.packages = next((venv / "lib").glob("python*")) / "site-packages"
        # Behind its own packages, and without those that are linked into a tree: nsctl can only be the installed one.
        (self.packages / "dependencies.pth").write_text(f"{Path(typer.__file__).parents[1]}\n", encoding="utf-8")
        self.install(copy_tree(place / "tree"))

    def install(self, project: Path) -> None:
        """What an author types: pip install DIRECTORY."""
        self._pip("install", "--no-build-isolation", "--no-deps", "--no-index", str(project))

    def package(self, name: str, module: str, source: str, entry: str) -> Path:
        """A project of an author's: one file and an entry point."""
        project = self.place / name
        project.mkdir()
        (project / "pyproject.toml").write_text(PROJECT.format(name=name, module=module, entry=entry), encoding="utf-8")
        (project / f"{module}.py").write_text(source, encoding="utf-8")
        return project

    def uninstall(self, name: str) -> None:
        self._pip("uninstall", "--yes", name)

    @contextlib.contextmanager
    def plugin(self, name: str, source: str) -> Iterator[None]:
        """A plugin that is installed until the block ends, the quick way: as pip would leave it."""
        module = self.packages / f"{name}_plugin.py"
        metadata = self.packages / f"{name}-1.0.dist-info"
        module.write_text(source, encoding="utf-8")
        metadata.mkdir()
        (metadata / "entry_points.txt").write_text(f"[nsctl]\n{name} = {name}_plugin\n", encoding="utf-8")
        try:
            yield
        finally:
            module.unlink()
            shutil.rmtree(metadata)

    def nsctl(self, lab: Lab, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The installed command, in a lab."""
        # A source that changes within a second would be taken for the one that was compiled.
        given = ENVIRONMENT | {"PYTHONDONTWRITEBYTECODE": "1"} | dict(env or {})
        return lab.run([str(self.python), "-I", "-B", "-X", "nsctl=nsctl", "-m", "nsctl", *args], env=given)

    def _pip(self, *args: str) -> None:
        _run(
            sys.executable, "-I", "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", "-q", *args
        )


def _run(*argv: str) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {done.stdout}{done.stderr[-2000:]}")
