"""Names of network namespaces that were lost, and put back without touching what runs in them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from nsctl.engine.executor.context import Context
from nsctl.engine.executor.one_by_one import one_by_one
from nsctl.engine.host.setns import NETNS_DIR
from nsctl.engine.model.commands import Command, Ip
from nsctl.engine.model.effects import NetnsIs, State
from nsctl.engine.model.observation import Observation
from nsctl.engine.model.plan import Step
from nsctl.engine.store import StepRow

__all__ = ["give_names", "name_again"]


def name_again(ctx: Context, row: StepRow, observed: Observation) -> Step | None:
    """
    The step that gives a namespace of nsctl's its name back; None where it has it, or is gone.

    The namespace is found by a process in it, or by another name that it has (of a sandbox that shares it).
    """
    effect, identity = row.step.effect, row.identity or {}
    if not isinstance(effect, NetnsIs) or "inode" not in identity:
        return None
    file_left = observed.state is State.OURS and bool(
        observed.drift
    )  # its mount is gone, the file it was mounted on is not
    if observed.state is not State.ABSENT and not file_left:
        return None
    path, source = f"{NETNS_DIR}/{effect.name}", ""
    pid = ctx.kernel.someone_in_inode(identity["inode"], identity.get("cookie"))
    if pid is not None:
        source = f"/proc/{pid}/ns/net"
    elif (other := _other_name(ctx, identity)) is not None:
        source = f"{NETNS_DIR}/{other}"
    if not source:
        return None
    why = f"give the network namespace of {effect.name} its name back"
    if pid is not None and not file_left:
        return replace(row.step, why=why, do=Ip("netns", "attach", (effect.name, str(pid))), after=())
    bind = "mount --bind" if file_left else 'touch "$1" && mount --bind'
    do = Command(("sh", "-c", f'{bind} "$0" "$1"', source, path))
    return replace(row.step, why=why, do=do, after=())


def _other_name(ctx: Context, identity: dict[str, int]) -> str | None:
    for name in sorted(ctx.kernel.netns_names()):
        if ctx.kernel.netns_inode(name) == identity["inode"]:
            cookie = ctx.kernel.netns_cookie(name)
            if cookie is None or cookie == identity.get("cookie", cookie):
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
