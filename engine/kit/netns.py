"""Network namespaces: made, or joined."""

from __future__ import annotations

from nsctl.engine.model.commands import Command, Ip, KillInNetns
from nsctl.engine.model.effects import NetnsIs
from nsctl.engine.model.facts import Process
from nsctl.engine.model.names import check_name
from nsctl.engine.model.plan import Step

__all__ = ["ATTACH", "join_process", "join_sandbox", "netns"]

ATTACH = 'exec ip netns attach "$0" $$'
"""A script that gives the network namespace that it runs in one more name."""


def netns(name: str) -> Step:
    """
    Make a network namespace, in it only `lo`, down.

    Taking it away ends what still runs in it, since a namespace with a process in it outlives its name.
    """
    check_name(name)
    return Step(
        key=f"netns/{name}",
        why=f"make the network namespace {name}",
        do=Ip("netns", "add", (name,)),
        undo=(
            KillInNetns(name),
            Ip("netns", "del", (name,)),
        ),
        effect=NetnsIs(name),
        after=(),
    )


def join_sandbox(name: str, target: str) -> Step:
    """
    Give a sandbox's network namespace a second name.

    Args:
        name: The second name.
        target: The sandbox.
    """
    check_name(name)
    check_name(target, "target")
    return Step(
        key=f"netns/{name}",
        why=f"share the network namespace of {target} as {name}",
        # The shell is in the target's namespace and becomes ip: so no PID is ever resolved.
        do=Command(("sh", "-c", ATTACH, name), netns=target),
        undo=(Ip("netns", "del", (name,)),),
        effect=NetnsIs(name, source=target),
        after=(f"netns/{target}",),
    )


def join_process(name: str, process: Process) -> Step:
    """
    Give the network namespace of a process a name.

    The effect pins the very namespace seen while planning: a PID that has become another process's is found out.

    Args:
        name: The name.
        process: The process.
    """
    check_name(name)
    return Step(
        key=f"netns/{name}",
        why=f"share the network namespace of process {process.pid} as {name}",
        do=Ip("netns", "attach", (name, str(process.pid))),
        undo=(Ip("netns", "del", (name,)),),
        effect=NetnsIs(name, inode=process.netns),
        after=(),
    )
