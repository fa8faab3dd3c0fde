"""Hostile plugins, as source."""

from __future__ import annotations

START = "import sys; sys.path.append('/run/plugins'); from nsctl.engine.cli import main; sys.exit(main(sys.argv[1:]))"
PLUGIN = """\
import os, sys, time
from dataclasses import dataclass
from nsctl import Command, Mode, Step, effects, hookimpl, kit, opt

class Odd(BaseException):
    def __str__(self):
        raise RuntimeError("no words")

class Mute:
    def __str__(self):
        raise Odd

@dataclass(frozen=True)
class Options:
    x: int = 0
    {field}
    def __post_init__(self):
        {post}

def steps(request, facts):
    {steps}
    yield kit.netns(request.name)

@hookimpl
def nsctl_modes():
    {modes}
    return [Mode("evil", "a plugin's", Options, steps)]

@hookimpl
def nsctl_review(plan):
    {review}
"""
STEP = "yield Step('k', 'why', {}, no_undo='so')"
DOING = "yield Step('k', 'why', Command(('true',)), no_undo='so', {})"
PLANNING: dict[str, str] = {
    "yields the same for ever": "while True: yield kit.netns(request.name)",
    "yields nothing for ever": "while True: yield None",
    "yields itself for ever": "yield from (steps(request, facts) for _ in iter(int, 1))",
    "yields iterators of themselves": "yield (x := []); x.append(x); yield x",
    "raises what is no Exception": "raise Odd",
    "raises GeneratorExit": "raise GeneratorExit",
    "raises without words": "raise type('E', (Exception,), {'__str__': lambda s: 7})()",
    "a mebibyte of a word": STEP.format("Command(('ip', 'x' * 2**20))"),
    "bytes for words": STEP.format("Command((b'ip', b'link'))"),
    "a newline in the tool": STEP.format("Command(('ip\\nreboot',))"),
    "an endless argv": STEP.format("Command(iter(int, 1))"),
    "a surrogate in a word": STEP.format("Command(('ip', '\\udcff'))"),
    "exit statuses of text": STEP.format("Command(('ip',), ok=('0) reboot ;;',))"),
    "one exit status": STEP.format("Command(('ip',), ok=0)"),
    "no exit status": STEP.format("Command(('ip',), ok=())"),
    "a namespace of bytes": STEP.format("Command(('ip',), netns=b'web')"),
    "an escape in the key": "yield Step('\\x1b[2J', 'why', Command(('true',)), no_undo='so')",
    "a newline in the reason": "yield Step('k', 'a\\n2. b', Command(('true',)), no_undo='so')",
    "a key that is no text": "yield Step(7, 'why', Command(('true',)), no_undo='so')",
    "a key that is a list": "yield Step([], 'why', Command(('true',)), no_undo='so')",
    "it goes with a list": DOING.format("removed_with=[]"),
    "an undo that never ends": DOING.format("undo=iter(int, 1)"),
    "after itself, as text": DOING.format("after='k'"),
    "an effect of wrong types": DOING.format("effect=effects.LinkIs(7, b'x')"),
    "an effect with an escape": DOING.format("effect=effects.LinkIs('\\x1b[2J', 'x')"),
    "an effect of a class of its own": DOING.format("effect=type('L', (effects.LinkIs,), {})('a', 'b')"),
    "an effect that is a class": DOING.format("effect=effects.LinkIs"),
    "a message of megabytes": "raise ValueError('x' * 10**7)",
}
BROKEN: dict[str, dict[str, str]] = {
    "modes for ever": {"modes": "yield from iter(lambda: Mode('m', 's', Options, steps), 1)"},
    "a summary with an escape": {"modes": "return [Mode('evil', '\\x1b[2J', Options, steps)]"},
    "a summary that is no text": {"modes": "return [Mode('evil', None, Options, steps)]"},
    "an example with a newline": {"modes": "return [Mode('evil', 's', Options, steps, example='a\\nb')]"},
    "a help with an escape": {"field": "y: int = opt(0, '\\x1b[2J')"},
    "a metavar with an escape": {"field": "y: int = opt(0, metavar='\\x1b[2J')"},
    "an option of nsctl's": {"field": "dry_run: bool = False"},
    "an option of the command line's": {"field": "help: str = ''"},
    "an option named as a parameter": {"field": "ctx: str = ''"},
    "a name with an escape": {"modes": "return [Mode('\\x1b[2J', 's', Options, steps)]"},
    "a name of no text": {"modes": "return [Mode(7, 's', Options, steps)]"},
    "modes that are none": {"modes": "return [Mute()]"},
    "raises what is no Exception": {"modes": "raise Odd"},
    "a default of another kind": {"field": "y: int = Mute()"},
}
DYING = """\
@hookimpl
def nsctl_event(event):
    if event.__class__.__name__ == "StepDone":
        os._exit(7)
"""
HANG = "print('there', file=sys.stderr, flush=True); {}"


def source_of(**parts: str) -> str:
    """A plugin with these parts."""
    return PLUGIN.format(**dict.fromkeys(("post", "steps", "modes", "review"), "pass") | {"field": ""} | parts)
