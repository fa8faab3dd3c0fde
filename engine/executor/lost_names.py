"""
Names of network namespaces that were lost, and put back without touching what runs in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nsctl.engine.effect import NetnsIs, State
from nsctl.engine.executor.context import Context
from nsctl.engine.executor.one_by_one import one_by_one
from nsctl.engine.namespaces import NETNS_DIR
from nsctl.engine.plan import Command, Step
from nsctl.engine.probe.observe import Seen
from nsctl.engine.store import StepRow

__all__ = ["give_names", "name_again"]


def name_again(ctx: Context, row: StepRow, sight: Seen) -> Step | None:
    """
    The step that gives a namespace of nsctl's its name back; None where it has it, or is gone.

    The namespace is found by a process in it, or by another name that it has (of a sandbox that shares it).
    """
    effect, mark = row.step.effect, row.mark or {}
    if not isinstance(effect, NetnsIs) or "inode" not in mark:
        return None
    file_left = sight.state is State.OURS and bool(sight.drift)  # its mount is gone, the file it was mounted on is not
    if sight.state is not State.ABSENT and not file_left:
        return None
    path, source = f"{NETNS_DIR}/{effect.name}", ""
    pid = ctx.kernel.someone_in_inode(mark["inode"], mark.get("cookie"))
    if pid is not None:
        source = f"/proc/{pid}/ns/net"
    elif (other := _other_name(ctx, mark)) is not None:
        source = f"{NETNS_DIR}/{other}"
    if not source:
        return None
    why = f"give the network namespace of {effect.name} its name back"
    if pid is not None and not file_left:
        return replace(row.step, why=why, do=Command(("ip", "netns", "attach", effect.name, str(pid))), after=())
    bind = "mount --bind" if file_left else 'touch "$1" && mount --bind'
    do = Command(("sh", "-c", f'{bind} "$0" "$1"', source, path))
    return replace(row.step, why=why, do=do, after=())


def _other_name(ctx: Context, mark: dict[str, int]) -> str | None:
    for name in sorted(ctx.kernel.netns_names()):
        if ctx.kernel.netns_inode(name) == mark["inode"]:
            cookie = ctx.kernel.netns_cookie(name)
            if cookie is None or cookie == mark.get("cookie", cookie):
                return name
    return None


def give_names(ctx: Context, steps: Sequence[Step], operation: str = "repair") -> None:
    """
    Carry these steps out; the journal stays as it is, for the namespaces are the very ones that it knows.

    Raises:
        StepFailed: One failed.
    """
    for _ in one_by_one(ctx, [(step.why, step) for step in steps], operation):
        pass
    ctx.kernel.forget()
