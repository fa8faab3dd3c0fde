"""Commands that ignore nothing of what was typed, and the options of those that carry out steps."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperOption

from nsctl.engine.cli.foreign_words import ALWAYS_SO
from nsctl.engine.cli.groups import GroupedCommand
from nsctl.engine.model.errors import Invalid

__all__ = ["Command", "NoBatch", "StepTimeout"]

StepTimeout = Annotated[str, typer.Option("--step-timeout", metavar="TIME", help="How long one step may take.")]
NoBatch = Annotated[
    bool, typer.Option("--no-batch", help="Run the commands one by one rather than in batches.", show_default=False)
]
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


class Command(GroupedCommand):
    """A command that refuses an option given twice, of which one would count, and takes switches that are always so."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, with the switches that change nothing."""
        top = ctx
        while top.parent is not None and top.parent.parent is not None:
            top = top.parent
        own = super().get_params(ctx)
        flags = [flag for flag in ALWAYS_SO.get(str(top.info_name), ()) if not any(flag in p.opts for p in own)]
        return own + [
            TyperOption(param_decls=[flag, f"always_{flag.strip('-')}"], is_flag=True, hidden=True, expose_value=False)
            for flag in flags
        ]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """
        Refuse what is given twice.

        Raises:
            Invalid: An option is.
        """
        if not ctx.resilient_parsing:
            self._refuse_repeated(ctx, args)
        return super().parse_args(ctx, args)

    def _refuse_repeated(self, ctx: Any, args: list[str]) -> None:
        try:
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        except _USAGE_ERROR:
            return  # which the real one says
        options: list[Any] = [param for param in order if param.param_type_name == "option"]
        for param in options:
            flag = max(param.opts, key=len)
            off = next((word for word in args if word in param.secondary_opts), "")
            if off and any(word in param.opts for word in args):
                raise Invalid(f"{flag} and {off} contradict each other", hint="leave one of them out")
            if not (param.is_flag or param.multiple or param.count) and options.count(param) > 1:
                raise Invalid(f"{flag} is given twice", hint="it has one value: leave one of them out")
