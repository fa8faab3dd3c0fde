"""The groups `up` and `run`: their commands are the modes, each built from the mode's options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from nsctl.engine.app.context import AppContext
from nsctl.engine.cli import out
from nsctl.engine.cli.common_options import RESERVED, SHORT, Common
from nsctl.engine.cli.foreign_words import ALWAYS_SO, about_option
from nsctl.engine.cli.loading import load
from nsctl.engine.cli.mode_first import mode_first
from nsctl.engine.cli.parameters import command_function
from nsctl.engine.cli.root import Leaf, words_after_dashes
from nsctl.engine.model.errors import Invalid
from nsctl.engine.model.mode import Mode
from nsctl.engine.model.names import check_name
from nsctl.engine.model.options import Field, fields_of
from nsctl.hooks.manager import Plugins, entry_points

__all__ = ["mode_group"]

HELP = ("--help", "-h")
Call = Callable[[AppContext, Plugins, Mode, tuple[str, ...], dict[str, Any]], int]
"""What a group does: with the context, the plugins, the mode, what follows `--`, and the options that were given."""


class Modes(TyperGroup):
    """A group whose commands are the modes; `mode_group` says what they do."""

    common: type[Common]
    call: Call

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - click's signature
        """The modes' names."""
        return sorted(Plugins.load(reserved=RESERVED).modes())

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put options that stand before the mode behind it."""
        if args and args[0].startswith("-"):
            cut = args.index("--") if "--" in args else len(args)
            args = [*mode_first(args[:cut], self._options_of, self._options_of_any), *args[cut:]]
            if args[0].startswith("-") and not set(args[:cut]) & set(HELP) and not ctx.resilient_parsing:
                raise self._no_mode(args)
        return super().parse_args(ctx, args)

    def _always_so(self) -> dict[str, bool]:
        return dict.fromkeys([*ALWAYS_SO.get(str(self.name), ()), "-it", "-ti"], False)

    def _options_of(self, name: str) -> Mapping[str, bool] | None:
        with suppress(Invalid):
            _, mode = load(check_name(name))
            return self._always_so() | _takes_value([*fields_of(mode.options), *fields_of(self.common)])
        return {} if any(point.name == name for point in entry_points()) else None  # broken, which `load` says later

    def _options_of_any(self) -> Mapping[str, bool]:
        modes = [loaded.mode for loaded in Plugins.load(reserved=RESERVED).modes().values()]
        return _takes_value([*(f for mode in modes for f in fields_of(mode.options)), *fields_of(self.common)])

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        """The command of a mode, built from its options."""
        try:
            plugins, mode = load(cmd_name)
        except Invalid:
            if getattr(ctx, "resilient_parsing", False):
                return None
            raise
        app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
        text = mode.summary[:1].upper() + mode.summary[1:].rstrip(".") + "."
        example = f"For example: {mode.example}" if mode.example else ""

        def does(ctx: typer.Context, given: dict[str, Any]) -> int:
            return self.call(ctx.obj, plugins, mode, words_after_dashes(ctx), given)

        app.command(cmd_name, cls=Leaf, help=text, short_help=mode.summary, epilog=example)(
            command_function(mode.options, self.common, does)
        )
        command = typer.main.get_command(app)
        command.own_heading = f"Mode {mode.name}"  # type: ignore[attr-defined]  # a Leaf's
        return command

    def shell_complete(self, ctx: object, incomplete: str) -> Any:  # noqa: ARG002 - click's signature
        """The modes; the options of all modes, which may stand before the mode, too."""
        from nsctl.engine.cli.complete import Candidate

        if not incomplete.startswith("-"):
            modes = [loaded.mode for _, loaded in sorted(Plugins.load(reserved=RESERVED).modes().items())]
            return [Candidate(m.name, m.summary) for m in modes if m.name.startswith(incomplete)]
        return [Candidate(f.flag, f.text) for f in fields_of(self.common) if f.flag.startswith(incomplete)]

    def format_commands(self, ctx: object, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        """The modes in the help; a broken one is a line on stderr."""
        plugins = Plugins.load(reserved=RESERVED)
        for line in plugins.warnings:
            out.warning(line)
        with formatter.section("Modes"):
            formatter.write_dl([(name, loaded.mode.summary) for name, loaded in sorted(plugins.modes().items())])

    def invoke(self, ctx: Any) -> Any:
        """Refuse to go on without a mode."""
        if not (ctx.args or getattr(ctx, "_protected_args", ())):
            raise self._no_mode()
        return super().invoke(ctx)

    def _no_mode(self, args: Sequence[str] = ()) -> Invalid:
        names = ", ".join(p.name for p in entry_points() if p.built_in)
        hint = f"nsctl {self.name} MODE; for example one of {names}; see nsctl modes"
        for at, word in enumerate(args):
            flag, _, value = word.partition("=")
            if flag in {"--network", "--net"}:  # docker's, which says what the mode says here
                hint = about_option(str(self.name), flag, value or "".join(args[at + 1 : at + 2])) or hint
        return Invalid("which mode?", hint=hint)


def _takes_value(options: list[Field]) -> dict[str, bool]:
    # Flag → whether a value follows it.
    found = dict.fromkeys(HELP, False) | dict.fromkeys(SHORT.values(), True)
    for option in options:
        found[option.flag] = option.type is not bool
        if option.default is True:
            found[f"--no-{option.flag[2:]}"] = False
    return found


def mode_group(name: str, text: str, common_type: type[Common], does: Call) -> typer.Typer:
    """
    A group of commands, one for each mode.

    Args:
        name: The group's name.
        text: What stands at the top of its help.
        common_type: The options that all modes have in it.
        does: What is called; see `Call`.
    """
    app = typer.Typer(
        name=name,
        cls=type(f"Modes_{name}", (Modes,), {"common": common_type, "call": staticmethod(does)}),
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        help=text,
        options_metavar="",
        subcommand_metavar="MODE [OPTIONS] [-- CMD...]",
        epilog=f"nsctl {name} MODE --help shows the mode's options.",
    )
    app.callback()(lambda: None)
    return app
