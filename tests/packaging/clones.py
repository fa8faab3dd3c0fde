"""Copies of the tree as a clone would have it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_tree(to: Path) -> Path:
    """Copy what git has, or would take: no `.venv`, no caches; links stay links."""
    # The tree may belong to somebody else than the one who tests.
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)
    return to


class Clone:
    """A copy of the tree where others may look too (pytest's own folders are closed to them)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[tuple[int, str, str]] = []  # by the first starts: exit status, stdout, stderr

    def start(
        self,
        *arguments: str,
        before: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        script: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """
        Run scripts/nsctl to its end.

        Args:
            arguments: nsctl's.
            before: What runs the script, such as `strace`.
            env: Variables besides this process's.
            script: Another path to it.
        """
        return subprocess.run(
            [*before, str(script or self.path / "scripts" / "nsctl"), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=os.environ | (env or {}),
        )

    def begin(self, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `scripts/nsctl --version` in a process group of its own, and do not wait for it."""
        return subprocess.Popen(
            [self.path / "scripts" / "nsctl", "--version"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (env or {}),
            start_new_session=True,
        )
