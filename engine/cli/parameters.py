"""
From a mode's options to a command of typer's: exactly its options, with types and defaults, and those all modes have.

Values reach `nsctl.engine.model.options` as they were typed, so that there is one place that reads and refuses them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from nsctl.engine.cli.common_options import SHORT, Common
from nsctl.engine.cli.complete import completer
from nsctl.engine.model.options import Field, fields_of

__all__ = ["command_function"]


def command_function(
    options_type: type, common_type: type[Common], call: Callable[[typer.Context, dict[str, Any]], Any]
) -> Callable[..., Any]:
    """
    A function whose signature typer reads the options from.

    Args:
        options_type: The mode's options dataclass.
        common_type: The options that all modes have.
        call: What to call with the context and what was given.
    """

    def function(**values: Any) -> Any:
        ctx = values.pop("ctx")
        given = {name: value for name, value in values.items() if value is not None and value != []}
        return call(ctx, given)

    own = [_parameter(f) for f in fields_of(options_type)]
    common = [_parameter(f, SHORT) for f in fields_of(common_type)]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    function.__signature__ = inspect.Signature([context, *own, *common])  # type: ignore[attr-defined]  # PEP 362
    function.__annotations__ = {}
    return function


def _parameter(field: Field, short: Mapping[str, str] | None = None) -> inspect.Parameter:
    kind: Any = bool | None if field.type is bool else list[str] if field.multiple else str | None
    flag = f"{field.flag}/--no-{field.flag[2:]}" if field.default is True else field.flag
    flags = (flag, short[field.name]) if short and field.name in short else (flag,)
    option = typer.Option(
        *flags, help=field.text, metavar=field.metavar or None, show_default=False, autocompletion=completer(field)
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=[] if field.multiple else None,
        annotation=Annotated[kind, option],
    )
