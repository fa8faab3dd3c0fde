"""On what the numbers were measured."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

__all__ = ["describe"]


def describe() -> dict[str, str]:
    """Date, kernel, processor, and the versions of what takes part."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load at the beginning": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "iptables": _said("iptables", "-V"),
        "iproute2": _said("ip", "-V"),
        "commit": _said("git", "-C", str(Path(__file__).parents[2]), "rev-parse", "--short", "HEAD"),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip()
