"""
The sandbox: what the engine adds to a mode's steps.

That is the sandbox's directory and files, and last its init: one process that makes the mount, ipc, pid and uts
namespaces, sets them up, bounds what a process in there may do, and then idles, or runs the workload.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

from msgspec.structs import replace

from nsctl.engine.kit.files import directory, file
from nsctl.engine.kit.link import peer_key
from nsctl.engine.kit.process import sandbox_dir, spawn, spawn_paths
from nsctl.engine.model.commands import EXECUTE, KillJoined, Spawn
from nsctl.engine.model.effects import AddrOn, FileIs, LinkSet, LinkUp, NetnsIs, SysctlIs
from nsctl.engine.model.errors import Conflict, Invalid
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.names import check_name, display
from nsctl.engine.model.options import to_plain
from nsctl.engine.model.plan import NAMESPACES, Plan, Step
from nsctl.engine.planning.attachments import attachment_of
from nsctl.engine.planning.enter import bounded
from nsctl.engine.planning.etc import hosts, resolv_conf
from nsctl.engine.planning.init import SCRIPT, TABLE, VARIABLES, script
from nsctl.engine.planning.settings import check, own_sysctls
from nsctl.engine.planning.variables import taken, text_of

__all__ = ["assemble", "insides", "steps_of"]

_STEPS_MAX = 10_000
_ITEMS_MAX = 100_000
"""What a mode may yield, with steps that are there already and nothing at all."""
_IDLE = "echo ready >&3; exec 3>&-; while :; do sleep 2147483647 & wait; done"
"""The init of a PID namespace: it reaps, and sleeps in a child, since a shell that reads would not reap."""
_KEY_OF_LINK = 3
"""Slashes, at most, in the key of a sysctl that is not of a link: `net/ipv4/conf/eth0/forwarding` has four."""
_HOLD = ("sleep", "2147483647")
"""Without a PID namespace there is nothing to reap, and a child would survive."""
# By then it is the user's: where that may not go, nobody is taken. It exports what it was before.
_THERE = 'cd -- "$0" || exit 126; unset OLDPWD; '
_TELL = "echo ready >&3; exec 3>&-; "
# In the foreground: in the background it would ignore INT and QUIT. While it waits, the shell reaps orphans too.
_WORK = 'sh -c "$@"; exit $?'
# The shell is found before the variables are there, which may name another PATH, or another IFS.
_SHELL = 'set -- "$(command -v sh)" -c "$@"; '
_TOLD = taken(VARIABLES)
_WORK_TOLD = '"$@"; exit "$?"'
# Told last: had the words in front of it failed, it would not be.
_READY = ("sh", "-c", 'echo ready >&3; exec "$@" 3>&-', "init")
_IDLING = ("sh", "-c", _IDLE)


def insides(workdir: str, *, told: bool) -> tuple[tuple[str, ...], ...]:
    """
    What an init becomes; the first two go on with the workload's words, and begin in its directory.

    Args:
        workdir: The directory.
        told: The workload has its variables from the descriptor `VARIABLES`.
    """
    work = f"{_THERE}{_SHELL}{_TOLD}{_TELL}{_WORK_TOLD}" if told else f"{_THERE}{_TELL}{_WORK}"
    become = f"{_THERE}{_TOLD if told else ''}{_TELL}{EXECUTE}"
    return (
        ("sh", "-c", work, workdir, EXECUTE, "init"),
        ("sh", "-c", become, workdir),
        _IDLING,
        (*_READY, *_HOLD),
    )


def steps_of(mode: Mode, request: Request, facts: Facts) -> list[Step]:
    """
    A mode's steps, each once.

    Raises:
        Refused: The mode says no, or plans two different steps of one key, or too many.
    """
    return list(_merged(_flat(mode.steps(request, facts), mode, count(1)), mode))


def assemble(mode: Mode, request: Request, facts: Facts, steps: Sequence[Step]) -> Plan:
    """
    The whole plan of a sandbox: the mode's steps and the engine's own.

    Args:
        mode: The mode.
        request: What the user asked for.
        facts: The host.
        steps: The mode's steps.

    Raises:
        Refused: They and `--isolate` don't fit together.
    """
    name = check_name(request.name)
    _check_namespaces(mode, request, steps, facts)
    check(mode, request, steps, facts)
    attachment = attachment_of(name, mode.name, to_plain(request.options), steps)
    steps = [*steps, *own_sysctls(mode, request, facts, steps)]
    steps = [*steps, *_own(request, facts, steps)]
    return Plan(
        mode=mode.name,
        name=name,
        options=to_plain(request.options),
        steps=tuple(_resolved(steps, facts)),
        isolate=tuple(kind for kind in NAMESPACES if kind in request.isolate),
        command=request.command,
        settings=request.settings,
        attachments=() if attachment is None else (attachment,),
    )


def _flat(given: Iterable[Any], mode: Mode, counted: Iterator[int]) -> Iterator[Step]:
    for item in given:
        # Who yields nothing, or the same step, for ever makes no plan that would ever be too long.
        if next(counted) > _ITEMS_MAX:
            raise Invalid(f"mode '{mode.name}' does not stop: it has yielded {_ITEMS_MAX} items")
        if isinstance(item, Step):
            yield item
        elif item is not None:
            yield from _flat(item, mode, counted)


def _merged(steps: Iterable[Step], mode: Mode) -> Iterator[Step]:
    # Two of kit's functions may need the same chain: the first one makes it.
    seen: dict[str, Step] = {}
    for step in steps:
        earlier = seen.get(step.key)
        if earlier is None:
            seen[step.key] = step
            yield step
        elif not earlier.same_work(step):
            raise Invalid(
                f"mode '{mode.name}' plans two different steps of one key: {display(step.key)}",
                hint="this is a fault of the mode",
            )
        if len(seen) > _STEPS_MAX:
            raise Invalid(f"mode '{mode.name}' plans more than {_STEPS_MAX} steps for one sandbox")


def _check_namespaces(mode: Mode, request: Request, steps: Iterable[Step], facts: Facts) -> None:
    name = request.name
    unknown = [kind for kind in request.isolate if kind not in NAMESPACES]
    if unknown:
        raise Invalid(f"'{display(unknown[0])}' is not a kind of namespace", hint=f"there are {', '.join(NAMESPACES)}")
    has_net = any(isinstance(s.effect, NetnsIs) and s.effect.name == name for s in steps)
    if has_net and "net" not in request.isolate:
        raise Invalid(
            f"mode '{mode.name}' needs a network namespace", hint="add net to --isolate, or use the mode host"
        )
    if not has_net and "net" in request.isolate:
        raise Invalid(
            f"mode '{mode.name}' has no network namespace", hint="leave net out of --isolate, or use the mode none"
        )
    if has_net and name in facts.netns and name not in facts.sandboxes:
        raise Conflict(f"there is a network namespace '{name}' already, and not nsctl's", hint="choose another --name")


def _own(request: Request, facts: Facts, steps: Sequence[Step]) -> list[Step]:
    """The sandbox's directory, files and init."""
    name, isolate = request.name, request.isolate
    processes = [s.do for s in steps if isinstance(s.do, Spawn)]
    if not (set(isolate) - {"net"} or request.command or processes):
        return []
    place = sandbox_dir(facts, name)
    files: list[Step] = []
    if "mount" in isolate:
        known = hosts(name, isolate, request.settings, facts, steps)
        files.append(file(f"{place}/hosts", known, why=f"/etc/hosts inside: {name} and its address"))
        servers = resolv_conf(facts.resolv_conf, request.settings)
        if servers is not None:
            files.append(file(f"{place}/resolv.conf", servers, why="/etc/resolv.conf inside: the name servers"))
    variables = request.settings.get("env", {})
    if variables and request.command:
        files.append(file(f"{place}/env", text_of(variables), mode="0600", why="the workload's environment"))
    if set(isolate) - {"net"} or request.command:
        words = script(request, facts)
        files.append(
            file(
                f"{place}/{SCRIPT}",
                words,
                mode="0500",
                why=f"the script of the init of {name}",
            )
        )
    init = _init(request, facts, [*steps, *files])
    left = [p for s in processes for p in spawn_paths(s)]
    if init is not None and isinstance(init.do, Spawn):
        left += spawn_paths(init.do)
    left += [s.effect.path for s in files if isinstance(s.effect, FileIs)]
    left += [f"{place}/{TABLE}"] if "mount" in isolate else []
    return [
        directory(f"{facts.state_dir}/sandboxes", why="directory for the sandboxes' files"),
        directory(place, why=f"directory for the files of {name}", remove=tuple(left)),
        *files,
        *([init] if init is not None else []),
    ]


def _init(request: Request, facts: Facts, earlier: Sequence[Step]) -> Step | None:
    name, isolate, command = request.name, request.isolate, request.command
    if not set(isolate) - {"net"} and not command:
        return None
    flags = ("--mount", *(f"--{kind}" for kind in ("uts", "ipc", "pid") if kind in isolate))
    netns = name if "net" in isolate else None
    working, becoming, idling, holding = insides(
        request.settings.get("workdir", "/"), told=bool(command and request.settings.get("env"))
    )
    if "pid" in isolate:
        inside = (*working, *command) if command else idling
    else:
        inside = (*becoming, *command) if command else holding
    # Who idles is nsctl's own, and nobody on the host but root may end it.
    settings = request.settings if command else {k: v for k, v in request.settings.items() if k != "user"}
    argv = ("sh", f"{sandbox_dir(facts, name)}/{SCRIPT}", *bounded(settings), *inside)
    forks = ("--fork", "--kill-child") if "pid" in isolate else ()
    argv = ("unshare", *flags, *forks, "--propagation", "private" if "mount" in isolate else "slave", *argv)
    # An idle init needs its namespace and its files; a workload begins when all is in place.
    needed = [s.key for s in earlier if command or s.key.startswith(("netns/", "file/"))]
    step = spawn(
        facts,
        name,
        "init",
        argv,
        why=f"start {display(shlex.join(command[:3]))} in {name}"
        if command
        else f"start the init that holds the namespaces of {name}",
        netns=netns,
        ready=True,
        after=tuple(needed),
    )
    do, undo = step.do, step.undo
    if command and isinstance(do, Spawn):
        do = replace(do, program=command[0])
        if "pid" not in isolate:
            undo = (KillJoined(do.pidfile), *undo)
    return replace(step, key=f"init/{name}", do=do, undo=undo)


def _resolved(steps: Sequence[Step], facts: Facts) -> Iterator[Step]:
    """The steps, waiting for and going with what the plan, or an earlier one, really makes."""
    keys = {s.key for s in steps}
    born = {key: s.key for s in steps if (key := peer_key(s)) is not None}
    joined = {s.key for s in steps if isinstance(s.effect, NetnsIs) and s.effect.is_joined}
    settings: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        after, removed_with = step.after, step.removed_with
        if after is not None:
            before = _set_before(step, settings)
            # Most wait for what the plan makes by that very key: then there is nothing to resolve.
            if before or not (keys.issuperset(after) and born.keys().isdisjoint(after) and step.key not in after):
                found = [born.get(k, k) for k in (*after, *before)]
                after = tuple(dict.fromkeys(k for k in found if k != step.key and (k in keys or k in facts.steps)))
        # What is put into a namespace that is only shared does not go with its name.
        if removed_with is not None and (
            removed_with in joined or not (removed_with in keys or removed_with in facts.steps)
        ):
            removed_with = None if step.undo else removed_with
        same = after == step.after and removed_with == step.removed_with
        yield step if same else replace(step, after=after, removed_with=removed_with)


def _set_before(step: Step, settings: dict[tuple[str, str], list[str]]) -> Sequence[str]:
    # Inside, a link comes up after what the plan sets on it before, which it tells its neighbours as it does.
    effect = step.effect
    if isinstance(effect, LinkUp):
        return settings.get((effect.netns, effect.name), ()) if effect.netns else ()
    if isinstance(effect, SysctlIs):
        link = effect.key.split("/")[3] if effect.key.count("/") > _KEY_OF_LINK else ""
    elif isinstance(effect, LinkSet):
        link = effect.name
    elif isinstance(effect, AddrOn):
        link = effect.link
    else:
        return ()
    if effect.netns:
        settings.setdefault((effect.netns, link), []).append(step.key)
    return ()
