"""Detached processes that belong to a sandbox."""

from __future__ import annotations

from nsctl.engine.model.commands import Kill, RemoveFiles, Spawn
from nsctl.engine.model.effects import ProcessIs
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.names import check_name
from nsctl.engine.model.plan import Step

__all__ = ["sandbox_dir", "spawn", "spawn_paths"]


def sandbox_dir(facts: Facts, sandbox: str) -> str:
    """A sandbox's directory under nsctl's own."""
    return f"{facts.state_dir}/sandboxes/{check_name(sandbox)}"


def spawn_paths(spawn: Spawn) -> tuple[str, ...]:
    """The files that a detached process leaves."""
    return (spawn.pidfile, spawn.log, *(() if spawn.ready is None else (spawn.ready,)))


def spawn(
    facts: Facts,
    sandbox: str,
    what: str,
    argv: tuple[str, ...],
    *,
    why: str,
    netns: str | None = None,
    ready: bool = False,
    after: tuple[str, ...] | None = None,
) -> Step:
    """
    Start a process that stays as long as the sandbox does.

    Its PID, log and `ready` files lie in the sandbox's directory, which the engine makes.

    Args:
        facts: The host.
        sandbox: The sandbox's name.
        what: What it is, for the names of its files: `proxy-8080`.
        argv: The words.
        why: One line for the reader of a dry run.
        netns: The namespace it runs in.
        ready: Whether it writes to `WHAT.ready` in that directory when it is ready; else being alive is enough.
        after: The keys that must be done before; None: all earlier ones.
    """
    directory = sandbox_dir(facts, sandbox)
    check_name(what, "process")
    process = Spawn(
        argv,
        pidfile=f"{directory}/{what}.pid",
        log=f"{directory}/{what}.log",
        netns=netns,
        ready=f"{directory}/{what}.ready" if ready else None,
    )
    return Step(
        key=f"process/{sandbox}/{what}",
        why=why,
        do=process,
        undo=(
            Kill(process.pidfile),
            RemoveFiles(spawn_paths(process)),
        ),
        effect=ProcessIs(process.pidfile),
        after=None if after is None else (f"dir/{directory}", *after),
    )
