"""
What a sandbox sees as /etc/hosts and /etc/resolv.conf, while it runs.

Both are files of its own, mounted over the host's. When the host replaces its file by renaming another one over it, as
sed -i, systemd-resolved and NetworkManager do, the kernel takes such a mount away, and the sandbox sees the host's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from nsctl.engine.executor.context import Context
from nsctl.engine.executor.one_by_one import one_by_one
from nsctl.engine.executor.reading import pid_of
from nsctl.engine.host.facts import RESOLV_CONFS, resolv_conf
from nsctl.engine.host.setns import NETNS_DIR
from nsctl.engine.model.commands import Command
from nsctl.engine.model.effects import FileIs
from nsctl.engine.model.plan import Step
from nsctl.engine.planning import etc
from nsctl.engine.store import SandboxRow, StepRow

__all__ = ["Stale", "put_back", "renewed", "sources", "stale"]

_PUT_BACK = (
    'mount -t tmpfs -o size=1m,mode=0700 nsctl "$0" && cat >"$0/$1" && chmod 0644 "$0/$1"'
    ' && mount --bind "$0/$1" "/etc/$1" && mount -o remount,ro,mode=000 "$0"'
)
"""Inside, another tmpfs over the masked names: a file of its own, out of the host's reach."""
_LINKS = 8


class Stale(NamedTuple):
    """
    A file that a running sandbox does not see as it should.

    Args:
        row: The step that made it.
        name: `hosts` or `resolv.conf`.
        content: What it should see.
        found: What is wrong, in words.
        pid: The sandbox's init, where the mount is missing; None where only the content is another.
    """

    row: StepRow
    name: str
    content: str
    found: str
    pid: int | None


def stale(ctx: Context, sandboxes: dict[str, SandboxRow]) -> Iterator[Stale]:
    """The files of running sandboxes that are not seen inside, or whose content the host has changed since."""
    hosts = resolv_conf()
    for name, row in sandboxes.items():
        pid = pid_of(ctx.journal, row) if "mount" in row.isolate else None
        if row.state != "up" or pid is None:
            continue
        place = f"{ctx.journal.state_dir}/sandboxes/{name}"
        now = etc.resolv_conf(hosts, row.settings)
        for file in ("hosts", "resolv.conf"):
            step = ctx.journal.step(f"file/{place}/{file}")
            if step is None or not isinstance(step.step.effect, FileIs) or os.path.exists(f"/etc/netns/{name}/{file}"):
                continue
            content = step.step.effect.content
            if file == "resolv.conf" and now is not None and now != content:
                yield Stale(step, file, now, "the host's name servers have changed", None)
            elif (seen := _inside(pid, f"/etc/{file}")) is not None and seen != content:
                yield Stale(step, file, content, f"inside, /etc/{file} is another file", pid)


def sources() -> set[str]:
    """The host's files that sandboxes' own are made from, and the symbolic links that lead there."""
    found = set()
    for source in ("/etc/hosts", *RESOLV_CONFS):
        path = source
        for _ in range(_LINKS):
            found.add(path)
            if not os.path.islink(path):
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return found


def _inside(pid: int, path: str) -> str | None:
    # Symbolic links lead on from the sandbox's root, not from ours; None where it can't be read, or is not there.
    root = f"/proc/{pid}/root"
    with suppress(OSError):
        for _ in range(_LINKS):
            if not os.path.islink(root + path):
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(root + path)))
        with open(root + path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    return None


def renewed(one: Stale) -> Step:
    """The step as `repair` does it: in place, so that open and mounted files change too; or mounted again."""
    step = one.row.step
    if one.pid is None:
        path = step.key.removeprefix("file/")
        do = Command(("sh", "-c", 'cat >"$0"', path), stdin=one.content)
        return Step(step.key, f"the host's name servers, for /etc/{one.name} inside", do, no_undo="as before")
    argv = ("nsenter", "-t", str(one.pid), "-m", "--", "sh", "-c", _PUT_BACK, NETNS_DIR, one.name)
    return Step(step.key, f"its own /etc/{one.name} again", Command(argv, stdin=one.content), no_undo="as before")


def put_back(ctx: Context, todo: list[Stale], operation: str = "repair") -> list[Step]:
    """
    Have running sandboxes see their files again, as they should be.

    Of one whose content is new, the journal is told afterwards: killed in between, it is found and written once more,
    and it goes with its directory, whatever is in it.

    Raises:
        StepFailed: A command failed.
    """
    steps = [renewed(one) for one in todo]
    for number in one_by_one(ctx, [(step.key, step) for step in steps], operation):
        if (one := todo[number]).pid is None:
            ctx.journal.renew(one.row, one.content)
    return steps
