"""
The plan: an ordered, closed list of changes.

Closed: no step needs another step's output.
What the dry run prints is, to the letter, what runs.
"""

from __future__ import annotations

from typing import Any

from msgspec import DecodeError, Struct, convert, field, to_builtins
from msgspec.json import Decoder, encode

from nsctl.engine.model.attachment import Attachment
from nsctl.engine.model.commands import AnyCommand, Rule, UndoCommand
from nsctl.engine.model.effects import Effect
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import said_by

__all__ = ["NAMESPACES", "PLAN_VERSION", "Plan", "Step", "step_from_text", "step_to_json", "step_to_text"]

PLAN_VERSION = 2
NAMESPACES = ("mount", "ipc", "pid", "uts", "net")


class Step(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
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
    do: AnyCommand | None = None
    undo: tuple[UndoCommand, ...] = ()
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
        return "" if self.do is None else self.do.tool

    @property
    def netns(self) -> str | None:
        """The named network namespace that its command runs in."""
        return None if self.do is None else self.do.netns

    @property
    def commands(self) -> tuple[AnyCommand, ...]:
        """All that it may run, now or later."""
        return self.undo if self.do is None else (self.do, *self.undo)

    def same_work(self, other: Step) -> bool:
        """
        Whether two sandboxes may share this step.

        In a chain of the host's, a rule is the same wherever it stands: that depends on what else is in there by then.
        """
        if self is other or self.do == other.do:
            return True
        return (
            isinstance(self.do, Rule)
            and isinstance(other.do, Rule)
            and self.do.wherever is not None
            and self.do.wherever == other.do.wherever
        )


class Plan(Struct, frozen=True):
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
        attachments: Its cables: each holds some of the steps, and what none of them holds is the sandbox's own.
        existing: The sandbox is up already: it gets these attachments, and nothing else.
    """

    mode: str
    name: str
    options: dict[str, Any]
    steps: tuple[Step, ...]
    isolate: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = field(default=())
    existing: bool = field(default=False)

    def held(self) -> list[tuple[str, str]]:
        """Who will hold what: pairs of a step's key and the name of the sandbox, or of one of its attachments."""
        attached = [(key, attachment.name) for attachment in self.attachments for key in attachment.steps]
        keys = {key for key, _ in attached}
        return [*attached, *((step.key, self.name) for step in self.steps if step.key not in keys)]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain, versioned data."""
        made = {name: to_builtins(getattr(self, name)) for name in _IN_PLAN}
        made |= {name: to_builtins(value) for name in _IF_ANY if (value := getattr(self, name))}
        return {"nsctl_plan": PLAN_VERSION} | made | {"steps": to_builtins(self.steps)}

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
            return convert({n: data[n] for n in (*_IN_PLAN, "steps")} | {n: data[n] for n in _IF_ANY if n in data}, cls)
        except (KeyError, ValueError) as e:
            what = f"it has no {e}" if isinstance(e, KeyError) else said_by(e)
            raise Invalid(f"the plan is damaged: {what}", hint="make the plan again") from e


_IN_PLAN = ("mode", "name", "options", "isolate", "command", "settings")
"""The fields of a plan before its steps, in the order in which they are read best."""
_IF_ANY = ("attachments", "existing")
"""Those that are left out where there is nothing in them."""
_decoder = Decoder(Step)


def step_to_json(step: Step) -> dict[str, Any]:
    """A step as plain data, defaults left out."""
    made: dict[str, Any] = to_builtins(step)
    return made


def step_to_text(step: Step) -> str:
    """A step as JSON."""
    try:
        return encode(step).decode()
    except (
        UnicodeEncodeError
    ):  # bytes that are no UTF-8, of a file that is copied: only the standard library has a form
        import json

        return json.dumps(step_to_json(step), separators=(",", ":"))


def step_from_text(text: str) -> Step:
    """
    The inverse of `step_to_text`.

    Raises:
        ValueError: It is no step.
    """
    try:
        return _decoder.decode(text)
    except DecodeError:
        if "\\ud" not in text:
            raise
    import json

    return convert(json.loads(text), Step)
