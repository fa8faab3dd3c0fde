"""
The manual pages in man/, made from the commands as they are: nsctl(1), one page for each command and each mode.

What is no command's (exit statuses, files, variables) is taken from docs/safety.md. The pages are kept in the tree, so
that a wheel is built without running nsctl.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

import typer

import nsctl
from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.cli.groups import COMMAND_GROUPS, OPTION_GROUPS, OTHER_COMMANDS, OTHER_OPTIONS, grouped
from nsctl.engine.cli.root import EPILOG, HELP, root_command
from tests.docs.generated import command, modes
from tests.docs.pages import ROOT

FOLDER = ROOT / "man"
DATE = "2026-11-30"
"""When the form of the pages was last changed; what they say is of the version in their footer."""
GROUPS = ("up", "run")
"""The commands whose options are their modes'."""
_ROW = re.compile(r"^\| (.+?) \| (.+?) \|(?: (.*?) ?\|)?$", re.MULTILINE)
_FLAG = re.compile(r"(?<![\w-])-{1,2}(?=[a-z])")


def pages() -> dict[str, str]:
    """File name → text."""
    found = {"nsctl.1": _root()}
    for name in COMMANDS:
        found[f"nsctl-{name}.1"] = _command(name)
    for name, mode in modes().items():
        found[f"nsctl-up-{name}.1"] = _mode(name, mode)
    return found


def _root() -> str:
    made = root_command()
    ctx = typer.Context(made, info_name="nsctl")
    claim, _, rest = HELP.partition("\n")
    parts = [
        _head("nsctl", claim.rstrip(".")),
        *_section("SYNOPSIS", [".B nsctl", "[\\-v]", ".I COMMAND", "[\\fIARGUMENT\\fR...]"]),
        *_section("DESCRIPTION", [_text(claim), ".PP", *_paragraphs(rest.strip())]),
        *_section("OPTIONS", _records(made.params, ctx)),
        ".SH COMMANDS",
    ]
    for heading, names in grouped(COMMANDS, COMMAND_GROUPS, OTHER_COMMANDS).items():
        parts.append(f".SS {_text(heading)}")
        for name in names:
            parts += [".TP", f"\\fBnsctl\\-{name}\\fR(1)", _text(_sentence(COMMANDS[name][1]))]
    parts.append(".SH MODES")
    for name, mode in modes().items():
        parts += [".TP", f"\\fBnsctl\\-up\\-{name}\\fR(1)", _text(_sentence(mode.summary))]
    safety = (ROOT / "docs" / "safety.md").read_text()
    parts.append(".SH EXIT STATUS")
    for status, meaning, _ in _table(safety, "Exit statuses"):
        parts += [".TP", f".B {_text(status)}", _text(_sentence(meaning))]
    places = list(_table(safety, "Where things are"))
    parts.append(".SH ENVIRONMENT")
    for what, where, by in places:
        if variable := re.match(r"`([A-Z_]+)`", by):
            parts += [".TP", f".B {variable[1]}", _text(f"The place of: {what}. By default {where}.")]
    parts.append(".SH FILES")
    for what, where, _ in places:
        path, _, more = where.strip("`").partition("`")
        parts += [".TP", f".I {_text(path)}", _text(_sentence(f"{what}{more}"))]
    parts += _section("EXAMPLES", [_text(EPILOG)])
    others = ("ip(8)", "ip\\-netns(8)", "unshare(1)", "nsenter(1)", "iptables(8)", "namespaces(7)")
    parts += _section("SEE ALSO", [", ".join(f"\\fB{page[:-3]}\\fR{page[-3:]}" for page in others)])
    return "\n".join(parts) + "\n"


def _command(name: str) -> str:
    made = command(name)
    ctx = typer.Context(made, info_name=f"nsctl {name}")
    words = [p.metavar or "" for p in made.params if p.param_type_name == "argument"]
    usage = "MODE [OPTIONS] [-- CMD...]" if name in GROUPS else " ".join(["[OPTIONS]", *words])
    if name not in GROUPS and getattr(made, "commands", {}):
        usage = "COMMAND [OPTIONS]"
    if getattr(made, "takes_command", False):
        usage += " [-- CMD...]"
    parts = [
        _head(f"nsctl-{name}", COMMANDS[name][1]),
        *_section("SYNOPSIS", [f".B nsctl {name}", _text(usage)]),
        *_section("DESCRIPTION", _paragraphs(made.help or "")),
    ]
    if name in GROUPS:
        parts.append(".SH MODES")
        for mode_name, mode in modes().items():
            parts += [
                ".TP",
                f"\\fB{mode_name}\\fR, see \\fBnsctl\\-up\\-{mode_name}\\fR(1)",
                _text(_sentence(mode.summary)),
            ]
        if name == "run":
            parts += [".PP", _text("The options of a mode are those of `up`, without --confirm.")]
    elif under := getattr(made, "commands", {}):
        parts += _under(name, under)
    else:
        parts += _options(made, ctx)
    return "\n".join([*parts, *_foot(name)]) + "\n"


def _under(name: str, commands: dict[str, Any]) -> Iterator[str]:
    yield ".SH COMMANDS"
    for word, made in commands.items():
        yield from (f".SS nsctl {name} {word}", *_paragraphs(made.help or ""))
        yield from _records(made.params, typer.Context(made, info_name=f"nsctl {name} {word}"))


def _mode(name: str, mode: Any) -> str:
    group = command("up")
    made = group.get_command(typer.Context(group), name)
    ctx = typer.Context(made, info_name=f"nsctl up {name}")
    usage = [
        f".B nsctl up {name}",
        "[OPTIONS] [\\-\\- CMD...]",
        ".br",
        f".B nsctl run {name}",
        "[OPTIONS] \\-\\- CMD...",
    ]
    kinds = f"It isolates {', '.join(mode.isolate)}, unless --isolate says otherwise."
    parts = [
        _head(f"nsctl-up-{name}", mode.summary),
        *_section("SYNOPSIS", usage),
        *_section("DESCRIPTION", [_text(_sentence(mode.summary)), ".PP", _text(kinds)]),
        *_options(made, ctx),
    ]
    if mode.example:
        parts += [".SH EXAMPLES", ".EX", _text(mode.example, code=True), ".EE"]
    return "\n".join([*parts, *_foot("up")]) + "\n"


def _options(made: Any, ctx: typer.Context) -> Iterator[str]:
    arguments = [p for p in made.params if p.param_type_name == "argument"]
    if arguments:
        yield from _section("ARGUMENTS", _records(arguments, ctx))
    options = {max(p.opts, key=len): p for p in made.get_params(ctx) if p.param_type_name == "option"}
    yield ".SH OPTIONS"
    groups = grouped(options, OPTION_GROUPS, OTHER_OPTIONS)
    for heading, names in groups.items():
        if len(groups) > 2:
            yield f".SS {heading}"
        yield from _records([options[name] for name in names], ctx)


def _records(params: Iterable[Any], ctx: typer.Context) -> Iterator[str]:
    for param in params:
        names, text = param.get_help_record(ctx)
        yield from (".TP", _text(names, code=True), _text(_sentence(text)))


def _head(page: str, summary: str) -> str:
    about = "\n".join(wrap(f"{page} - {summary}", 78, break_on_hyphens=False))
    return f'.TH {page.upper()} 1 "{DATE}" "nsctl {nsctl.__version__}"\n.SH NAME\n{about}'


def _foot(name: str) -> Iterator[str]:
    yield from _section("EXIT STATUS", ["See", ".BR nsctl (1)."])
    near = next((names for names in COMMAND_GROUPS.values() if name in names), ())
    others = [other for other in near if other in COMMANDS and other != name]
    yield from _section(
        "SEE ALSO", [", ".join(f"\\fB{page}\\fR(1)" for page in ("nsctl", *(f"nsctl\\-{o}" for o in others)))]
    )


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    yield f".SH {heading}"
    yield from lines


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "]", "`")) else ".") if text else ""


def _text(text: str, *, code: bool = False) -> str:
    """Text for troff: in code every `-` is a minus, in prose that of an option."""
    text = text.replace("\\", "\\e")
    if code:
        text = f"\\fB{text}\\fR".replace("-", "\\-")
    else:
        text = re.sub(r"`([^`]+)`", lambda found: f"\\fB{found[1]}\\fR", text)
        text = _FLAG.sub(lambda found: "\\-" * len(found[0]), text)
    lines = [text] if code else wrap(text, 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _table(page: str, heading: str) -> Iterator[tuple[str, str, str]]:
    chapter = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    for first, second, third in _ROW.findall(chapter)[1:]:
        if not first.startswith("---"):
            yield first, second, third
