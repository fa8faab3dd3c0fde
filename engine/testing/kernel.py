"""
Fail every step of a mode in turn, on the real kernel: after each the host must be as before.

The host is a laboratory: a process with network, mount, PID, UTS and IPC namespaces of its own, an empty /run, and a
default route by `uplink0` that leads nowhere.
Nothing that happens in it reaches the machine, and it vanishes with the process.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from nsctl.engine.executor import Session
from nsctl.engine.model.errors import NsctlError, StepFailed
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.plan import Plan, Spawn, Step
from nsctl.engine.planning.planner import plan

__all__ = ["Failure", "fail_every_step", "in_lab"]

T = TypeVar("T")

STATE_DIR = Path("/run/nsctl")
_SETTLE = 5.0
"""Seconds that the kernel gets to finish what it does in the background."""
_HANG = 0.5
"""Seconds after which a process that never gets ready is given up."""
_LAB = """
mount -t proc proc /proc && mount -t tmpfs tmpfs /run || exit
for directory in /var/log /etc/netns; do
    [ ! -d $directory ] || mount -t tmpfs tmpfs $directory || exit
done
ip link set lo up &&
    ip link add uplink0 type veth peer name world0 &&
    ip link set uplink0 addrgenmode none up && ip link set world0 addrgenmode none up &&
    ip addr add 203.0.113.2/24 dev uplink0 && ip route add default via 203.0.113.1 dev uplink0 || exit
"$@"
exit $?  # the shell stays, as the init that reaps orphans
"""
_MAIN = "import pickle, sys; i = sys.stdin.buffer; sys.path[:] = pickle.load(i); pickle.load(i)(pickle.load(i))"


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A try after which the host was not as before, or nsctl did not fail as it should.

    Args:
        number: The step's number; 0 for a whole up and down.
        key: The step's key.
        how: How it was made to fail.
        found: What was wrong, line by line.
    """

    number: int
    key: str
    how: str
    found: tuple[str, ...]

    def __str__(self) -> str:
        return "\n  ".join((f"step {self.number} ({self.key}), {self.how}:", *self.found))


def fail_every_step(
    mode: Mode,
    options: Any,
    *,
    name: str = "web",
    isolate: Sequence[str] | None = None,
    command: Sequence[str] = (),
    prepare: Sequence[Sequence[str]] = (),
    beside: Sequence[tuple[Mode, str, Any]] = (),
    fuse: bool = True,
) -> int:
    """
    Make each step of a mode's plan fail, before and after it has acted, and compare the host with what it was.

    Args:
        mode: The mode; it must be importable by name, as its options must be.
        options: An instance of the mode's options.
        name: The sandbox's name.
        isolate: The kinds of namespaces; the mode's own where not given.
        command: The workload.
        prepare: Commands that make of a bare laboratory the host that the mode needs.
        beside: Sandboxes that are up already: mode, name, options.
        fuse: Whether steps are carried out in batches.

    Returns:
        How many tries there were.

    Raises:
        AssertionError: After some of them the host was not as before.
        PermissionError: The caller is not root.
    """
    request = Request(name, options, mode.isolate if isolate is None else tuple(isolate), tuple(command))
    tries, failures = in_lab(_sweep, (mode, request, [tuple(c) for c in prepare], list(beside), fuse))
    if failures:
        raise AssertionError("\n".join(str(f) for f in failures))
    return tries


def in_lab(function: Callable[[Any], T], argument: Any) -> T:
    """
    Call a function in a laboratory of its own; all that goes in and out is pickled.

    Raises:
        PermissionError: The caller is not root.
        RuntimeError: It raised; the message has its traceback.
    """
    if os.geteuid() != 0:
        raise PermissionError("a laboratory needs root")
    flags = ("--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private")
    done = subprocess.run(
        ["unshare", *flags, "sh", "-c", _LAB, "lab", sys.executable, "-I", "-c", _MAIN],  # noqa: S607 - the machine's own
        input=pickle.dumps(sys.path) + pickle.dumps(_answer) + pickle.dumps((function, argument)),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    answer: T = pickle.loads(done.stdout)  # noqa: S301 - of our own child
    return answer


def _answer(task: tuple[Callable[[Any], object], object]) -> None:
    function, argument = task
    sys.stdout.buffer.write(pickle.dumps(function(argument)))


def _sweep(
    task: tuple[Mode, Request, list[tuple[str, ...]], list[tuple[Mode, str, Any]], bool],
) -> tuple[int, list[Failure]]:
    mode, request, prepare, beside, fuse = task
    for words in prepare:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    for other, name, options in beside:
        with _session(fuse=fuse).locked() as session:
            session.up([plan(other, Request(name, options, other.isolate), session.facts())])
    with _session(fuse=fuse).locked() as session:
        made = plan(mode, request, session.facts())
        shared = frozenset(session.facts().steps)
    # What the kernel makes at first use (tables, modules' sysctls) counts as there before.
    if wrong := _up_and_down(made, fuse=fuse):
        return 1, [Failure(0, made.name, "up and down", tuple(wrong))]
    before = _settled()
    failures: list[Failure] = []
    tries = 1
    for number, step in enumerate(made.steps, 1):
        if step.key in shared:
            continue
        for how, bad, timeout in _bad(step):
            tries += 1
            steps = (*made.steps[: number - 1], bad, *made.steps[number:])
            found = _try(replace(made, steps=steps), timeout, before, fuse=fuse)
            if found:
                failures.append(Failure(number, step.key, how, tuple(found)))
                before = _settled()
    tries += 1
    if found := [*_up_and_down(made, fuse=fuse), *_differences(before)]:
        failures.append(Failure(0, made.name, "up and down", tuple(found)))
    return tries, failures


def _up_and_down(made: Plan, *, fuse: bool) -> list[str]:
    try:
        with _session(fuse=fuse).locked() as session:
            session.up([made])
            session.down([made.name])
    except NsctlError as e:
        return [str(e)]
    return []


def _session(timeout: float = 30.0, *, fuse: bool) -> Session:
    return Session(STATE_DIR, lambda _: None, step_timeout=timeout, fuse=fuse)


def _bad(step: Step) -> Iterator[tuple[str, Step, float]]:
    do = step.do
    if isinstance(do, Spawn):
        yield "exits at once", replace(step, do=replace(do, argv=("false",))), 30.0
        if do.ready is not None:
            yield "never gets ready", replace(step, do=replace(do, argv=("sleep", "1000"))), _HANG
        return
    yield "fails before it acts", replace(step, do=replace(do, argv=("false",))), 30.0
    wrapped = ("sh", "-c", '"$@"; exit 1', "sh", *do.argv)
    yield "fails after it has acted", replace(step, do=replace(do, argv=wrapped)), 30.0


def _try(bad: Plan, timeout: float, before: dict[str, set[str]], *, fuse: bool) -> list[str]:
    found: list[str] = []
    try:
        with _session(timeout, fuse=fuse).locked() as session:
            session.up([bad])
        found.append("it did not fail")
        with _session(fuse=fuse).locked() as session:
            session.down([bad.name])
    except StepFailed:
        pass
    except Exception as e:  # noqa: BLE001 - whatever it is, it is the finding
        found.append(f"{type(e).__name__}: {e}")
    return found + _differences(before)


def _differences(before: dict[str, set[str]]) -> list[str]:
    deadline = time.monotonic() + _SETTLE
    while True:
        now = _look()
        found = [
            f"{sign} {kind}: {line}"
            for kind, was in before.items()
            for sign, lines in (("-", was - now[kind]), ("+", now[kind] - was))
            for line in sorted(lines)
        ]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def _settled() -> dict[str, set[str]]:
    last = _look()
    deadline = time.monotonic() + _SETTLE
    while time.monotonic() < deadline:
        time.sleep(0.05)
        now = _look()
        if now == last:
            break
        last = now
    return last


def _look() -> dict[str, set[str]]:
    """The whole host, as far as a mode could change it: for each kind of thing, the lines that describe it."""
    found = {
        "link": _json("-d", "link"),
        "address": _json("addr"),
        "route": _json("route", "show", "table", "all"),
        "rule": _json("rule"),
        "namespace": _names("/run/netns"),
        "state": _names(f"{STATE_DIR}/sandboxes"),
        "mount": {line.split(" ", 3)[3] for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "process": {text for pid in os.listdir("/proc") if pid.isdigit() and (text := _process(pid))},
        "sysctl": set(_sysctls()),
    }
    for tool in ("iptables-save", "ip6tables-save"):
        text = _output(tool)
        found[tool] = {line for line in text.splitlines() if line[:1] == "-" or line.startswith(":NSCTL")}
    return found


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def _json(*words: str) -> set[str]:
    def still(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: still(v) for k, v in value.items() if not k.endswith(("_timer", "life_time", "operstate"))}
        return [still(v) for v in value] if isinstance(value, list) else value

    return {json.dumps(still(item), sort_keys=True) for item in json.loads(_output("ip", "-j", *words) or "[]") if item}


def _names(path: str) -> set[str]:
    return {os.path.join(at, name) for at, folders, files in os.walk(path) for name in (*folders, *files)}


def _process(pid: str) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""
    return f"{pid} {command}" if command else ""  # without one it has ended, and is about to be reaped


def _sysctls() -> Iterator[str]:
    for at, _, files in os.walk("/proc/sys/net"):
        if at.startswith(("/proc/sys/net/ipv4/neigh", "/proc/sys/net/ipv6/neigh", "/proc/sys/net/core")):
            continue
        for name in files:
            if name == "nf_conntrack_count":
                continue
            try:
                yield f"{at}/{name}={Path(at, name).read_text().strip()}"
            except OSError:
                continue
