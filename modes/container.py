"""Another's network: that of a sandbox, or of any process."""

from __future__ import annotations

from dataclasses import dataclass

from nsctl import Facts, Invalid, Mode, Request, Step, Steps, effects, hookimpl, kit, opt

__all__ = ["MODE", "Options", "steps"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Whose network."""

    target: str = opt(help="the sandbox, or the PID of the process, whose network is shared", metavar="NAME|PID")


def steps(request: Request, facts: Facts) -> Steps:
    """Plan."""
    target: str = request.options.target
    if target.isascii() and target.isdigit():
        yield _process(request.name, target, facts)
        return
    kit.check_name(target, "target")
    if target == request.name:
        raise Invalid(f"'{target}' can't share its own network", hint="give the new sandbox another --name")
    sandbox = facts.sandboxes.get(target)
    if sandbox is None:
        raise Invalid(f"there is no sandbox '{target}'", hint="see what is up: nsctl ls; a process is named by its PID")
    if not sandbox.netns:
        raise Invalid(
            f"'{target}' has the host's network, not one of its own",
            hint=f"use the mode host: nsctl up host --name {request.name}",
        )
    yield kit.join_sandbox(request.name, target)


def _process(name: str, target: str, facts: Facts) -> Step:
    # A leading zero, or more digits than PIDs have (2^22 at most), is no PID that anybody meant.
    process = facts.processes.get(int(target)) if target[0] != "0" and len(target) <= 7 else None  # noqa: PLR2004
    if process is None:
        raise Invalid(f"there is no process {target}", hint="see the PIDs with: ps -e")
    first = facts.processes.get(1)
    if first is not None and first.netns == process.netns:
        raise Invalid(
            f"process {target} has the host's network, not one of its own",
            hint=f"use the mode host: nsctl up host --name {name}",
        )
    # The target goes down only after those who share with it: so it matters whose network it is.
    owner = _owner(process.netns, facts)
    return kit.join_process(name, process) if owner is None else kit.join_sandbox(name, owner)


def _owner(netns: int, facts: Facts) -> str | None:
    """The sandbox that a network namespace was made for."""
    for name, sandbox in facts.sandboxes.items():
        made = facts.steps.get(f"netns/{name}")
        if sandbox.pid is None or made is None or (isinstance(made.effect, effects.NetnsIs) and made.effect.source):
            continue
        init = facts.processes.get(sandbox.pid)
        if init is not None and init.netns == netns:
            return name
    return None


MODE = Mode(
    "container",
    "the network of another sandbox, or of any process",
    Options,
    steps,
    example="nsctl up container --name probe --target web",
)


@hookimpl
def nsctl_modes() -> list[Mode]:
    """The mode."""
    return [MODE]
