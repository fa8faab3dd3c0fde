"""Planning: from a mode and a request to a plan that was checked as data."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from typing import get_args

from msgspec.structs import replace

from nsctl.engine.kit.networks import network_named
from nsctl.engine.kit.subnets import overlap
from nsctl.engine.model.claims import CLAIM, is_anothers, is_claim_key, place_and_thing
from nsctl.engine.model.commands import AnyCommand, Command, Known, Spawn
from nsctl.engine.model.effects import Effect, LinkIs, wrong_field
from nsctl.engine.model.errors import Conflict, Invalid, NsctlError
from nsctl.engine.model.facts import Facts
from nsctl.engine.model.mode import Mode, Request
from nsctl.engine.model.names import check_ifname, check_name, display, said_by
from nsctl.engine.model.plan import NAMESPACES, Plan, Step
from nsctl.engine.planning.forecast import names_of, networks_of
from nsctl.engine.planning.jumps import anew, is_jump, placed
from nsctl.engine.planning.sandbox import assemble, steps_of
from nsctl.engine.planning.settings import FITS

__all__ = ["check_fit", "connect", "plan", "validate"]

_TOOL = re.compile(r"[a-z][a-z0-9_.+-]*")
_EFFECTS = get_args(Effect)
_WORD_MOST = 131_071
"""What the kernel passes on in one word (MAX_ARG_STRLEN)."""
_SOUND_MOST = 512
_sound: dict[int, Step] = {}
"""Steps without a fault, which can't change, by identity: those of a network come with each of its sandboxes."""


def plan(mode: Mode, request: Request, facts: Facts) -> Plan:
    """
    Plan a sandbox.

    Args:
        mode: The mode, perhaps of a plugin: nothing that it raises or yields gets past here.
        request: What the user asked for.
        facts: The host.

    Raises:
        Refused: The mode says no, or what it planned is no plan.
    """
    if not isinstance(request.options, mode.options):
        raise Invalid(f"mode '{mode.name}' takes {mode.options.__name__}, not {type(request.options).__name__}")
    try:
        steps = steps_of(mode, request, facts)
        _check(mode.name, _faults_of_all(steps))
        steps = placed(steps, facts)
        made = assemble(mode, request, facts, steps)
    except NsctlError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as e:  # it is somebody else's code: anything may come
        raise Invalid(
            f"mode '{mode.name}' failed while planning: {type(e).__name__}: {said_by(e)}",
            hint=f"this is a fault of the mode; nsctl modes {mode.name} shows where it came from",
        ) from e
    _check(mode.name, _faults(made, facts, checked={step.key for step in steps}))
    _check_claims(made, facts)
    return made


def connect(mode: Mode, request: Request, facts: Facts) -> Plan:
    """
    Plan a further attachment of a sandbox that is up.

    Args:
        mode: The mode that attaches it.
        request: What is asked for: the sandbox's name, and the mode's options.
        facts: The host.

    Raises:
        Refused: There is no such sandbox, it has no network of its own, or the mode says no.
    """
    sandbox = facts.sandboxes.get(request.name)
    if sandbox is None or not sandbox.netns:
        raise Invalid(
            f"there is no sandbox '{request.name}' with a network of its own", hint="see what is up: nsctl ls"
        )
    bare = replace(request, isolate=("net",), command=(), settings={})
    made = plan(mode, bare, facts)
    if not made.attachments:
        raise Invalid(f"mode '{mode.name}' makes no interface that could be added", hint="see the modes: nsctl modes")
    held = {key for attachment in made.attachments for key in attachment.steps}
    return replace(made, steps=tuple(step for step in made.steps if step.key in held), existing=True)


def validate(made: Plan, facts: Facts | None = None) -> None:
    """
    Check a plan as data, before anything of it is done.

    Args:
        made: The plan.
        facts: The host; without it, keys may refer to steps that are not in the plan.

    Raises:
        Invalid: It is not a plan that nsctl would carry out.
    """
    check_name(made.name)
    check_name(made.mode, "the mode's name")
    _check(made.mode, _faults(made, facts))


def check_fit(made: Plan, facts: Facts, *, in_place: bool = False) -> None:
    """
    Check that what a plan that was made earlier claims, and its network, are still free.

    What is in a step's own place is found when the plan is carried out; these can stand beside one another.

    Args:
        made: The plan.
        facts: The host.
        in_place: It has been carried out already: its own network and rules are on the host.

    Raises:
        Conflict: It is not.
    """
    again = "the host has changed: make the plan again"
    _check_claims(made, facts, again)
    _check_joined(made, facts)
    for bridge, name in names_of(made.steps).items():
        if network_named(name, facts) not in {None, bridge}:
            raise Conflict(f"the network '{name}' is on the bridge {network_named(name, facts)}", hint=again)
    for bridge, gateway in networks_of(made.steps).items():
        there = facts.networks.get(bridge)
        if there == gateway:
            continue
        if there is not None:
            raise Conflict(f"{bridge} has the subnet {there.network}, not {gateway.network}", hint=again)
        if not in_place and not made.options.get("allow_overlap") and (found := overlap(gateway.network, facts)):
            raise Conflict(f"the subnet {gateway.network} overlaps {found}", hint=again)
    if not in_place:
        _check_jumps(made, facts, again)


def _check_claims(made: Plan, facts: Facts, hint: str = "") -> None:
    for step in made.steps:
        if step.is_claim:
            place, thing = place_and_thing(step.key)
            holder = facts.claims.get(place, {}).get(thing, made.name)
            if holder != made.name:
                raise is_anothers(step, holder, hint=hint)


def _check_jumps(made: Plan, facts: Facts, again: str) -> None:
    jumps = [step for step in made.steps if is_jump(step) and step.key not in facts.steps]
    for step, now in zip(jumps, placed(map(anew, jumps), facts), strict=True):
        if step.do != now.do:
            raise Conflict(f"the host's own rules have changed: {step.key} belongs to another place by now", hint=again)


def _check_joined(made: Plan, facts: Facts) -> None:
    for step in made.steps:
        if isinstance(step.effect, LinkIs) and step.effect.master_index is not None:
            theirs = facts.links.get(step.effect.master or "")
            if theirs is None or theirs.index != step.effect.master_index:
                is_so = "gone" if theirs is None else "another bridge than it was"
                raise Conflict(f"{step.effect.master} is {is_so}", hint="the host has changed: make the plan again")


def _check(mode: str, faults: Iterator[str]) -> None:
    for fault in faults:
        raise Invalid(
            f"mode '{display(mode)}' plans what can't be carried out: {fault}", hint="this is a fault of the mode"
        )


def _faults(made: Plan, facts: Facts | None, checked: Container[str] = ()) -> Iterator[str]:
    for kind in made.isolate:
        if kind not in NAMESPACES:
            yield f"'{display(str(kind))}' is not a kind of namespace"
    yield from _faults_asked(made)
    yield from _faults_of_attachments(made)
    yield from _faults_of_all(made.steps, checked)
    keys: set[str] = set()
    every = {step.key for step in made.steps}
    for number, step in enumerate(made.steps, 1):
        if step.key in keys:
            yield f"step {number} ({display(step.key)}): its key is there twice"
        keys.add(step.key)
        if facts is not None:
            for key in (*(step.after or ()), *((step.removed_with,) if step.removed_with else ())):
                if key not in every and key not in facts.steps:
                    yield f"step {number} ({display(step.key)}): nothing makes '{display(str(key))}'"


def _faults_of_attachments(made: Plan) -> Iterator[str]:
    keys, held = {step.key for step in made.steps}, set[str]()
    for attachment in made.attachments:
        try:
            check_ifname(attachment.interface)
        except (Invalid, TypeError):
            yield f"'{display(str(attachment.interface))}' is not the name of an interface"
        if attachment.sandbox != made.name:
            yield f"the attachment '{display(attachment.name)}' is another sandbox's"
        for key in attachment.steps:
            if key not in keys:
                yield f"the attachment '{attachment.name}' can't hold '{display(key)}'"
            held.add(key)
    if len({attachment.name for attachment in made.attachments}) < len(made.attachments):
        yield "two attachments have one name"
    if made.existing and not held.issuperset(keys):
        yield "a plan for a sandbox that is up has steps of its attachments only"


def _faults_asked(made: Plan) -> Iterator[str]:
    # What `exec` gives to commands later.
    if not all(map(_is_text, made.command)):
        yield "a word of the workload is not text that can be passed on"
    for name, fits in FITS.items():
        if name in made.settings and not fits(made.settings[name]):
            yield f"the setting '{name}' can't be {said_by(made.settings[name])}"


def _faults_of_all(steps: Iterable[Step], checked: Container[str] = ()) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        if not _fits(step, Step):
            yield f"step {number} is a {type(step).__name__}"
        elif step.key not in checked and _sound.get(id(step)) is not step:
            faults = list(_faults_of(step))
            for fault in faults:
                yield f"step {number} ({display(str(step.key))}): {fault}"
            if not faults:
                if len(_sound) >= _SOUND_MOST:
                    _sound.clear()
                _sound[id(step)] = step


def _faults_of(step: Step) -> Iterator[str]:
    # They stand in lines of their own: in dry runs, in messages, in `log`.
    if not (_is_shown(step.key) and _is_shown(step.why) and _is_shown(step.no_undo)) or not step.key:
        yield "key and reason must be text that can be shown"
        return
    if step.removed_with is not None and not isinstance(step.removed_with, str):
        yield "what it goes with is no key"
        return
    if step.do is None or step.key.startswith(CLAIM):
        yield from _faults_in_claim(step)
        return
    if not _fits(step.do, Command, Known, Spawn):
        yield f"what it does is a {type(step.do).__name__}, not a Command"
        return
    if step.effect is not None:
        if type(step.effect) not in _EFFECTS:
            yield f"its effect is a {type(step.effect).__name__}, which nsctl does not know"
        elif wrong := wrong_field(step.effect):
            yield f"in its effect, '{wrong}' can't be {said_by(getattr(step.effect, wrong))}"
    if not _fits(step.undo, tuple) or not all(_fits(c, Command, Known) for c in step.undo):
        yield "its undo is not a tuple of Commands"
        return
    if not (step.undo or step.removed_with or step.no_undo):
        yield "it has no undo, goes with nothing, and gives no reason for that"
    if step.after is not None and not (_fits(step.after, tuple) and all(_is_text(k) for k in step.after)):
        yield "what it comes after is not a tuple of keys"
    for command in step.commands:
        yield from _faults_in(command)


def _faults_in_claim(step: Step) -> Iterator[str]:
    # Nothing but its key: there is nothing to run, to look at, or to take away.
    if (step.do, step.undo, step.effect, step.removed_with, step.no_undo, step.after) != (
        None,
        (),
        None,
        None,
        "",
        None,
    ):
        yield "a claim has nothing but its key and what is claimed"
    elif not is_claim_key(step.key):
        yield f"a claim's key is {CLAIM}PLACE/THING"


def _faults_in(command: AnyCommand) -> Iterator[str]:
    try:
        argv, stdin = command.argv, command.stdin
    except (TypeError, ValueError, KeyError, AttributeError):  # made by hand, of values of other types
        yield f"a command of the kind {type(command).__name__} has a value of another type"
        return
    if not _fits(argv, tuple) or not argv:
        yield "a command is not a tuple of words"
        return
    if not _are_plain(argv):
        for word in argv:
            if not _is_text(word) or len(word) > _WORD_MOST:
                yield f"a word of a command is not text that can be passed on: {display(repr(word))}"
                return
    if not _TOOL.fullmatch(argv[0]):
        yield f"'{display(argv[0])}' is not the plain name of a tool"
    if command.netns is not None:
        try:
            check_name(command.netns, "namespace")
        except (Invalid, TypeError):
            yield f"'{display(str(command.netns))}' is not the name of a namespace"
    if isinstance(command, Spawn):
        yield from _faults_in_spawn(command)
        return
    if stdin is not None and not _is_text(stdin):
        yield "what a command reads is not text that can be passed on"
    if not (_fits(command.ok, tuple) and command.ok and all(type(status) is int for status in command.ok)):
        yield "its good exit statuses are not a tuple of numbers"


def _faults_in_spawn(command: Spawn) -> Iterator[str]:
    if command.program is not None and not (_is_text(command.program) and command.program):
        yield "the program that a process becomes is not text that can be passed on"
    for path in (command.pidfile, command.log, *(() if command.ready is None else (command.ready,))):
        if not (_is_text(path) and path.isprintable() and path.startswith("/")) or ".." in path.split("/"):
            yield f"'{display(str(path))}' is not an absolute path"


def _fits(value: object, *types: type) -> bool:
    # A plugin's values need not be what they are declared to be.
    return isinstance(value, types)


def _is_shown(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _are_plain(words: tuple[object, ...]) -> bool:
    # Whether all are ASCII text that can be passed on, as nearly all are: one look at them together.
    try:
        text = "".join(words)  # type: ignore[arg-type]  # what is no text raises
    except TypeError:
        return False
    return text.isascii() and "\0" not in text and len(text) <= _WORD_MOST


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
