"""
The plan: an ordered, closed list of changes.

Closed: no step needs another step's output.
What the dry run prints is, to the letter, what runs.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from nsctl.engine.model.effect import Effect, RuleTagged, effect_from_json, effect_to_json
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import said_by

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from nsctl.engine.model.values import dataclass

__all__ = [
    "EXECUTE",
    "NAMESPACES",
    "NOT_EXECUTED",
    "PLAN_VERSION",
    "Command",
    "Plan",
    "Spawn",
    "Step",
    "words",
]

PLAN_VERSION = 1
NAMESPACES = ("mount", "ipc", "pid", "uts", "net")
NOT_EXECUTED = "nsctl: not executed: "
"""What a shell writes to its log if it can't become the program it was to become; then the exit status."""
# dash and busybox leave at a failed `exec` and run the trap; bash does neither, but goes on where `execfail` is set.
EXECUTE = (
    f"not() {{ echo \"{NOT_EXECUTED}$1\" >&2; }}; trap 'not $?' EXIT; shopt -s execfail 2>/dev/null; "
    'exec "$@"; s=$?; trap - EXIT; not $s; exit $s'
)
"""
A shell's words that become the program of a `Spawn`, or write down that they could not.

A program that ends by itself with 126 or 127 looks the same to whoever waits for it.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """
    One command: an argument vector, never a shell line.

    Args:
        argv: The words; the first is a tool's name, found in a fixed path of root-owned directories.
        stdin: What it reads.
        netns: The named network namespace it runs in (None: the host's).
        ok: The exit statuses that count as success.
    """

    argv: tuple[str, ...]
    stdin: str | None = None
    netns: str | None = None
    ok: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Spawn:
    """
    A detached process: a sandbox's init, a proxy, a server.

    It writes its own PID to `pidfile` before it does anything else, so that a killed nsctl never loses observed of it.

    Args:
        argv: The words.
        pidfile: Where its PID goes.
        log: Where its output goes.
        netns: The named network namespace it runs in.
        ready: A file that it writes to when it is ready; None where being alive is enough.
        program: What the process, or a child of it, becomes by way of `EXECUTE`: it has started when that has run.
    """

    argv: tuple[str, ...]
    pidfile: str
    log: str
    netns: str | None = None
    ready: str | None = None
    program: str | None = None


def words(command: Command | Spawn) -> tuple[str, ...]:
    """The argument vector that runs, namespace and all: what the dry run prints."""
    argv = command.argv
    if command.netns is not None:
        if argv[0] == "ip":
            argv = ("ip", "-n", command.netns, *argv[1:])
        else:
            argv = ("nsenter", f"--net=/run/netns/{command.netns}", "--", *argv)
    if isinstance(command, Spawn):
        # 9 is the lock: a process that outlives nsctl must not keep it.
        argv = ("setsid", "sh", "-c", 'echo $$ >"$0" && exec "$@" 9>&-', command.pidfile, *argv)
    return argv


@dataclass(frozen=True, slots=True)
class Step:
    """
    One change.

    Args:
        key: Names the thing that the step makes (`link/nsbr0`); sandboxes share steps by it.
        why: One line for the reader of a dry run; for a claim, what is claimed (`10.0.3.2 on nsbr0`).
        do: The command; None for a claim, which changes nothing and which one sandbox only can hold.
        undo: The commands that take the result away, in order; empty where it goes with something else.
        effect: How to tell whether the result is in place.
        removed_with: The key of the step whose undo takes this one's result away too.
        no_undo: Why there is nothing to undo, where there is neither `undo` nor `removed_with`.
        after: The keys that must be done before; None means: all that come earlier (and all later ones wait for it).
    """

    key: str
    why: str
    do: Command | Spawn | None
    undo: tuple[Command, ...] = ()
    effect: Effect | None = None
    removed_with: str | None = None
    no_undo: str = ""
    after: tuple[str, ...] | None = None

    @property
    def is_claim(self) -> bool:
        """Whether it only says what nobody else may have."""
        return self.do is None

    @property
    def argv(self) -> tuple[str, ...]:
        """The words of its command; none for a claim."""
        return () if self.do is None else self.do.argv

    @property
    def tool(self) -> str:
        """The tool that its command runs; empty for a claim."""
        return "" if self.do is None else self.do.argv[0]

    @property
    def netns(self) -> str | None:
        """The named network namespace that its command runs in."""
        return None if self.do is None else self.do.netns

    @property
    def commands(self) -> tuple[Command | Spawn, ...]:
        """All that it may run, now or later."""
        return self.undo if self.do is None else (self.do, *self.undo)

    def same_work(self, other: Step) -> bool:
        """
        Whether two sandboxes may share this step.

        In a chain of the host's, a rule is the same wherever it stands: that depends on what else is in there by then.
        """
        if self is other or self.do == other.do:
            return True
        work = _wherever(self) if isinstance(self.effect, RuleTagged) else None
        return work is not None and work == _wherever(other)


def _wherever(step: Step) -> tuple[str, ...] | None:
    # A rule in a chain of the host's without its place; None for anything else.
    match step.argv:
        case (tool, "-w", "-t", table, "-A" | "-I", chain, *spec) if not chain.startswith("NSCTL-"):
            return (tool, table, chain, *(spec[1:] if spec[0].isdecimal() else spec))
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What `up` will do for one sandbox.

    Args:
        mode: The mode that planned it.
        name: The sandbox's name.
        options: The mode's options as plain data, for comparison and display.
        steps: The steps, in order.
        isolate: The kinds of namespaces that the sandbox has of its own.
        command: The workload, or nothing.
        settings: What else was asked for (`caps`, `env`, …), as plain data.
    """

    mode: str
    name: str
    options: dict[str, Any]
    steps: tuple[Step, ...]
    isolate: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The plan as plain, versioned data."""
        return {
            "nsctl_plan": PLAN_VERSION,
            "mode": self.mode,
            "name": self.name,
            "options": self.options,
            "isolate": list(self.isolate),
            "command": list(self.command),
            "settings": self.settings,
            "steps": [step_to_json(s) for s in self.steps],
        }

    @classmethod
    def from_json(cls, data: object) -> Plan:
        """
        The inverse of `to_json`.

        Raises:
            Invalid: It is no plan, or one of another version.
        """
        if not isinstance(data, dict) or "nsctl_plan" not in data:
            raise Invalid("this is not a plan", hint="save one with: nsctl up MODE … --dry-run --format json")
        if data["nsctl_plan"] != PLAN_VERSION:
            version = said_by(data["nsctl_plan"])
            raise Invalid(
                f"plan version {version} is not supported (this nsctl reads version {PLAN_VERSION})",
                hint="make the plan again with this nsctl",
            )
        try:
            return cls(
                mode=_text(data["mode"]),
                name=_text(data["name"]),
                options=dict(data["options"]),
                isolate=_texts(data["isolate"]),
                command=_texts(data["command"]),
                settings=dict(data["settings"]),
                steps=tuple(step_from_json(s) for s in data["steps"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise Invalid(f"the plan is damaged: {type(e).__name__}: {said_by(e)}", hint="make the plan again") from e


def command_to_json(command: Command | Spawn) -> dict[str, Any]:
    """A command as plain data, defaults left out."""
    data: dict[str, Any] = {"argv": list(command.argv)}
    if command.netns is not None:
        data["netns"] = command.netns
    if isinstance(command, Spawn):
        data["pidfile"] = command.pidfile
        data["log"] = command.log
        if command.ready is not None:
            data["ready"] = command.ready
        if command.program is not None:
            data["program"] = command.program
        return data
    if command.stdin is not None:
        data["stdin"] = command.stdin
    if command.ok != (0,):
        data["ok"] = list(command.ok)
    return data


def command_from_json(data: dict[str, Any]) -> Command | Spawn:
    """
    The inverse of `command_to_json`.

    Raises:
        KeyError, TypeError, ValueError: It is no command.
    """
    argv = _texts(data["argv"])
    if not argv:
        raise ValueError("a command without a word")
    netns = _text_or_none(data.get("netns"))
    if "pidfile" in data:
        ready, program = (_text_or_none(data.get(name)) for name in ("ready", "program"))
        return Spawn(argv, _text(data["pidfile"]), _text(data["log"]), netns, ready, program)
    stdin = _text_or_none(data.get("stdin"))
    if "ok" not in data:
        return Command(argv, stdin, netns)
    ok = data["ok"]
    if not isinstance(ok, list) or not all(type(status) is int for status in ok):
        raise TypeError(f"{ok!r} is no list of exit statuses")
    return Command(argv, stdin, netns, tuple(ok))


def step_to_json(step: Step) -> dict[str, Any]:
    """A step as plain data, defaults left out."""
    data: dict[str, Any] = {"key": step.key, "why": step.why}
    if step.do is not None:
        data["do"] = command_to_json(step.do)
    if step.undo:
        data["undo"] = [command_to_json(c) for c in step.undo]
    if step.effect is not None:
        data["effect"] = effect_to_json(step.effect)
    if step.removed_with is not None:
        data["removed_with"] = step.removed_with
    if step.no_undo:
        data["no_undo"] = step.no_undo
    if step.after is not None:
        data["after"] = list(step.after)
    return data


def step_from_json(data: dict[str, Any]) -> Step:
    """
    The inverse of `step_to_json`.

    Raises:
        KeyError, TypeError, ValueError: It is no step.
    """
    undo: list[Command] = []
    for each in data.get("undo", ()):
        command = command_from_json(each)
        if isinstance(command, Spawn):
            raise TypeError("an undo cannot start a detached process")
        undo.append(command)
    return Step(
        _text(data["key"]),
        _text(data["why"]),
        command_from_json(data["do"]) if "do" in data else None,
        tuple(undo),
        effect_from_json(data["effect"]) if "effect" in data else None,
        _text_or_none(data.get("removed_with")),
        _text(data.get("no_undo", "")),
        _texts(data["after"]) if "after" in data else None,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    "".join(value)  # a TypeError where one of them is no text, and quicker than asking each
    return tuple(value)
