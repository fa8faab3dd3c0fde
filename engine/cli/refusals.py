"""Usage errors: one line, and a hint."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from nsctl.engine.cli.foreign_words import about_command, about_option
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.names import display
from nsctl.engine.model.options import nearest

__all__ = ["no_command", "refusal"]

_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
_NO_VALUE = re.compile(r"Option '(.+)' does not take a value")
_NEEDS_VALUE = re.compile(r"Option '(.+)' requires an argument")


def no_command(name: str, words: Sequence[str], commands: Sequence[str]) -> Invalid:
    """
    The error for a command that there is not.

    Args:
        name: The command.
        words: The command line.
        commands: Those that there are.
    """
    words = [*words[words.index(name) :]] if name in words else [name]
    hint = about_command(words, commands)
    if not hint and words[0] in {"bridge", "host", "none"}:
        hint = f"a mode stands behind a command: nsctl up {words[0]}, or nsctl run {words[0]} -- CMD..."
    if not hint and (meant := nearest(name, commands)):
        hint = f"did you mean '{meant}'?"
    return Invalid(f"there is no command '{display(name)}'", hint=hint or "nsctl --help lists the commands")


def refusal(error: Any, words: Sequence[str]) -> Invalid:
    """
    The error for what click could not make sense of.

    Args:
        error: click's.
        words: The command line.
    """
    message: str = error.format_message().rstrip(".")
    ctx = error.ctx
    path = ctx.command_path if ctx is not None else "nsctl"
    hint = f"see {path} --help"
    own = list(words[: words.index("--")] if "--" in words else words)
    option = getattr(error, "option_name", "")
    if option and "No such option" in message:
        message = f"there is no option '{display(option)}'"
        hint = _about_option(ctx, option, own) or hint
    elif extra := _EXTRA.fullmatch(message):
        message = f"unexpected argument '{display(extra[1])}'"
        if getattr(ctx.command if ctx is not None else None, "takes_command", False):
            hint = _behind_dashes(ctx, own) or "a command for the sandbox stands after --; a name after --name"
    elif found := _NO_VALUE.search(message):
        message = f"{found[1]} is a switch, and takes no value"
        hint = f"write {found[1]} alone, or leave it out"
    elif found := _NEEDS_VALUE.search(message):
        message = f"option '{found[1]}' requires an argument"
    elif message == "Missing command":
        message = "which command?"
        hint = f"{path} --help lists the commands"
    return Invalid(message[:1].lower() + message[1:], hint=hint)


def _about_option(ctx: Any, option: str, own: list[str]) -> str:
    if ctx is None:
        return ""
    hint = _behind_dashes(ctx, own, option)
    if hint:
        return hint
    at = next((n for n, word in enumerate(own) if _is(word, option)), len(own))
    _, given, value = own[at].partition("=") if at < len(own) else ("", "", "")
    value = value if given else own[at + 1] if at + 1 < len(own) else ""
    hint = about_option(_command(ctx), option, value)
    if hint:
        return hint
    if ctx.parent is None and option != "--":  # before the command: it may be the command's
        return "options of a command stand behind it: nsctl COMMAND [options]; see nsctl --help"
    flags = [f for param in ctx.command.get_params(ctx) if not param.hidden for f in param.opts if f != "--help"]
    meant = nearest(option, flags) if len(option) > len("--x") else ""  # of one letter anything is near
    return f"did you mean {meant}?" if meant else ""


def _is(word: str, option: str) -> bool:
    short = option[:2] != "--" and word[:2] != "--" and word.startswith("-") and option[1:] in word[1:]
    return word.partition("=")[0] == option or short


def _command(ctx: Any) -> str:
    """The command's name: of `up bridge`, up."""
    while ctx.parent is not None and ctx.parent.parent is not None:
        ctx = ctx.parent
    return str(ctx.info_name)


def _behind_dashes(ctx: Any, own: list[str], option: str = "") -> str:
    """For `exec web ls -l`: the same with dashes; nothing where no command stands there, or an option before it."""
    if ctx is None or ctx.info_name != "exec" or "exec" not in own:
        return ""
    rest = own[own.index("exec") + 1 :]
    options = {flag: not getattr(p, "is_flag", False) for p in ctx.command.get_params(ctx) for flag in p.opts}
    bare: list[int] = []
    at = 0
    while at < len(rest) and len(bare) < 2:  # noqa: PLR2004 - the sandbox's name and the command
        word = rest[at]
        if not word.startswith("-"):
            bare.append(at)
        elif word == option or (option and word not in options and _is(word, option)):
            return ""
        elif options.get(word):
            at += 1
        at += 1
    if len(bare) < 2:  # noqa: PLR2004
        return ""
    fixed = [*rest[: bare[1]], "--", *rest[bare[1] :]]
    return f"the command stands after --: nsctl exec {display(shlex.join(fixed))}"
