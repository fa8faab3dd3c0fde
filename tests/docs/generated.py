"""The parts of documents that are made from the code: tables of options, commands and kit, signatures of hooks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import nsctl
from nsctl.engine import kit
from nsctl.engine.cli import foreign_words as foreign
from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.cli.common_options import RESERVED, SHORT, UpCommon
from nsctl.engine.cli.root import command_of
from nsctl.engine.model import facts
from nsctl.engine.model.effects import EFFECTS
from nsctl.engine.model.options import Field, fields_of
from nsctl.hooks import spec
from nsctl.hooks.manager import Plugins

_SECTION = re.compile(r"(<!-- begin: (.+?) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def modes() -> dict[str, Any]:
    """The built-in modes by name."""
    loaded = Plugins.load(reserved=RESERVED).modes()
    return {name: one.mode for name, one in loaded.items() if one.distribution == "nsctl"}


def hooks() -> dict[str, Callable[..., Any]]:
    """The hook specifications by name."""
    return {name: getattr(spec, name) for name in spec.__all__ if name.startswith("nsctl_")}


def first_sentence(thing: object) -> str:
    """The first sentence of a docstring."""
    text = inspect.getdoc(thing) or ""
    return text.partition("\n")[0].rstrip(".")


def signature(name: str, function: Callable[..., Any]) -> str:
    """A function as it is called and what it returns, types as they are written in the code."""
    return f"{name}{inspect.signature(function)}".replace("'", "")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def options(options_type: type) -> str:
    """The options of a dataclass."""
    return table(
        ("option", "meaning"), ((f"`{_flags(f)} {f.metavar}".rstrip() + "`", f.text) for f in fields_of(options_type))
    )


def _flags(field: Field) -> str:
    short = SHORT.get(field.name) if field.name in {f.name for f in fields_of(UpCommon)} else None
    return f"{field.flag}, {short}" if short else field.flag


def kit_functions() -> str:
    """What kit offers: how it is called, and what for."""
    found = []
    for name in kit.__all__:
        thing = getattr(kit, name)
        if callable(thing):
            parameters = ", ".join(
                f"{p.name}=…" if p.default is not p.empty else f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
                for p in inspect.signature(thing).parameters.values()
            )
            found.append((f"`kit.{name}({parameters})`", first_sentence(thing)))
        else:
            found.append((f"`kit.{name}`", ", ".join(map(str, thing))))
    return table(("call", "what it does"), found)


def hook(name: str) -> str:
    """A hook: its exact signature, and what its specification says."""
    function = hooks()[name]
    text = inspect.getdoc(function) or ""
    prose, _, _ = text.partition("\n\nArgs:")
    prose = prose.partition("\n\nReturns:")[0]
    return f"<!-- not run: a signature -->\n```python\ndef {signature(name, function)}\n```\n\n{prose}\n"


def effects() -> str:
    """The effects, with their fields."""
    rows = []
    for kind in EFFECTS.values():
        names = ", ".join(kind.__struct_fields__)
        rows.append((f"`effects.{kind.__name__}({names})`", first_sentence(kind)))
    return table(("effect", "in place when"), rows)


def known_facts() -> str:
    """What facts hold, in the words of their docstring."""
    said = dict(re.findall(r"^ {4}(\w+): (.+)$", inspect.getdoc(facts.Facts) or "", re.MULTILINE))
    return table(
        ("fact", "what it is"), ((f"`facts.{name}`", said[name].rstrip(".")) for name in facts.Facts.__struct_fields__)
    )


def command(name: str) -> Any:
    """A command as click knows it."""
    place, summary = COMMANDS[name]
    module, _, attribute = place.partition(":")
    return command_of(getattr(import_module(f"nsctl.engine.cli.{module}"), attribute), name, summary)


def leaves(name: str) -> list[tuple[str, Any]]:
    """A command, or those of a group, with the words that call them; the modes are not looked into."""
    made = command(name)
    if name in {"up", "run"} or not hasattr(made, "commands"):
        return [(name, made)]
    return [(name, made), *((f"{name} {word}", sub) for word, sub in made.commands.items())]


def options_of(name: str) -> set[str]:
    """The options of a command; of `up` and `run` those of every built-in mode, too."""
    flags = {flag for _, made in leaves(name) for parameter in made.params for flag in parameter.opts}
    if name in {"up", "run"}:
        flags |= {f.flag for f in fields_of(UpCommon)}
        flags |= {f.flag for mode in modes().values() for f in fields_of(mode.options)}
    return flags


def commands() -> str:
    """Every command, with its options and its help."""
    parts = [table(("command", "what it does"), ((f"`{n}`", text) for n, (_, text) in COMMANDS.items()))]
    for name, made in (leaf for command_name in COMMANDS for leaf in leaves(command_name)):
        help_ = " ".join((made.help or "").split())
        parts.append(f"\n## nsctl {name}\n\n{help_}\n")
        rows = []
        for parameter in made.params:
            shown = parameter.metavar or ""
            if parameter.param_type_name == "option":
                flags = ", ".join(parameter.opts)
                shown = flags if parameter.is_flag else f"{flags} {shown}"
            rows.append((f"`{shown}`", parameter.help or ""))
        if rows:
            parts.append("\n" + table(("argument or option", "meaning"), rows))
        if name in {"up", "run"}:
            parts.append("\nIts options are in [modes.md](modes.md#for-all-modes).\n")
    return "".join(parts)


def foreign_words() -> str:
    """What docker, podman and `ip netns` call otherwise: those of one answer in one row."""
    rows: dict[str, list[str]] = {}
    for word, answer in foreign.COMMANDS.items():
        rows.setdefault(answer, []).append(word)
    listed = [("", ", ".join(f"`{word}`" for word in words), answer) for answer, words in rows.items()]
    listed += [
        (", ".join(f"`{name}`" for name in names), ", ".join(options.split()), answer)
        for names, options, answer in foreign.OPTION_ROWS
    ]
    return table(("of", "word", "here"), listed)


SECTIONS: dict[str, Callable[[], str]] = {
    "foreign words": foreign_words,
    "commands": commands,
    "options of up": lambda: options(UpCommon),
    "kit": kit_functions,
    "effects": effects,
    "facts": known_facts,
    "façade": lambda: ", ".join(f"`{name}`" for name in nsctl.__all__) + "\n",
    **{f"options of {name}": partial(options, mode.options) for name, mode in modes().items()},
    **{f"hook {name}": partial(hook, name) for name in hooks()},
}


def sections_in(page: Path) -> list[str]:
    """The names of a page's sections that are made from the code."""
    return [found[2] for found in _SECTION.finditer(page.read_text())]


def regenerated(page: Path) -> str:
    """A page with these sections made anew."""
    return _SECTION.sub(lambda found: f"{found[1]}{SECTIONS[found[2]]()}{found[3]}", page.read_text())
