"""The result of a check, and the input of all checks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from nsctl.engine.model.facts import Facts
from nsctl.engine.reach.model import Host

__all__ = ["FAIL", "OK", "WARN", "Finding", "Scene", "text"]

OK, WARN, FAIL = "ok", "warn", "fail"


class Finding(NamedTuple):
    """
    One line of the report.

    Args:
        status: `ok`; `warn` for what may be in the way; `fail` for what is.
        what: A clause for people.
        hint: What to do about it.
    """

    status: str
    what: str
    hint: str = ""


class Scene(NamedTuple):
    """
    What checks look at.

    Args:
        run: Runs a read-only command; its exit status and output.
        root: Whether it is root who looks.
        facts: What modes know of the host.
        host: What decides where packets go.
        state_dir: nsctl's directory under /run.
        audit_log: The audit trail.
        trail: What is wrong with the trail's directory, and what to do about it; nothing, if all is well.
        bridge: What would become of a bridge network that is made now.
        resident: How the resident process is, if there is one.
    """

    run: Callable[[tuple[str, ...]], tuple[int, str]]
    root: bool
    facts: Facts
    host: Host
    state_dir: str
    audit_log: str
    trail: Callable[[], tuple[str, str] | None]
    bridge: Callable[[], Finding]
    resident: Callable[[], Finding]


def text(path: str) -> str | None:
    """A small file's text; None where it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read(1 << 20).strip()
    except OSError:
        return None


def exists(path: str) -> bool:
    """Whether there is anything of that name."""
    return os.path.lexists(path)
