"""The command line of all of nsctl, which imports the command that is called."""

from __future__ import annotations

import importlib
import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nsctl.engine.app.context import AppContext
from nsctl.engine.cli import out
from nsctl.engine.cli.command import Command
from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.cli.groups import COMMAND_GROUPS, OTHER_COMMANDS, grouped, write_sections
from nsctl.engine.cli.terminal import terminal_context
from nsctl.engine.model.errors import Invalid

__all__ = ["Leaf", "command_of", "root_command", "run", "words_after_dashes"]

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""click's UsageError, which typer does not name (and has a copy of, from 0.28 on)."""

HELP = """\
Docker's network modes for any process.

Every command that nsctl runs can be seen beforehand (--dry-run), is journalled, and is undone exactly if anything
fails. A sandbox separates well-meaning programs; without a user namespace it is no boundary against hostile code.
"""
EPILOG = "Start with: nsctl modes; nsctl up bridge --dry-run; nsctl up --help"


class Root(TyperGroup):
    """The group of all commands, which imports the one that is called."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        """
        The command, built.

        Raises:
            Invalid: No such command.
        """
        if cmd_name not in COMMANDS:
            if getattr(ctx, "resilient_parsing", False):
                return None
            from nsctl.engine.cli.refusals import no_command

            context: AppContext = ctx.obj  # type: ignore[attr-defined]  # click's context
            raise no_command(cmd_name, context.words, list(COMMANDS))
        place, summary = COMMANDS[cmd_name]
        module, _, attribute = place.partition(":")
        target = getattr(importlib.import_module(f"nsctl.engine.cli.{module}"), attribute)
        return command_of(target, cmd_name, summary)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """The commands that begin so, without importing them."""
        from nsctl.engine.cli.complete import Candidate

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [Candidate(name, text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: object, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        """The commands in the help, without importing them."""
        groups = grouped(COMMANDS, COMMAND_GROUPS, OTHER_COMMANDS)
        write_sections(formatter, {head: [(n, COMMANDS[n][1]) for n in names] for head, names in groups.items()})


def _plain(words: list[str]) -> list[str]:
    """The command line as nsctl has it: `help` and `version` are options here."""
    at = next((n for n, word in enumerate(words) if not word.startswith("-")), len(words))
    if not words:
        return ["--help"]
    if words[at:] and words[at] == "help":
        return [*words[:at], *words[at + 1 :], "--help"]
    return [*words[:at], "--version"] if words[at:] == ["version"] else words


class Leaf(Command):
    """A command that takes another command after `--`; the words there are never read as options of nsctl."""

    takes_command = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put what follows `--` aside."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta["nsctl.command"] = tuple(args[cut + 1 :])
            if not args[cut + 1 :] and ctx.parent.info_name == "up":  # of a variable that is empty, perhaps
                raise Invalid("no command stands after --", hint="leave -- out for a sandbox without a workload")
            args = args[:cut]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- CMD...]"]


def words_after_dashes(ctx: typer.Context) -> tuple[str, ...]:
    """The words after `--`."""
    found: tuple[str, ...] = ctx.meta.get("nsctl.command", ())
    return found


def command_of(target: Any, name: str, summary: str) -> Any:
    """A click command from a function, or from a typer application that is a group."""
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    app.command(name, short_help=summary, cls=getattr(target, "command_type", Command))(target)
    return typer.main.get_command(app)


def _version(wanted: bool) -> None:
    if wanted:
        from nsctl._version import __version__

        out.data(f"nsctl {__version__}")
        raise typer.Exit


def _verbose(times: int) -> None:
    # Here, not in the body of the callback: that runs after the command was looked up, which may fail.
    out.verbose = times


def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_version)] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "-v",
            count=True,
            callback=_verbose,
            show_default=False,
            help="Show every step, and where an error came from.",
        ),
    ] = 0,
) -> None:
    """Only the options' callbacks do something."""


def root_command() -> Any:
    """The click command of all of nsctl."""
    app = typer.Typer(
        cls=Root,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        help=HELP,
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    return typer.main.get_command(app)


def run(words: list[str]) -> int:
    """
    Run a command.

    Returns:
        The exit status.

    Raises:
        NsctlError: It was refused, or failed.
    """
    command = root_command()
    context = terminal_context(words)
    if "_NSCTL_COMPLETE" in os.environ:
        from nsctl.engine.cli.complete import answer

        return answer(command, context)
    words = _plain(words)
    try:
        status = command.main(words, prog_name="nsctl", standalone_mode=False, obj=context)
    except _USAGE_ERROR as e:
        from nsctl.engine.cli.refusals import refusal

        raise refusal(e, words) from e
    except typer.Abort:
        return 130
    return status if isinstance(status, int) else 0
