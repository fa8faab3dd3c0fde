"""
Others' software, for --install: Debian's packages, unpacked beside the machine's own.

They are not installed: docker's would start a daemon that changes the machine's network. Labs see them as if they were.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.benchmark.bench import say

__all__ = ["PACKAGES", "fetch", "unpacked"]

_ENGINES = ("podman", "conmon", "crun", "docker.io", "containerd", "runc")
PACKAGES = ("containernetworking-plugins", "netavark", "bubblewrap", *_ENGINES)
_PLACE = Path(sys.prefix) / "benchmark"


def unpacked() -> Path | None:
    """Where packages are that were fetched; None if none were."""
    root = _PLACE / "root"
    return root if root.is_dir() else None


def fetch() -> None:
    """Fetch and unpack the packages that are not installed, and what they need."""
    archives, root = _PLACE / "archives", _PLACE / "root"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    root.mkdir(exist_ok=True)
    for package in PACKAGES:  # one by one: one that a release lacks takes no other with it
        say(f"fetching {package}")
        options = ["-qq", "-y", "--no-install-recommends", "--download-only", f"-oDir::Cache::archives={archives}"]
        done = subprocess.run(["apt-get", "install", *options, package], check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            say(f"could not fetch {package}; perhaps after: apt-get update")
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True, stdin=subprocess.DEVNULL)
    _merge(root)


def _merge(root: Path) -> None:
    """Packages of older releases bring /lib, /bin and /sbin, which are links to /usr/lib and so on."""
    for name in ("bin", "sbin", "lib"):
        if (root / name).is_dir():
            (root / "usr" / name).mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", f"{root / name}/.", f"{root / 'usr' / name}/"], check=True)
            subprocess.run(["rm", "-r", str(root / name)], check=True)
